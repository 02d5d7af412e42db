"""Edits of weights by their importances."""

from typing import Any

import chex
import jax
import jax.numpy as jnp


def dampen(
    params: Any,
    importance: Any,
    forget_importance: Any,
    alpha: chex.Numeric,
    dampening: chex.Numeric,
) -> Any:
    """Shrink the weights that matter more to the forget set than to all training data: SSD's edit.

    Where F_f > alpha * F_D a weight is multiplied by min(dampening * F_D / F_f, 1); every other one
    keeps its bits.

    Args:
      params: pytree of float arrays.
      importance: F_D over the whole training set, a pytree of the same shapes, >= 0.
      forget_importance: F_f over the forget set, a pytree of the same shapes, >= 0.
      alpha: how many times as important, >= 0; may be traced.
      dampening: SSD's lambda, >= 0: smaller dampens more; may be traced.

    Returns:
      A pytree like ``params``, of its dtypes.

    References:
      Foster et al., "Fast Machine Unlearning Without Retraining Through Selective Synaptic
      Dampening", AAAI 2024, arXiv 2308.07707.
    """
    chex.assert_trees_all_equal_shapes(params, importance, forget_importance)

    def edit(weight: jax.Array, whole: jax.Array, forget: jax.Array) -> jax.Array:
        chosen = forget > alpha * whole
        ratio = dampening * whole / jnp.where(chosen, forget, 1)
        dampened = weight * jnp.minimum(ratio, 1).astype(weight.dtype)
        return jnp.where(chosen, dampened, weight)

    return jax.tree.map(edit, params, importance, forget_importance)
