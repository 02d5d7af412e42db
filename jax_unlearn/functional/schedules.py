"""Learning-rate multipliers of one update.

Each takes the number of the update ``step`` (0 is the first) and the number of updates planned
``steps``. Both may be traced integers, so a run of another length compiles nothing anew.
"""

import fractions

import jax
import jax.numpy as jnp


def constant(step: jax.Array | int, steps: jax.Array | int) -> jax.Array:
    """Return 1 for every update.

    Args:
      step: number of the update, from 0; may be traced.
      steps: number of updates planned; may be traced.

    Returns:
      A float32 scalar (float64 where JAX is set to it).
    """
    del step, steps
    return jnp.ones((), float)


def cosine(step: jax.Array | int, steps: jax.Array | int) -> jax.Array:
    """Return half a cosine from nearly 1 to exactly 0 at the last update, without warm-up.

    Update k of T counted from 1, so k = step + 1, uses 0.5 + 0.5 cos(pi k / T): the rate is
    lowered before each update (Loshchilov and Hutter, SGDR, 2016, arXiv 1608.03983).

    Args:
      step: number of the update, from 0; may be traced.
      steps: number of updates planned; may be traced.

    Returns:
      A float32 scalar (float64 where JAX is set to it) in [0, 1).
    """
    return _half_cosine(step + 1, steps)


def cosine_by_epoch(epoch: jax.Array | int, epochs: jax.Array | int) -> jax.Array:
    """Return half a cosine from exactly 1, one value for all updates of an epoch; never 0.

    Epoch e of E counted from 0 uses 0.5 + 0.5 cos(pi e / E).

    Args:
      epoch: number of the epoch, from 0; may be traced.
      epochs: number of epochs planned; may be traced.

    Returns:
      A float32 scalar (float64 where JAX is set to it) in (0, 1].
    """
    return _half_cosine(epoch, epochs)


def triangle_by_epoch(epoch: jax.Array | int, epochs: jax.Array | int) -> jax.Array:
    """Rise to 1 in even steps and fall again, one value for all updates of an epoch; never 0.

    Epoch e of E counted from 1 uses e / m up to the middle m = (E + 1) // 2, and afterwards
    (E + 1 - e) / (E + 1 - m).

    Args:
      epoch: number of the epoch, from 0; may be traced.
      epochs: number of epochs planned; may be traced.

    Returns:
      A float32 scalar (float64 where JAX is set to it) in (0, 1].
    """
    number, end = jnp.asarray(epoch, jnp.int32) + 1, jnp.asarray(epochs, jnp.int32) + 1
    middle = end // 2
    rising = number.astype(float) / middle.astype(float)
    falling = (end - number).astype(float) / (end - middle).astype(float)
    return jnp.where(number <= middle, rising, falling)


def _half_cosine(done: jax.Array | int, of: jax.Array | int) -> jax.Array:
    share = jnp.asarray(done, float) / jnp.asarray(of, float)
    return 0.5 + 0.5 * jnp.cos(jnp.asarray(jnp.pi, float) * share)


def step_decay(
    step: jax.Array | int,
    steps: jax.Array | int,
    warmup_steps: jax.Array | int,
    milestones: tuple[float, ...] = (0.6, 0.8),
    factor: jax.Array | float = 0.1,
) -> jax.Array:
    """Return a linear warm-up from 0, then 1, then one more ``factor`` after each milestone.

    Update ``step`` of the warm-up uses step / warmup_steps, so the first update uses 0. A
    milestone m acts on the updates with step > m * steps, decided in integers.

    Args:
      step: number of the update, from 0; may be traced.
      steps: number of updates planned; may be traced.
      warmup_steps: length of the warm-up, 0 for none; may be traced.
      milestones: shares of the run in (0, 1), static.
      factor: multiplier of each milestone; may be traced.

    Returns:
      A float32 scalar (float64 where JAX is set to it) in [0, 1].
    """
    step, steps = jnp.asarray(step, jnp.int32), jnp.asarray(steps, jnp.int32)
    warmup_steps = jnp.asarray(warmup_steps, jnp.int32)
    rising = step.astype(float) / jnp.maximum(warmup_steps, 1).astype(float)
    rate = jnp.where(step < warmup_steps, rising, 1)
    for milestone in milestones:
        share = fractions.Fraction(milestone).limit_denominator(10_000)
        # The floor of steps * share; quotient and rest apart, so that int32 does not overflow.
        quotient, rest = jnp.divmod(steps, share.denominator)
        boundary = quotient * share.numerator + rest * share.numerator // share.denominator
        rate = jnp.where(step > boundary, rate * jnp.asarray(factor, float), rate)
    return rate
