"""NegGrad+: descend on the retain set while ascending on the forget set."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Pool,
    SearchRange,
    StepInfo,
    check_number,
    shuffled_rows,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, Forward


class NegGradPlus(Descent):
    """Minimise ``alpha * CE(retain) - (1 - alpha) * CE(forget)``, batch paired with batch.

    An epoch is a pass over the retain set; the forget set goes round as often as that takes. Each
    step shows ``batch_size`` retain rows and as many forget rows in one forward pass, in eval mode
    as in the original code; with ``train_mode`` both halves share their BatchNorm statistics.

    Attributes:
      alpha: weight of the retain set, in [0, 1].

    Source: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023,
    arXiv 2302.09880.
    """

    alpha: float = 0.95
    train_mode: bool = False

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "alpha": SearchRange("float", 0.7, 1.0),
    }
    title = "NegGrad+"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha, low=0, high=1)

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """Rows of each step: int32 [steps, 2 * batch_size], retain rows first."""
        retain_key, forget_key = jax.random.split(jax.random.fold_in(key, epoch))
        retain = shuffled_rows(retain_key, jnp.flatnonzero(pool.role == RETAIN), self.batch_size)
        forget = shuffled_rows(
            forget_key,
            jnp.flatnonzero(pool.role == FORGET),
            self.batch_size,
            steps=retain.shape[0],
        )
        return jnp.concatenate([retain, forget], axis=1)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Weighted difference of the two mean cross-entropies."""
        del extra, info
        cross_entropy = functional.cross_entropy(forward(batch), batch.label)
        retain, forget = (
            functional.weighted_mean(cross_entropy, jnp.where(batch.role == role, batch.weight, 0))
            for role in (RETAIN, FORGET)
        )
        loss = self.alpha * retain - (1.0 - self.alpha) * forget
        return loss, {"retain_loss": retain, "forget_loss": forget}


neggrad_plus = constructor(NegGradPlus)
