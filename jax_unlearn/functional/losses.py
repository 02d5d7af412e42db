"""Losses per example, and the mean that ignores padding."""

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import at_least_float32


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the cross-entropy of every example, in nats.

    Args:
      logits: float [B, K].
      labels: int [B], in [0, K).

    Returns:
      float32 [B] (float64 for float64 logits), >= 0.
    """
    chex.assert_rank([logits, labels], [2, 1])
    chex.assert_type(labels, int)
    logits = at_least_float32(logits)
    chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - chosen


def weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Average values by weight; rows of weight 0 do not count, whatever they hold.

    Args:
      values: float [B]. Rows of weight 0 may be NaN or infinite.
      weights: float [B], >= 0, e.g. 1 for an example and 0 for padding.

    Returns:
      A scalar of the dtype of ``values``; 0 where every weight is 0.
    """
    chex.assert_rank([values, weights], 1)
    chex.assert_equal_shape([values, weights])
    weights = weights.astype(values.dtype)
    total = jnp.maximum(jnp.sum(weights), jnp.finfo(values.dtype).tiny)
    return jnp.sum(weights * jnp.where(weights != 0, values, 0)) / total
