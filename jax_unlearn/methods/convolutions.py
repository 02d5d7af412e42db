"""Convolution kernels among a network's parameters, for methods that edit them."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import InputError, Problem, split_variables


def is_convolution(leaf: Any) -> bool:
    """Whether a parameter is a convolution kernel: one of four axes, as Flax and Haiku have it.

    They are height, width, inputs and outputs.
    """
    return jnp.ndim(leaf) == 4


def transpose_kernels(params: Any) -> Any:
    """Swap height and width of every convolution kernel; twice is the identity.

    Args:
      params: pytree of arrays; those of four axes are kernels [height, width, inputs, outputs].
    """
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1) if is_convolution(x) else x, params)


def check_convolutions(method: str, problem: Problem, *, square: bool = False) -> None:
    """Refuse a network without convolutions.

    Args:
      method: the method's name, for the message.
      problem: of which the network counts; weights may be missing.
      square: whether kernels must be as high as they are wide.

    Raises:
      InputError: there is none, or one is not square.
    """
    variables, model = problem.variables, problem.model
    if variables is None:
        variables = jax.eval_shape(model.init, jax.random.key(0))
    kernels = list(filter(is_convolution, jax.tree.leaves(split_variables(variables)[0])))
    if not kernels:
        raise InputError(
            f"model={model.name!r}: {method} edits convolutions, and this network has none: "
            "expected a parameter [height, width, inputs, outputs]; take another method"
        )
    for height, width, *_ in (kernel.shape for kernel in kernels if square):
        if height != width:
            raise InputError(
                f"model={model.name!r}: {method} transposes convolutions, and one of this network "
                f"is {height}x{width}: expected kernels as high as they are wide; take another "
                "method"
            )


def smallest_share(scores: jax.Array, share: float) -> jax.Array:
    """Mark the share of a kernel's entries with the smallest absolute scores.

    Args:
      scores: of a parameter.
      share: in [0, 1]; its count of entries is rounded to the nearest, as Python rounds.

    Returns:
      bool like a kernel; a single True for a parameter that is none.
    """
    if not is_convolution(scores):
        return jnp.ones((), bool)
    order = jnp.argsort(jnp.abs(scores).ravel())
    marked = jnp.zeros(scores.size, bool).at[order[: round(share * scores.size)]].set(True)
    return marked.reshape(scores.shape)


def redraw_kernels(key: chex.PRNGKey, mask: Any, params: Any) -> Any:
    """Draw the marked entries of every convolution kernel anew: normal, variance 2 / fan out.

    Args:
      key: randomness of the new values.
      mask: pytree of bool, as :func:`smallest_share` makes it of each parameter.
      params: pytree of the parameters.
    """
    leaves, structure = jax.tree.flatten(params)

    def redrawn(index: int, marked: jax.Array, leaf: jax.Array) -> jax.Array:
        if not is_convolution(leaf):
            return leaf
        height, width, _, outputs = leaf.shape
        deviation = jnp.asarray((2 / (height * width * outputs)) ** 0.5, leaf.dtype)
        new = jax.random.normal(jax.random.fold_in(key, index), leaf.shape, leaf.dtype)
        return jnp.where(marked, deviation * new, leaf)

    marks = jax.tree.leaves(mask)
    new = [redrawn(i, *pair) for i, pair in enumerate(zip(marks, leaves, strict=True))]
    return jax.tree.unflatten(structure, new)
