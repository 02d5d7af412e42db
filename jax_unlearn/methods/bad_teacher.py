"""Bad Teacher: imitate the original on the retain set and an ignorant network on the forget set."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Pool,
    Problem,
    check_choice,
    check_number,
    concatenate_pools,
    method,
    pool_rows,
    static,
)
from jax_unlearn.data.dataset import take
from jax_unlearn.methods.descent import Descent, needs_examples

REDUCTIONS = ("batch", "batch_and_classes")


@method
class BadTeacher(Descent):
    """Distil two teachers: the original for retain rows, a random network for forget rows.

    The loss is KL(teacher || student), both softened by ``temperature``, without the factor T^2.

    Attributes:
      temperature: softens both distributions, > 0.
      retain_fraction: share of the retain set that is shown, drawn once, in (0, 1].
      reduction: ``'batch'`` averages over examples; ``'batch_and_classes'`` also divides by the
        number of classes, as some released codes do.


    Sources: Chundawat et al., "Can Bad Teaching Induce Forgetting?", AAAI 2023, arXiv 2205.08096;
    the five-epoch AdamW frame of arXiv 2405.15495 is reached through the arguments.
    """

    epochs: int = 1
    batch_size: int = static(256)
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    optimizer: str = static("adam")
    augment: bool = static(False)
    temperature: float = 1.0
    retain_fraction: float = static(0.3)
    reduction: str = static("batch")

    def __post_init__(self):
        super().__post_init__()
        check_number("temperature", self.temperature, above=0)
        check_number("retain_fraction", self.retain_fraction, above=0, high=1)
        check_choice("reduction", self.reduction, REDUCTIONS)

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """The two teachers' weights."""
        return {"good": problem.variables, "bad": problem.model.init(key)}

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """A share of the retain rows, then all forget rows."""
        needs_examples("forget", problem.forget)
        n = len(problem.retain.label)
        kept = jax.random.permutation(key, n)[: max(1, round(self.retain_fraction * n))]
        kept = np.sort(np.asarray(kept))
        return concatenate_pools(
            pool_rows(take(problem.retain, kept), RETAIN, augment=self.augment),
            pool_rows(problem.forget, FORGET, augment=self.augment),
        )

    def loss(self, model, key, state, variables, batch, step_info):
        """Mean divergence of the student from the teacher of each example."""
        del key, step_info
        student, variables = model.forward(
            variables, batch.image, train=self.train_mode, weight=batch.weight
        )
        good = model.logits(state.extra["good"], batch.image)
        bad = model.logits(state.extra["bad"], batch.image)
        teacher = jnp.where((batch.role == FORGET)[:, None], bad, good)
        divergence = functional.kl_divergence(teacher, student, self.temperature)
        if self.reduction == "batch_and_classes":
            divergence = divergence / student.shape[1]
        loss = functional.weighted_mean(divergence, batch.weight)
        return loss, (variables, {"loss": loss})


bad_teacher = BadTeacher
