"""A convolution whose weight gradient is taken over slices of the batch where a CPU computes it.

XLA lays the whole input out anew, examples last, before it computes a weight gradient. On a CPU
that reordering of an array far larger than the caches costs more than the arithmetic; slices of
the batch stay in the caches.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

SLICES = 4
"""Slices of a batch: more are hardly faster, and each adds a convolution to compile."""

SMALLEST = 2**18
"""Elements of an input (1 MiB of float32) under which the whole fits in a core's cache."""


def convolution(
    images: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any
) -> jax.Array:
    """Convolve as `jax.lax.conv_general_dilated`; drop-in for `flax.linen.Conv`.

    Values are those of the plain convolution; gradients differ by the order of a sum. Every mode of
    differentiation works, in any order. On other backends than the CPU, for small inputs and for
    batches that do not divide into slices it is the plain convolution.

    The backend is asked for while tracing: a choice at lowering would put a conditional around
    every derivative.

    Args:
      images: [B, H, W, C], the batch first.
      kernel: [h, w, C, F].
      strides: one per spatial axis.
      padding: as `jax.lax.conv_general_dilated` takes it.
      **options: its further arguments.
    """

    def plain(x: jax.Array, w: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, w, strides, padding, **options)

    rows = images.shape[0]
    if jax.default_backend() != "cpu" or images.size < SMALLEST or rows % SLICES:
        return plain(images, kernel)

    def over_slices(x: jax.Array, w: jax.Array) -> jax.Array:
        # Every SLICES-th row, not runs of rows: each device then slices its own shard of the batch.
        parts = x.reshape(rows // SLICES, SLICES, *x.shape[1:])
        y = jnp.stack([plain(parts[:, i], w) for i in range(SLICES)], axis=1)
        return y.reshape(rows, *y.shape[2:])

    @jax.custom_jvp
    def conv(x: jax.Array, w: jax.Array) -> jax.Array:
        return plain(x, w)

    def jvp(
        primals: tuple[jax.Array, jax.Array], tangents: tuple[Any, Any]
    ) -> tuple[jax.Array, Any]:
        (x, w), (dx, dw) = primals, tangents
        out = conv(x, w)
        # The first layer's images and, within MU-Mis, the weights are not differentiated.
        by_input = None if isinstance(dx, SymbolicZero) else conv(dx, w)
        # The transpose of this term with respect to dw is the weight gradient, slice by slice.
        by_kernel = None if isinstance(dw, SymbolicZero) else over_slices(x, dw)
        terms = [term for term in (by_input, by_kernel) if term is not None]
        return out, sum(terms[1:], terms[0]) if terms else jnp.zeros_like(out)

    conv.defjvp(jvp, symbolic_zeros=True)
    return conv(images, kernel)
