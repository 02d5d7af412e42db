"""l1-sparse: fine-tune while a shrinking penalty drives weights to zero."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jax_unlearn import functional
from jax_unlearn.core import RETAIN, Batch, SearchRange, StepInfo, check_number, static
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, Forward


class L1Sparse(Descent):
    """Minimise ``CE(retain) + alpha_e * sum |theta|``, over every parameter.

    In epoch e = 0, 1, ... of E, ``alpha_e = alpha * (1 - e / (E - no_l1_epochs))``, and 0 in the
    last ``no_l1_epochs``. So the paper's linear fall to zero ends at alpha / E, as in the released
    code. Where no epoch has a penalty, ``no_l1_epochs = E``, one release of the authors has it at
    alpha in all of them; here as in the other one there is none.

    Attributes:
      alpha: weight of the penalty in the first epoch, >= 0.
      no_l1_epochs: epochs at the end that have no penalty, at most all of them.

    Source: Jia, Liu, Ram, Yao, Liu, Liu, Sharma, Liu, "Model Sparsity Can Simplify Machine
    Unlearning", NeurIPS 2023, arXiv 2304.04934; frame and rate as in the comparisons of arXiv
    2310.12508.
    """

    batch_size: int = static(256)
    alpha: float = 5e-4
    no_l1_epochs: int = 0

    roles = (RETAIN,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-3, 3.0),
        "alpha": SearchRange("log", 1e-6, 1e-1),
    }
    title = "l1-sparse"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha, low=0)
        check_number("no_l1_epochs", self.no_l1_epochs, low=0, high=self.epochs, whole=True)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Cross-entropy and the penalty; reports both."""
        losses = self.losses(forward(batch), batch, extra, info)
        retain = functional.weighted_mean(losses, batch.weight)
        penalty = self._alpha(info) * functional.l1_norm(forward.params)
        return retain + penalty, {"retain_loss": retain, "penalty": penalty}

    def _alpha(self, info: StepInfo) -> jax.Array:
        with_penalty = info.epochs - self.no_l1_epochs
        done = jnp.asarray(info.epoch, float) / jnp.asarray(jnp.maximum(with_penalty, 1), float)
        return self.alpha * jnp.where(info.epoch < with_penalty, 1 - done, 0)


l1_sparse = constructor(L1Sparse)
