"""Gradients of whole sets in train mode, which moves running statistics batch by batch."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp

from jax_unlearn import functional
from jax_unlearn.core import Examples, Model, Variables, split_variables, to_unit, with_params
from jax_unlearn.methods.descent import as_before
from jax_unlearn.sharding import batch_sharding


def add_gradients(
    model: Model,
    carry: tuple[Any, Variables],
    examples: Examples,
    sign: float,
    batch_size: int,
    *,
    key: chex.PRNGKey | None = None,
) -> tuple[Any, Variables]:
    """Add a set's signed gradients, batch by batch in train mode.

    Args:
      model: the network.
      carry: scores so far, a pytree like the parameters; and the variables, whose statistics each
        batch moves.
      examples: the set; images are not augmented.
      sign: what the gradients are multiplied by.
      batch_size: rows at a time; each batch counts as its mean.
      key: randomness of a network that draws in train mode.
    """
    add, arrays = functools.partial(_add_batch, model, sign), (examples.image, examples.label)
    sharding = batch_sharding(carry[1])
    key = key if model.takes_key else None
    *carry, _ = functional.fold_batches(add, (*carry, key), arrays, batch_size, sharding=sharding)
    return tuple(carry)


@functools.partial(jax.jit, static_argnames="model")
def _add_batch(
    model: Model,
    sign: float,
    carry: tuple[Any, Variables, chex.PRNGKey | None],
    images: jax.Array,
    labels: jax.Array,
    weight: jax.Array,
) -> tuple[Any, Variables, chex.PRNGKey | None]:
    total, variables, key = carry
    now, following = (None, None) if key is None else jax.random.split(key)

    def objective(params: Any) -> tuple[jax.Array, Variables]:
        before = with_params(variables, params)
        logits, after = model.forward(before, to_unit(images), train=True, weight=weight, key=now)
        losses = functional.cross_entropy(logits, labels)
        return sign * functional.weighted_mean(losses, weight), after

    gradients, after = jax.grad(objective, has_aux=True)(split_variables(variables)[0])
    return jax.tree.map(jnp.add, total, gradients), as_before(after, variables), following
