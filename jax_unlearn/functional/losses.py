"""Losses per example, the mean that ignores padding, and a penalty on weights."""

from typing import Any

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


def smoothed_cross_entropy(
    logits: jax.Array, labels: jax.Array, smoothing: jax.Array | float
) -> jax.Array:
    """Return the cross-entropy of every example with a smoothed label, in nats.

    A label becomes (1 - a) * onehot + a / K. A positive rate a is label smoothing (Szegedy and
    others, Rethinking the Inception Architecture, 2015, arXiv 1512.00567), a negative one its
    inverse (Wei and others, To Smooth or Not? When Label Smoothing Meets Noisy Labels, 2021, arXiv
    2106.04149); 0 is :func:`cross_entropy`.

    Args:
      logits: float [B, K].
      labels: int [B], in [0, K).
      smoothing: a, at most 1; may be traced.

    Returns:
      float32 [B] (float64 for float64 logits); where a < 0 it may be negative.
    """
    own = cross_entropy(logits, labels)
    logits = at_least_float32(logits)
    mean = jax.nn.logsumexp(logits, axis=1) - jnp.mean(logits, axis=1)
    smoothing = jnp.asarray(smoothing, own.dtype)
    return (1 - smoothing) * own + smoothing * mean


def l1_norm(params: Any) -> jax.Array:
    """Return the sum of the absolute values of all entries of a tree; gradient 0 where one is 0.

    Args:
      params: pytree of float arrays.

    Returns:
      A float32 scalar (float64 where the tree is).
    """

    def absolute(leaf: jax.Array) -> jax.Array:
        # Not jnp.abs, whose gradient at 0 is 1: what has reached 0 would be pushed on.
        leaf = at_least_float32(leaf)
        return jnp.sum(leaf * jax.lax.stop_gradient(jnp.sign(leaf)))

    return jax.tree.reduce(jnp.add, jax.tree.map(absolute, params))


def squared_norm(logits: jax.Array) -> jax.Array:
    """Return the sum of the squared logits of every example.

    Args:
      logits: float [B, K].

    Returns:
      float32 [B] (float64 for float64 logits), >= 0.
    """
    chex.assert_rank(logits, 2)
    return jnp.sum(jnp.square(at_least_float32(logits)), axis=1)


def focal_weights(losses: jax.Array, weights: jax.Array, focus: chex.Numeric) -> jax.Array:
    """Weigh examples by 1 / loss^focus: the larger the focus, the less do large losses count.

    Args:
      losses: float [B], >= 0.
      weights: float [B], >= 0, which are multiplied; rows of weight 0 keep it.
      focus: exponent, >= 0; may be traced.

    Returns:
      The dtype of ``losses``, [B], without a gradient; not normalised.

    References:
      Huang et al., "Unified Gradient-Based Machine Unlearning with Remain Geometry Enhancement",
      NeurIPS 2024, arXiv 2409.19732.
    """
    losses = jax.lax.stop_gradient(losses)
    powers = jnp.power(losses, jnp.asarray(focus, losses.dtype))
    return jnp.where(weights != 0, weights.astype(losses.dtype) / (powers + 1e-15), 0)


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
