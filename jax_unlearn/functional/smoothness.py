"""How much a network's output moves with its input, between two inputs."""

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import at_least_float32


def perturb(
    images: jax.Array, noise: jax.Array, sigma: chex.Numeric, weight: jax.Array | None = None
) -> jax.Array:
    """Return images + sigma * noise, cut to the range of the batch's own pixels.

    Args:
      images: float [B, H, W, C].
      noise: float [B, N, H, W, C], N draws for each image.
      sigma: the noise's strength, in units of the pixels; may be traced.
      weight: float [B], 0 for padding, whose pixels do not count for the range; None does not cut.

    Returns:
      The dtype of ``images``, [B, N, H, W, C].
    """
    chex.assert_rank([images, noise], [4, 5])
    moved = images[:, None] + (sigma * noise).astype(images.dtype)
    if weight is None:
        return moved
    real = (weight > 0)[:, None, None, None]
    low = jnp.min(images, where=real, initial=jnp.inf)
    high = jnp.max(images, where=real, initial=-jnp.inf)
    return jnp.clip(moved, low, high)


def local_lipschitz(
    logits: jax.Array, other_logits: jax.Array, images: jax.Array, others: jax.Array
) -> jax.Array:
    """Return |f(x) - f(x')| / |x - x'| of every example and every neighbour x', by L2 norms.

    Where the outputs are equal, value and gradient are exactly zero.

    Args:
      logits: float [B, K], f(x).
      other_logits: float [B, N, K], f(x').
      images: float [B, H, W, C], x.
      others: float [B, N, H, W, C], x'.

    Returns:
      float32 [B, N] (float64 for float64 logits), >= 0.
    """
    chex.assert_rank([logits, other_logits, images, others], [2, 3, 4, 5])
    apart = _norm(at_least_float32(logits)[:, None] - at_least_float32(other_logits))
    steps = at_least_float32(images)[:, None] - at_least_float32(others)
    length = _norm(steps.reshape(*steps.shape[:2], -1))
    return apart / jnp.maximum(length, jnp.finfo(length.dtype).tiny)


def _norm(x: jax.Array) -> jax.Array:
    """L2 norm over the last axis, of which the gradient at zero is zero."""
    square = jnp.sum(x * x, axis=-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
