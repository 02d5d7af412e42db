"""How much noise a weight may take, by its Fisher information: Fisher forgetting's formulas."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

EPSILON = 1e-8
MOST_VARIANCE, MOST_HEAD_VARIANCE = 1e3, 1e2
MOST_DEVIATION = 1e-3
STRONGER = 10.0
CLASS_VARIANCE = 1e-4


class Gaussian(NamedTuple):
    """Independent normal distributions of weights.

    Attributes:
      mean: pytree like the weights.
      variance: pytree like the weights, >= 0.
    """

    mean: Any
    variance: Any

    def at(self, normal: Any) -> Any:
        """The weights at standard normal numbers, a pytree of the same shapes."""
        return jax.tree.map(
            lambda m, v, n: m + (jnp.sqrt(v) * n).astype(m.dtype), self.mean, self.variance, normal
        )


def scrubbing_noise(
    params: Any,
    fisher: Any,
    head: Any,
    alpha: chex.Numeric,
    forgotten_classes: Sequence[int] = (),
) -> Gaussian:
    """Return what Fisher forgetting draws weights from, as its authors' code has it.

    The variance is alpha * min(1 / (F + 1e-8), 1e3), in the last linear layer with 1e2 for 1e3; in
    weights of several axes it is then averaged over inputs; and in the last linear layer and
    parameters of one axis it is ten times that. Where whole classes are forgotten, their own
    weights in the last linear layer have mean 0 and variance 1e-4, ten times.

    Args:
      params: pytree of weights, of which the last but one axis are inputs and the last are outputs.
      fisher: F, a pytree of the same shapes, >= 0.
      head: pytree of bool like ``params``, True for the last linear layer.
      alpha: strength of the noise, >= 0; may be traced.
      forgotten_classes: classes that are forgotten as a whole, each in [0, K).

    Returns:
      Means and variances, pytrees like ``params``.

    References:
      Golatkar, Achille, Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020,
      arXiv 1911.04933; caps, averages and factors are those of the authors' code.
    """
    chex.assert_trees_all_equal_shapes(params, fisher)
    own = np.asarray(forgotten_classes, int)

    def variance(weight: jax.Array, fisher: jax.Array, in_head: bool) -> jax.Array:
        most = MOST_HEAD_VARIANCE if in_head else MOST_VARIANCE
        found = alpha * jnp.minimum(1 / (fisher + EPSILON), most)
        if weight.ndim > 1:
            found = jnp.broadcast_to(found.mean(axis=-2, keepdims=True), found.shape)
        if in_head:
            found = found.at[..., own].set(CLASS_VARIANCE)
        return STRONGER * found if in_head or weight.ndim == 1 else found

    def mean(weight: jax.Array, in_head: bool) -> jax.Array:
        return weight.at[..., own].set(0) if in_head else weight

    return Gaussian(jax.tree.map(mean, params, head), jax.tree.map(variance, params, fisher, head))


def bounded_noise(params: Any, fisher: Any, num_classes: int, alpha: chex.Numeric) -> Gaussian:
    """Return the distribution from which an older code of Fisher forgetting draws weights.

    The standard deviation is min(sqrt(alpha / F), 1e-3), and ten times that in parameters whose
    last axis in PyTorch has ten entries, as the last bias has for ten classes.

    Args:
      params: pytree of weights.
      fisher: F, a pytree of the same shapes, >= 0.
      num_classes: number of outputs K.
      alpha: strength of the noise, >= 0; may be traced.

    Returns:
      Means, which are ``params``, and variances, a pytree like it.
    """
    chex.assert_trees_all_equal_shapes(params, fisher)

    def variance(weight: jax.Array, fisher: jax.Array) -> jax.Array:
        found = jnp.minimum(jnp.sqrt(alpha / fisher), MOST_DEVIATION)
        bias = weight.ndim == 1 and weight.shape[0] == num_classes == 10
        return jnp.square(STRONGER * found if bias else found)

    return Gaussian(params, jax.tree.map(variance, params, fisher))
