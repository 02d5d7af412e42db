"""One more output than a network has: a row of weights beside its last linear layer.

The network stays as it is. Its logits are linear in its last layer's weights, so what an output
with other weights would say is their derivative along those: one forward and one backward pass.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import InputError, Problem, split_variables
from jax_unlearn.methods.last_layer import last_linear_layer
from jax_unlearn.methods.output_axes import output_axes

Draw = Callable[[chex.PRNGKey, int, int], tuple[jax.Array, jax.Array]]
"""``draw(key, features, outputs) -> (weights [features], bias [])``, the outputs with the new."""


def draw_xavier(key: chex.PRNGKey, features: int, outputs: int) -> tuple[jax.Array, jax.Array]:
    """Normal weights of variance 2 / (features + outputs), and no bias."""
    deviation = (2 / (features + outputs)) ** 0.5
    return deviation * jax.random.normal(key, (features,)), jnp.zeros(())


def draw_uniform(key: chex.PRNGKey, features: int, outputs: int) -> tuple[jax.Array, jax.Array]:
    """PyTorch's linear layer: all uniform within one over the root of the number of features."""
    del outputs
    limit = features**-0.5
    drawn = jax.random.uniform(key, (features + 1,), minval=-limit, maxval=limit)
    return drawn[:-1], drawn[-1]


def new_output(key: chex.PRNGKey, problem: Problem, name: str, draw: Draw) -> Any:
    """Weights of an output more, as the slices that it would add to the last linear layer's.

    Args:
      key: randomness of the weights.
      problem: with the network, its weights and a forget image.
      name: of the last linear layer in the tree of parameters; '' finds it.
      draw: what draws them.

    Returns:
      A pytree like the parameters: for those of the last linear layer arrays of length 1 along the
      axis of outputs, for others None.

    Raises:
      InputError: the last linear layer, or the axis of its outputs, cannot be told.
    """
    layer = last_linear_layer(problem, name, argument="last_layer=''")
    params, _ = split_variables(problem.variables)
    axes = output_axes(problem, layer)
    for axis, leaf in zip(jax.tree.leaves(axes), _of_layer(params, layer), strict=True):
        if axis < 0:
            raise InputError(
                f"last_layer: a parameter of shape {leaf.shape} has no axis of the "
                f"{problem.num_classes} outputs; expected weights [features, outputs] and biases "
                "[outputs]; name another layer"
            )
    weights, bias = draw(key, _features(params, axes), problem.num_classes + 1)

    def slice_of(axis: int | None, leaf: jax.Array) -> jax.Array | None:
        if axis is None:
            return None
        shape = list(leaf.shape)
        shape[axis] = 1
        drawn = bias if leaf.ndim == 1 else weights
        return jnp.broadcast_to(drawn, (np.prod(shape),)).reshape(shape).astype(leaf.dtype)

    return jax.tree.map(slice_of, axes, params, is_leaf=lambda x: x is None)


def _of_layer(params: Any, layer: Any) -> list[jax.Array]:
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(layer), strict=True)
    return [leaf for leaf, inside in pairs if inside]


def _features(params: Any, axes: Any) -> int:
    """Number of features of the layer."""
    sizes = jax.tree.map(
        lambda axis, leaf: 0 if axis is None else leaf.size // leaf.shape[axis],
        axes,
        params,
        is_leaf=lambda x: x is None,
    )
    return max(jax.tree.leaves(sizes))


def extended_logits(
    logits_fn: Callable[[Any], tuple[jax.Array, Any]], params: Any, output: Any
) -> tuple[jax.Array, Any]:
    """Logits with those of the new output behind them.

    Args:
      logits_fn: ``logits_fn(params) -> (logits [B, K], aux)``.
      params: the network's parameters.
      output: from :func:`new_output`.

    Returns:
      Logits [B, K + 1], and ``aux``.
    """
    leaves, structure = jax.tree.flatten(params)
    slices = jax.tree.leaves(output, is_leaf=lambda x: x is None)
    inside = [index for index, part in enumerate(slices) if part is not None]

    def of_layer(layer: list[jax.Array]) -> tuple[jax.Array, Any]:
        whole = list(leaves)
        for index, leaf in zip(inside, layer, strict=True):
            whole[index] = leaf
        return logits_fn(jax.tree.unflatten(structure, whole))

    layer = [leaves[index] for index in inside]
    # The new output takes the place of output 0, whose weights add nothing to the derivative.
    along = [_in_first_place(slices[index], leaves[index]) for index in inside]
    logits, slope, aux = jax.jvp(of_layer, (layer,), (along,), has_aux=True)
    return jnp.concatenate([logits, slope[:, :1]], axis=1), aux


def _in_first_place(part: jax.Array, leaf: jax.Array) -> jax.Array:
    missing = [(0, size - own) for own, size in zip(part.shape, leaf.shape, strict=True)]
    return jnp.pad(part, missing)
