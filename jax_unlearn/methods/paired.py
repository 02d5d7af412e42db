"""Descent on pairs of batches, one of retain and one of forget rows."""

from typing import ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import FORGET, RETAIN, Batch, Pool, check_choice, shuffled_rows
from jax_unlearn.methods.descent import Descent, Forward
from jax_unlearn.methods.turns import in_turn

PASSES = ("separate", "joint")


class Paired(Descent):
    """Show a batch of retain rows and one of forget rows in each step; subclasses give the loss.

    An epoch is a pass over one of the two sets, ``paced_by``; the other goes round as often as that
    takes, or begins with as many rows as that takes.

    Attributes:
      passes: where BatchNorm uses the batch's statistics, whether retain rows go through the
        network first and forget rows after them, ``'separate'``, each with statistics of their own
        and both moving the running ones; or all in one pass, ``'joint'``, whose statistics they
        share. In eval mode both are the same, and one pass is made.
    """

    passes: str = "separate"

    paced_by: ClassVar[int] = RETAIN
    """The role of the rows of which an epoch shows each once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("passes", self.passes, PASSES)

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """Rows of each step: int32 [steps, 2 * batch_size], retain and forget rows in turn."""
        key = jax.random.fold_in(key, epoch)
        keys = dict(zip((RETAIN, FORGET), jax.random.split(key), strict=True))

        def deal(role: int, steps: int | None = None) -> jax.Array:
            rows = np.flatnonzero(pool.role == role)
            return shuffled_rows(keys[role], rows, self.batch_size, steps=steps)

        pace = deal(self.paced_by)
        dealt = {
            role: pace if role == self.paced_by else deal(role, len(pace))
            for role in (RETAIN, FORGET)
        }
        return jnp.asarray(in_turn(dealt[RETAIN], dealt[FORGET]))

    def pair(
        self, forward: Forward, batch: Batch
    ) -> tuple[tuple[jax.Array, Batch], tuple[jax.Array, Batch]]:
        """Logits and rows of the retain part, and of the forget part; other rows have weight 0."""
        if self.train_mode and self.passes == "separate":
            parts = (jax.tree.map(lambda x, i=i: _every_other(x, i), batch) for i in (0, 1))
            retain, forget = ((forward(part), part) for part in parts)
            return retain, forget
        logits = forward(batch)
        weights = (jnp.where(batch.role == role, batch.weight, 0) for role in (RETAIN, FORGET))
        retain, forget = ((logits, batch._replace(weight=weight)) for weight in weights)
        return retain, forget


def _every_other(x: jax.Array, first: int) -> jax.Array:
    """The rows first, first + 2, ...; a last one that has no partner is padding."""
    pairs = len(x) // 2
    return x[: 2 * pairs].reshape(pairs, 2, *x.shape[1:])[:, first]
