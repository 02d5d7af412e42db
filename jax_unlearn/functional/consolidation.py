"""Holding on to weights: which ones, and how far they have gone."""

from typing import Any

import chex
import jax
import jax.numpy as jnp


@jax.jit
def hold_unimportant(importance: Any) -> Any:
    """How much to hold each weight back: 1 for the least important of its array, 0 for the most.

    Args:
      importance: pytree of float arrays; in between it counts linearly.

    Returns:
      A pytree like it, in [0, 1]; 1 throughout an array of equal importances.

    Source: Cha et al., "Learning to Unlearn: Instance-wise Unlearning for Pre-trained Classifiers",
    AAAI 2024, arXiv 2301.11578.
    """

    def hold(x: jax.Array) -> jax.Array:
        width = jnp.maximum(x.max() - x.min(), jnp.finfo(x.dtype).tiny)
        return 1 - (x - x.min()) / width

    return jax.tree.map(hold, importance)


def weighted_distance(params: Any, start: Any, weights: Any) -> jax.Array:
    """Return half the weighted squared distance of two pytrees.

    Args:
      params: pytree of float arrays.
      start: pytree of the same shapes.
      weights: pytree of the same shapes, >= 0.

    Returns:
      A scalar, >= 0.
    """
    chex.assert_trees_all_equal_shapes(params, start, weights)
    squares = jax.tree.map(lambda p, s, w: jnp.sum(w * (p - s) ** 2), params, start, weights)
    return sum(jax.tree.leaves(squares), start=jnp.zeros(())) / 2
