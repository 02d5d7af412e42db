"""Rounds of steps: a batch of the forget set, then several of the retain set."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Pool,
    StepInfo,
    check_number,
    shuffled_rows,
    static,
)
from jax_unlearn.methods.descent import Optimized

ROUNDS = 5
"""Rounds in an epoch, which is what passes between two looks at the model."""


class Rounds(Optimized):
    """Iterations on the retain set, of which every few begin with a step on the forget set.

    All rows of a batch are of one role, and both kinds of step go through one optimizer. Each set
    is shown in a stream of shuffled passes that does not end with an epoch.

    Attributes:
      iterations: number of retain steps.
      forget_every: iterations from one forget step to the next.
    """

    iterations: int = 1500
    forget_every: int = static(5)

    history_unit = "look"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("iterations", "forget_every"):
            check_number(name, getattr(self, name), low=1, whole=True)

    @property
    def num_epochs(self) -> int:
        """Stretches of five rounds, the last one shorter."""
        return -(-self.iterations // (ROUNDS * self.forget_every))

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """The next rounds' batches: a forget batch before every ``forget_every`` retain batches."""
        every, width = self.forget_every, self.batch_size
        first = epoch * ROUNDS * every
        count = min(ROUNDS * every, self.iterations - first)
        rounds = -(-count // every)
        forget, retain = (
            shuffled_rows(
                jax.random.fold_in(key, role),
                np.flatnonzero(pool.role == role),
                width,
                start=start,
                steps=steps,
            )
            for role, start, steps in ((FORGET, epoch * ROUNDS, rounds), (RETAIN, first, count))
        )
        missing = np.full((-count % every, width), -1, np.int32)
        after = np.concatenate([retain, missing]).reshape(rounds, every, width)
        rows = np.concatenate([np.asarray(forget)[:, None], after], axis=1).reshape(-1, width)
        return jnp.asarray(rows[: rounds + count])

    def place(self, info: StepInfo) -> tuple[jax.Array, jax.Array]:
        """Number of a step's iteration, and its place in its round: 0 is the forget step."""
        turn, place = jnp.divmod(info.step, self.forget_every + 1)
        return turn * self.forget_every + jnp.maximum(place - 1, 0), place


def is_forget(batch: Batch) -> jax.Array:
    """Whether a batch is one of forget rows; padding stands at its end."""
    return batch.role[0] == FORGET
