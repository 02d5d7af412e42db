"""A convolution that costs less on a CPU, and where each example has its own gradient.

On a CPU a step spends more time around its convolutions than in them, for three reasons. To compute
a weight gradient XLA rearranges the input, and recomputes for each element all that led to it since
the previous convolution (a normalisation, a sum with the block's own input), in an order that
defeats the cache: here inputs and their gradients are kept in memory. XLA runs a convolution of
more than a few channels on one core, whatever the others do meanwhile: here it is split into slices
of the batch, which are spread over all cores. And within compiled loops it has no kernel for JAX's
derivatives of a convolution: here they are those of :mod:`jax_unlearn.models.canonical`.

On accelerators it is the plain convolution, but for gradients of each example by itself
(:func:`jax_unlearn.functional.per_example_gradients`). JAX's own are convolutions in groups with
windows as large as the image, for which no library has fast kernels; here they are products.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jax_unlearn.backend import examples_apart, platform
from jax_unlearn.models.canonical import AXES, How, convolve, takes

SLICES = 12
"""XLA hands work to another core only where more than 8 pieces wait behind the one it takes, so 10
are the fewest. Each slice is one more convolution to compile, and more than 12 gain little."""

EIGEN_CHANNELS = 16
"""Most channels, in and out, for which XLA:CPU uses several cores within one convolution."""

SMALLEST = 2**18
"""Elements of an input (1 MiB of float32) below which all of it fits into a core's cache."""

ELEMENTS_PER_WEIGHT = 4
"""Elements that an input must have for each weight of its kernel: the gradient of every slice is as
large as the kernel."""


def convolution(
    images: jax.Array, kernel: jax.Array, strides: Any, padding: Any, **options: Any
) -> jax.Array:
    """Convolve as `jax.lax.conv_general_dilated`; drop-in for `flax.linen.Conv`.

    Values are those of the plain convolution; gradients differ by the order of a sum and, in
    bfloat16, by the rounding of each slice. It is the plain convolution unless what is traced is
    said to be for a CPU (:func:`jax_unlearn.backend.traced_for`, as in every run on one), or is
    example by example; and over other than two axes. Derivatives are JAX's own with groups, with a
    precision or a result's type that is said, and for what
    :func:`jax_unlearn.models.canonical.takes` does not. It stays whole for small inputs, for
    kernels that are large beside their input, where there are several devices, which have a core
    each, and where the batch has fewer rows than ``SLICES``.

    The choice is made while tracing: one at lowering would put a conditional around every
    derivative.

    Args:
      images: floating point [B, H, W, C], the batch first.
      kernel: [h, w, C, F].
      strides: one per spatial axis.
      padding: as `jax.lax.conv_general_dilated` takes it.
      **options: its further arguments, with ``dimension_numbers`` for these axes; without
        ``batch_group_count``.
    """
    own = platform() == "cpu" or examples_apart()
    how = _canonical(images, kernel, strides, padding, options) if own else None

    def plain(x: jax.Array) -> jax.Array:
        if how is not None:
            return convolve(x, kernel, how)
        return lax.conv_general_dilated(x, kernel, strides, padding, **options)

    count = _slices(images, kernel)
    if not count:
        return plain(images)
    one = _one(kernel)

    def keep(x: jax.Array) -> jax.Array:
        return x / one.astype(x.dtype)

    # What leaves is divided, too, so that the gradient that comes back is kept for both its uses.
    # Slices that are each divided are no faster, and take twice as long to compile.
    return keep(jnp.concatenate([plain(x) for x in jnp.array_split(keep(images), count)]))


def _canonical(
    images: jax.Array, kernel: jax.Array, strides: Any, padding: Any, options: Mapping[str, Any]
) -> How | None:
    """How the same convolution goes in :mod:`jax_unlearn.models.canonical`; None if it does not."""
    given = {name: value for name, value in options.items() if value is not None}
    if kernel.ndim != 4 or given.pop("feature_group_count", 1) != 1:
        return None
    named = given.pop("dimension_numbers", None)
    axes = lax.conv_dimension_numbers(images.shape, kernel.shape, named)
    if axes != lax.conv_dimension_numbers(images.shape, kernel.shape, AXES):
        return None
    dilations = [tuple(given.pop(name, (1, 1))) for name in ("lhs_dilation", "rhs_dilation")]
    if given or jax.config.jax_default_matmul_precision is not None:  # type: ignore[attr-defined]
        return None
    if isinstance(padding, str):
        if dilations[0] != (1, 1):
            # JAX says what is wrong.
            return None
        window = [(n - 1) * step + 1 for n, step in zip(kernel.shape, dilations[1], strict=False)]
        padding = lax.padtype_to_pads(images.shape[1:3], window, strides, padding)
    pairs = tuple((int(before), int(after)) for before, after in padding)
    how = How(tuple(strides), pairs, *dilations)
    return how if takes(images, kernel, how) else None


def _slices(images: jax.Array, kernel: jax.Array) -> int:
    """Into how many slices the batch goes; 0 for the plain convolution."""
    smallest = max(SMALLEST, ELEMENTS_PER_WEIGHT * kernel.size)
    if platform() != "cpu" or kernel.ndim != 4 or images.size < smallest:
        return 0
    # The batch may be spread over the devices of other processes, too.
    if max(kernel.shape[2:]) <= EIGEN_CHANNELS or jax.device_count("cpu") > 1:
        return 1
    return SLICES if len(images) >= SLICES else 1


def _one(kernel: jax.Array) -> jax.Array:
    """1, in a form that XLA does not simplify: it does not know that nothing exceeds infinity.

    What is divided by it stays in memory: XLA recomputes what is cheap, as a division is not, and
    drops an optimization barrier before it decides. Together with the slices this takes a ResNet-20
    at batch 128 from 295 to 530 images/s on two cores (bench_cpu).
    """
    return jnp.where(kernel[0, 0, 0, 0] > jnp.inf, 2, 1)
