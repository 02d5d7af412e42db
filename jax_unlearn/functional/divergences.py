"""Distances between predicted distributions, in nats, straight from logits."""

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import at_least_float32


def _weigh(probability: jax.Array, log_ratio: jax.Array) -> jax.Array:
    """Multiply, with the limit 0 * log 0 = 0 in the value and in the gradient."""
    return probability * jnp.where(probability > 0, log_ratio, 0)


@jax.custom_jvp
def _kl(target_logits: jax.Array, logits: jax.Array) -> jax.Array:
    log_p = jax.nn.log_softmax(target_logits, axis=-1)
    log_q = jax.nn.log_softmax(logits, axis=-1)
    return jnp.sum(_weigh(jnp.exp(log_p), log_p - log_q), axis=-1)


@_kl.defjvp
def _kl_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    # Differentiating the value gives q * sum(p) - p, and a floating-point sum(p) is not quite 1:
    # a student that equals its teacher would drift. In closed form the gradient is q - p.
    target_logits, logits = primals
    target_dot, logits_dot = tangents
    value = _kl(target_logits, logits)
    p, q = jax.nn.softmax(target_logits, axis=-1), jax.nn.softmax(logits, axis=-1)
    log_ratio = jax.nn.log_softmax(target_logits, axis=-1) - jax.nn.log_softmax(logits, axis=-1)
    by_target = _weigh(p, log_ratio - value[..., None])
    return value, jnp.sum(by_target * target_dot + (q - p) * logits_dot, axis=-1)


def kl_divergence(
    target_logits: jax.Array, logits: jax.Array, temperature: jax.Array | float = 1.0
) -> jax.Array:
    """Return KL(softmax(target / T) || softmax(logits / T)) of every example, in nats.

    There is no factor T^2. Where both logits are equal, value and gradient are exactly zero.

    Args:
      target_logits: float [B, K]; -inf excludes a class.
      logits: float [B, K].
      temperature: T > 0; may be traced.

    Returns:
      float32 [B] (float64 for float64 logits), >= 0 up to rounding.
    """
    chex.assert_rank([target_logits, logits], 2)
    chex.assert_equal_shape([target_logits, logits])
    target_logits, logits = at_least_float32(target_logits), at_least_float32(logits)
    temperature = jnp.asarray(temperature, logits.dtype)
    return _kl(target_logits / temperature, logits / temperature)


def without_class(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Take one class out of every example's distribution; the others keep their proportions.

    The target of DELETE (Zhou and others, Decoupled Distillation to Erase, 2025, arXiv 2503.23751).

    Args:
      logits: float [B, K].
      labels: int [B], in [0, K), the class to take out.

    Returns:
      float32 [B, K] (float64 for float64 logits), -inf at the class.
    """
    chex.assert_rank([logits, labels], [2, 1])
    chex.assert_type(labels, int)
    logits = at_least_float32(logits)
    return jnp.where(jax.nn.one_hot(labels, logits.shape[1], dtype=bool), -jnp.inf, logits)


def js_divergence(logits_p: jax.Array, logits_q: jax.Array) -> jax.Array:
    """Return the Jensen-Shannon divergence of every example, in nats: symmetric, in [0, ln 2].

    The mean of KL(P || M) and KL(Q || M), where M is the even mixture of P and Q (Lin, Divergence
    measures based on the Shannon entropy, IEEE Transactions on Information Theory 1991).

    Args:
      logits_p: float [B, K]; -inf excludes a class.
      logits_q: float [B, K]; -inf excludes a class.

    Returns:
      float32 [B] (float64 for float64 logits).
    """
    chex.assert_rank([logits_p, logits_q], 2)
    chex.assert_equal_shape([logits_p, logits_q])
    log_p = jax.nn.log_softmax(at_least_float32(logits_p), axis=-1)
    log_q = jax.nn.log_softmax(at_least_float32(logits_q), axis=-1)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    middle = 0.5 * (p + q)
    log_middle = jnp.log(jnp.where(middle > 0, middle, 1))
    total = _weigh(p, log_p - log_middle) + _weigh(q, log_q - log_middle)
    return 0.5 * jnp.sum(total, axis=-1)


def entropy(logits: jax.Array) -> jax.Array:
    """Return the entropy of softmax(logits) of every example, in nats.

    Args:
      logits: float [B, K]; -inf excludes a class.

    Returns:
      float32 [B] (float64 for float64 logits), in [0, ln K].
    """
    chex.assert_rank(logits, 2)
    log_p = jax.nn.log_softmax(at_least_float32(logits), axis=-1)
    return -jnp.sum(_weigh(jnp.exp(log_p), log_p), axis=-1)
