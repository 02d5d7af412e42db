"""Images that are made from noise to stand against a class."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from jax_unlearn.functional.losses import cross_entropy
from jax_unlearn.functional.sensitivity import LogitsFn


def error_maximizing_noise(
    logits_fn: LogitsFn,
    noise: jax.Array,
    labels: jax.Array,
    *,
    steps: int,
    rate: jax.Array | float = 0.1,
    penalty: jax.Array | float = 0.1,
    count: jax.Array | float = 1.0,
) -> jax.Array:
    """Lead images away from their classes by Adam, without clipping them.

    Adam lowers the sum over images of ``penalty`` * |image|^2 - cross-entropy, over ``count``. An
    image's course does not depend on the others.

    Args:
      logits_fn: maps images [B, H, W, C] to logits [B, K], each example on its own (eval mode).
      noise: float [B, H, W, C], where each image starts.
      labels: int [B], in [0, K), the classes that they shall not look like.
      steps: number of updates.
      rate: of Adam.
      penalty: of the squared norm, a sum over pixels, >= 0.
      count: what the loss is divided by, > 0. It matters to Adam's epsilon alone.

    Returns:
      Like ``noise``, anywhere on the real line.

    Source: Tarun et al., "Fast Yet Effective Machine Unlearning", IEEE TNNLS 2023, arXiv
    2111.08947.
    """
    chex.assert_rank([noise, labels], [4, 1])

    def loss(noise: jax.Array) -> jax.Array:
        away = cross_entropy(logits_fn(noise), labels).sum()
        return (penalty * jnp.sum(noise**2) - away) / count

    adam = optax.scale_by_adam()

    def advance(_: int, carry: tuple[jax.Array, optax.OptState]) -> tuple[Any, optax.OptState]:
        noise, moments = carry
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam raises a float to a whole number
            direction, moments = adam.update(jax.grad(loss)(noise), moments)
        return noise - rate * direction, moments

    return jax.lax.fori_loop(0, steps, advance, (noise, adam.init(noise)))[0]
