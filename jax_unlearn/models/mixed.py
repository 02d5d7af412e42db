"""Layers that compute in bfloat16 and keep float32 weights.

Where devices share a batch, each has the gradient of its own rows, and what a layer computed in is
what it has it in. Added up like that, in bfloat16, eight devices' gradients lose in the sum what
each of them still told apart. Here every device casts the weights for itself, so that what comes
back is made float32 before it is added up.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jax import lax

from jax_unlearn.models.convolution import convolution
from jax_unlearn.sharding import split_rows

DTYPES = ("float32", "bfloat16", "bfloat16_sums")
"""What networks compute in. Weights, statistics and logits are float32. Kernels' gradients are
summed over devices in float32, too; with ``'bfloat16_sums'`` as XLA has them, in bfloat16, which is
half of what devices send each other. Those of biases and embeddings, of little size, are summed as
XLA has them in either case."""


def compute_type(dtype: str) -> str:
    """The type that a layer's inputs and outputs have: ``'float32'`` or ``'bfloat16'``."""
    return dtype.removesuffix("_sums")


def conv(features: int, kernel_size: tuple[int, int], *, dtype: str, **options: Any) -> nn.Conv:
    """`flax.linen.Conv` with a convolution that is fast on CPUs.

    Args:
      features: channels of the output.
      kernel_size: height and width of the kernel.
      dtype: one of :data:`DTYPES`.
      **options: further fields of `flax.linen.Conv`.
    """
    return nn.Conv(
        features, kernel_size, conv_general_dilated=_convolution, **_types(dtype), **options
    )


def dense(features: int, *, dtype: str, **options: Any) -> nn.Dense:
    """`flax.linen.Dense`.

    Args:
      features: channels of the output.
      dtype: one of :data:`DTYPES`.
      **options: further fields of `flax.linen.Dense`.
    """
    return nn.Dense(features, dot_general=_dot_general, **_types(dtype), **options)


def _types(dtype: str) -> dict[str, Any]:
    own = {"dtype": compute_type(dtype)}
    return own if dtype.endswith("_sums") else {**own, "promote_dtype": _all_but_kernel}


def _all_but_kernel(
    inputs: jax.Array, kernel: jax.Array, bias: jax.Array | None, *, dtype: Any
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """What a layer casts before it multiplies: the kernel is left to :func:`_cast_apart`."""
    return inputs.astype(dtype), kernel, None if bias is None else bias.astype(dtype)


def _cast_apart(product: Callable[..., jax.Array], rows: jax.Array, kernel: jax.Array) -> jax.Array:
    """A product of rows and a kernel that may be of another type, which each device casts."""
    if rows.dtype == kernel.dtype:
        return product(rows, kernel)
    return split_rows(lambda x, w: product(x, w.astype(x.dtype)), rows, kernel)


def _convolution(images: jax.Array, kernel: jax.Array, *args: Any, **options: Any) -> jax.Array:
    return _cast_apart(lambda x, w: convolution(x, w, *args, **options), images, kernel)


def _dot_general(inputs: jax.Array, kernel: jax.Array, *args: Any, **options: Any) -> jax.Array:
    return _cast_apart(lambda x, w: lax.dot_general(x, w, *args, **options), inputs, kernel)
