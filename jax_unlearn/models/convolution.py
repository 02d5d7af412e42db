"""A convolution that costs less, above all its weight gradient, where a CPU computes it.

XLA lays the whole input out anew, examples last, before it computes a weight gradient. On a CPU
that reordering costs more than the arithmetic, for two reasons. The array is far larger than the
caches: slices of the batch fit. And all that led to the input since the last convolutions (a
normalisation, a sum with the block's own input) is computed again within the reordering, element
by element in an order in which nothing is near: the input is kept instead. Convolutions that XLA
computes on one core are taken over slices, too, which it can hand out to several.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

SLICES = 4
"""Slices of a batch: more are hardly faster, and each adds a convolution to compile."""

ACROSS_CORES = 8
"""Slices of a batch that a CPU's only device hands out to several cores: XLA splits its queue of
ready work only when that is long."""

EIGEN_CHANNELS = 16
"""Most channels for which XLA:CPU uses several cores within one convolution."""

SMALLEST = 2**18
"""Elements of an input (1 MiB of float32) under which the whole fits in a core's cache."""


def convolution(
    images: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any
) -> jax.Array:
    """Convolve as `jax.lax.conv_general_dilated`; drop-in for `flax.linen.Conv`.

    Values are those of the plain convolution; gradients differ by the order of a sum and, in
    bfloat16, by the rounding of each slice. Forward and reverse mode work, in any order. On other
    backends than the CPU, for small inputs and for batches that do not divide into slices it is the
    plain convolution.

    The backend is asked for while tracing: a choice at lowering would put a conditional around
    every derivative.

    Args:
      images: floating point [B, H, W, C], the batch first.
      kernel: [h, w, C, F].
      strides: one per spatial axis.
      padding: as `jax.lax.conv_general_dilated` takes it.
      **options: its further arguments, with ``dimension_numbers`` for these axes; without
        ``batch_group_count``.
    """

    def plain(x: jax.Array, w: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, w, strides, padding, **options)

    rows = images.shape[0]
    if jax.default_backend() != "cpu" or images.size < SMALLEST or rows % SLICES:
        return plain(images, kernel)

    def over_slices(x: jax.Array, w: jax.Array, count: int) -> jax.Array:
        if count == 1:
            return plain(x, w)
        # Every count-th row, not runs of rows: each device then slices its own shard of the batch,
        # if that divides; rows of other batches move between the devices.
        parts = lax.split(x.reshape(rows // count, count, *x.shape[1:]), [1] * count, axis=1)
        y = jnp.stack([plain(part.squeeze(1), w) for part in parts], axis=1)
        return y.reshape(rows, *y.shape[2:])

    images = _kept(images)
    # Virtual devices have a core each; another one within a device is not theirs.
    on_one_core = min(kernel.shape[2:]) > EIGEN_CHANNELS and jax.local_device_count() == 1
    across = ACROSS_CORES if on_one_core and not rows % ACROSS_CORES else 1

    @jax.custom_jvp
    def conv(x: jax.Array, w: jax.Array) -> jax.Array:
        return over_slices(x, w, across)

    def jvp(
        primals: tuple[jax.Array, jax.Array], tangents: tuple[Any, Any]
    ) -> tuple[jax.Array, Any]:
        (x, w), (dx, dw) = primals, tangents
        out = conv(x, w)
        # The first layer's images and, within MU-Mis, the weights are not differentiated.
        by_input = None if isinstance(dx, SymbolicZero) else conv(dx, w)
        # The transpose of this term with respect to dw is the weight gradient, slice by slice.
        by_kernel = None if isinstance(dw, SymbolicZero) else over_slices(x, dw, SLICES)
        terms = [term for term in (by_input, by_kernel) if term is not None]
        return out, sum(terms[1:], terms[0]) if terms else jnp.zeros_like(out)

    conv.defjvp(jvp, symbolic_zeros=True)
    return conv(images, kernel)


@jax.custom_jvp
def _kept(x: jax.Array) -> jax.Array:
    """The same values, which XLA holds in memory rather than compute them for each of their uses.

    XLA computes again whatever is cheap, and drops an optimization barrier before it decides; a
    division is not cheap to it. The divisor is 1, as nothing exceeds infinity, but XLA cannot know.
    """
    return x / (1 + (x > jnp.inf).astype(x.dtype))


@_kept.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return _kept(*primals), tangents[0]
