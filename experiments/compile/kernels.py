"""Sizes of a network's own convolutions, read off its computation."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jax_unlearn.core import Model


def largest_kernel(model: Model, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width of the largest kernel, each on its own; () for a network without any.

    Args:
      model: the network.
      image_shape: height, width and channels.
    """
    variables = jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    program = jax.make_jaxpr(model.logits)(variables, images)
    sizes = list(_kernels(program.jaxpr))
    return tuple(map(max, zip(*sizes, strict=True)))


def _kernels(program: Any) -> Iterator[tuple[int, ...]]:
    for equation in program.eqns:
        if equation.primitive.name == "conv_general_dilated":
            shape = equation.invars[1].aval.shape
            yield tuple(shape[axis] for axis in equation.params["dimension_numbers"].rhs_spec[2:])
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_program):
            if _program(inner):
                yield from _kernels(getattr(inner, "jaxpr", inner))


def _program(x: Any) -> bool:
    return hasattr(getattr(x, "jaxpr", x), "eqns")
