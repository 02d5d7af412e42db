"""Along which axis the last linear layer's parameters have a slice for each output.

Here it is the last one, as in Flax: weights [features, outputs]. A network of one's own may have
them the other way round.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import Model, Problem, Variables, split_variables, to_unit, with_params
from jax_unlearn.methods.descent import needs_examples


def output_axes(problem: Problem, layer: Any) -> Any:
    """Find the axis of outputs of each parameter of the last linear layer.

    Where several axes are as long as there are classes, it is that of which the first logit reads
    the first slice alone; in doubt the last one.

    Args:
      problem: with the network, its weights and a forget image.
      layer: pytree of bool like the parameters, True for those of the layer.

    Returns:
      A pytree like the parameters: numbers of axes, >= 0; -1 where none has the length; None
      outside of the layer.
    """
    leaves, structure = jax.tree.flatten(split_variables(problem.variables)[0])
    as_long = [
        [axis for axis, size in enumerate(leaf.shape) if size == problem.num_classes]
        for leaf in leaves
    ]
    inside = jax.tree.leaves(layer)
    if any(own and len(axes) > 1 for own, axes in zip(inside, as_long, strict=True)):
        image = jnp.asarray(needs_examples("forget", problem.forget).image[:1])
        slopes = jax.tree.leaves(_slopes(problem.model, problem.variables, image))
        as_long = [
            [axis for axis in axes if not np.any(np.delete(np.asarray(slope), 0, axis))] or axes
            for axes, slope in zip(as_long, slopes, strict=True)
        ]
    found = [(axes or [-1])[-1] if own else None for own, axes in zip(inside, as_long, strict=True)]
    return jax.tree.unflatten(structure, found)


def outputs_last(axes: Any, tree: Any, *, back: bool = False) -> Any:
    """Turn the last linear layer's arrays, so that outputs are their last axis, or turn them back.

    Args:
      axes: from :func:`output_axes`.
      tree: pytree like the parameters.
      back: whether these are turned already.
    """

    def turn(axis: int | None, leaf: jax.Array) -> jax.Array:
        ends = (axis, -1)
        return leaf if axis is None else jnp.moveaxis(leaf, *(ends[::-1] if back else ends))

    return jax.tree.map(turn, axes, tree, is_leaf=lambda x: x is None)


# Compiled, so that a second run of the same network does not trace it again.
@functools.partial(jax.jit, static_argnames="model")
def _slopes(model: Model, variables: Variables, images: jax.Array) -> Any:
    """Gradient of the sum of first logits in the parameters."""

    def first_logit(params: Any) -> jax.Array:
        return model.logits(with_params(variables, params), to_unit(images))[:, 0].sum()

    return jax.grad(first_logit)(split_variables(variables)[0])
