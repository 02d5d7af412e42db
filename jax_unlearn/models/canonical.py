"""A convolution all of whose derivatives XLA:CPU has fast kernels for, within loops too.

XLA:CPU hands a convolution to its library of kernels only if its arrays lie in one order, [B, H, W,
C] and [h, w, C, F]; others it computes element by element. Outside of loops it reorders them first.
Within a loop it does not, and JAX's derivatives of a convolution name the axes of the arrays that
there are in another order: a gradient in a compiled loop takes up to 60 times as long as outside
(measured: a training step of a ResNet-8 at batch 64). Here derivatives are convolutions of the same
kind as the convolution itself, of arrays that are transposed before. Nothing but the order of the
arrays in memory changes. To policies of `jax.checkpoint` it is no convolution: `dots_saveable`
recomputes it.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType

from jax_unlearn.backend import platform

AXES = ("NHWC", "HWIO", "NHWC")
"""Order of the axes of images, kernel and result."""


class How(NamedTuple):
    """How a convolution goes over images.

    Attributes:
      strides: of the window, by spatial axis.
      padding: before and after each spatial axis; what is negative is cut off.
      lhs_dilation: distance at which pixels of images stand.
      rhs_dilation: distance at which pixels of the kernel stand.
    """

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    lhs_dilation: tuple[int, ...] = (1, 1)
    rhs_dilation: tuple[int, ...] = (1, 1)


def convolve(images: jax.Array, kernel: jax.Array, how: How) -> jax.Array:
    """Convolve [B, H, W, C] with [h, w, C, F]: [B, H', W', F]."""
    return _convolve.bind(images, kernel, how=how)


def takes(images: jax.Array, kernel: jax.Array, how: How) -> bool:
    """Whether :func:`convolve` takes these.

    It does not take what gives nothing, whose gradient is a convolution by nothing; what lies on a
    mesh with explicit axes, which cannot be summed over; and a pair of which `jax.shard_map`, where
    it keeps account of that, knows that one differs between devices and the other does not: JAX
    casts operands of its own operations alone.
    """
    if AxisType.Explicit in jax.sharding.get_abstract_mesh().axis_types:
        return False
    given = jax.typeof(images), jax.typeof(kernel)
    try:
        found, _ = _shape(*given, how=how)
    except (TypeError, ValueError):
        return False
    return 0 not in found.shape


def _plain(images: jax.Array, kernel: jax.Array, *, how: How) -> jax.Array:
    return lax.conv_general_dilated(images, kernel, *how, dimension_numbers=AXES)


def _spread(length: int, dilation: int) -> int:
    """Pixels from the first of ``length`` to the last one, both counted."""
    return (length - 1) * dilation + 1


def _spans(
    images: tuple[int, ...], kernel: tuple[int, ...], found: tuple[int, ...], how: How
) -> list[tuple[int, int, int, int]]:
    """By spatial axis the padding before it, and what kernel, images and result span."""
    return [
        (
            before,
            _spread(kernel[axis], how.rhs_dilation[axis]),
            _spread(images[axis + 1], how.lhs_dilation[axis]),
            _spread(found[axis + 1], how.strides[axis]),
        )
        for axis, (before, _) in enumerate(how.padding)
    ]


def _to_images(found: jax.Array, images: Any, kernel: jax.Array, *, how: How) -> jax.Array:
    """Transpose in the images: the kernel, turned round, over what came back."""
    padding = tuple(
        (reach - 1 - before, length - given + before)
        for before, reach, length, given in _spans(
            images.aval.shape, kernel.shape, found.shape, how
        )
    )
    turned = jnp.swapaxes(lax.rev(kernel, (0, 1)), 2, 3)
    return convolve(found, turned, How(how.lhs_dilation, padding, how.strides, how.rhs_dilation))


def _to_kernel(found: jax.Array, images: jax.Array, kernel: Any, *, how: How) -> jax.Array:
    """Transpose in the kernel: what came back as a kernel, over images that lie as channels."""
    padding = tuple(
        (before, reach + given - 1 - length - before)
        for before, reach, length, given in _spans(
            images.shape, kernel.aval.shape, found.shape, how
        )
    )
    back = How(how.rhs_dilation, padding, how.lhs_dilation, how.strides)
    gradient = convolve(images.transpose(3, 1, 2, 0), found.transpose(1, 2, 0, 3), back)
    return gradient.transpose(1, 2, 0, 3)


@functools.lru_cache(maxsize=1024)
def _parameters(
    images: tuple[int, ...], kernel: tuple[int, ...], dtype: Any, how: How
) -> Mapping[str, Any]:
    """What JAX's own primitive is told of the same convolution."""
    shapes = (jax.ShapeDtypeStruct(shape, dtype) for shape in (images, kernel))
    return jax.make_jaxpr(functools.partial(_plain, how=how))(*shapes).eqns[-1].params


def _shape(images: Any, kernel: Any, *, how: How) -> Any:
    told = _parameters(images.shape, kernel.shape, images.dtype, how)
    return lax.conv_general_dilated_p.abstract_eval(images, kernel, **told)


def _side_by_side(
    arrays: Sequence[jax.Array], axes: Sequence[int | None], *, how: How
) -> tuple[jax.Array, int]:
    """Under `jax.vmap`: all images at once, or kernel after kernel.

    JAX's own makes one convolution in groups of many kernels, for which XLA:CPU has nothing fast:
    gradients of five models of ResNet-8 took 3.2 times as long. Accelerators take it, but for
    kernels larger than what they give, as in the gradient of each example: these are products.
    """
    images, kernels = (
        x if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(arrays, axes, strict=True)
    )
    if axes[1] is None:
        count, rows = images.shape[:2]
        found = convolve(images.reshape(count * rows, *images.shape[2:]), kernels, how)
        return found.reshape(count, rows, *found.shape[1:]), 0
    if platform() != "cpu":
        if axes[0] is None or how.lhs_dilation != (1, 1) or not _gives_less(images, kernels, how):
            mapped = (None if axis is None else 0 for axis in axes)
            return jax.vmap(functools.partial(_plain, how=how), tuple(mapped))(images, kernels), 0
        return _products(images, kernels, how), 0
    if axes[0] is None:
        return lax.map(lambda w: convolve(images, w, how), kernels), 0
    return lax.map(lambda pair: convolve(pair[0], pair[1], how), (images, kernels)), 0


def _gives_less(images: jax.Array, kernels: jax.Array, how: How) -> bool:
    """Whether convolutions side by side have fewer pixels in a result than in a kernel."""
    one = (jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in (images, kernels))
    found = jax.eval_shape(functools.partial(_plain, how=how), *one)
    return math.prod(found.shape[1:3]) < math.prod(kernels.shape[1:3])


def _products(images: jax.Array, kernels: jax.Array, how: How) -> jax.Array:
    """Convolve [N, B, H, W, C] with [N, h, w, C, F] pair by pair, as products of matrices."""
    edges = [(0, 0, 0), (0, 0, 0), *((*pair, 0) for pair in how.padding), (0, 0, 0)]
    padded = lax.pad(images, jnp.zeros((), images.dtype), edges)
    spans = [_spread(n, step) for n, step in zip(kernels.shape[1:3], how.rhs_dilation, strict=True)]

    def under(place: int, axis: int) -> slice:
        start = place * how.strides[axis]
        return slice(start, start + spans[axis], how.rhs_dilation[axis])

    high, wide = (
        (length - span) // step + 1
        for length, span, step in zip(padded.shape[2:4], spans, how.strides, strict=True)
    )
    # One product for all pixels: a kernel as large as an image is then read once.
    patches = jnp.stack(
        [padded[:, :, under(y, 0), under(x, 1)] for y in range(high) for x in range(wide)], axis=1
    )
    found = jnp.einsum("npbhwc,nhwcf->nbpf", patches, kernels)
    return found.reshape(*found.shape[:2], high, wide, found.shape[-1])


_convolve = Primitive("canonical_convolution")
_convolve.def_impl(jax.jit(_plain, static_argnames="how"))
_convolve.def_effectful_abstract_eval(_shape)
mlir.register_lowering(_convolve, mlir.lower_fun(_plain, multiple_results=False))
ad.defbilinear(_convolve, _to_images, _to_kernel)
batching.primitive_batchers[_convolve] = _side_by_side
