"""Bad Teacher: imitate the original on the retain set and an ignorant network on the forget set."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Pool,
    Problem,
    SearchRange,
    StepInfo,
    check_choice,
    check_number,
    concatenate_pools,
    pool_rows,
    static,
)
from jax_unlearn.data.dataset import take
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, Forward, OptimizerFactory, needs_examples
from jax_unlearn.models.predict import predict_logits

REDUCTIONS = ("batch", "batch_and_classes")


class BadTeacher(Descent):
    """Distil two teachers: the original for retain rows, a random network for forget rows.

    The loss is KL(teacher || student), both softened by ``temperature``, without the factor T^2.

    Attributes:
      temperature: softens both distributions, > 0.
      retain_fraction: share of the retain set that is shown, drawn once, in (0, 1].
      reduction: ``'batch'`` averages over examples; ``'batch_and_classes'`` also divides by the
        number of classes, as the authors' code does.

    Sources: Chundawat et al., "Can Bad Teaching Induce Forgetting?", AAAI 2023, arXiv 2205.08096;
    the five-epoch AdamW frame of arXiv 2405.15495 is reached through the arguments.
    """

    epochs: int = 1
    batch_size: int = static(256)
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    optimizer: str | OptimizerFactory = "adam"
    augment: bool = False
    temperature: float = 1.0
    retain_fraction: float = static(0.3)
    reduction: str = "batch"

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 3e-1),
        "temperature": SearchRange("log", 0.25, 8.0),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("temperature", self.temperature, above=0)
        check_number("retain_fraction", self.retain_fraction, above=0, high=1)
        check_choice("reduction", self.reduction, REDUCTIONS)

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """The two teachers' weights, where augmented rows have them asked afresh at every step."""
        if not self.augment:
            return {}
        return {"good": problem.variables, "bad": problem.model.init(key)}

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """A share of the retain rows, then all forget rows, each with its teacher's logits.

        The rows that are augmented have none: what a teacher says changes with every crop.
        """
        forget = needs_examples("forget", problem.forget)
        retain = needs_examples("retain", problem.retain)
        n = len(retain.label)
        drawn = jax.random.permutation(key, n)[: self._num_retain(n)]
        kept = np.sort(np.asarray(drawn))
        pools = [
            pool_rows(take(retain, kept), RETAIN, augment=self.augment),
            pool_rows(forget, FORGET, augment=self.augment),
        ]
        if not self.augment:
            # A key of its own: the other one has drawn the retain rows.
            bad = problem.model.init(jax.random.fold_in(key, 1))
            for index, weights in enumerate((problem.variables, bad)):
                logits = predict_logits(problem.model, weights, pools[index].image)
                pools[index] = pools[index]._replace(extra={"teacher": logits})
        return concatenate_pools(*pools)

    def count_rows(self, problem: Problem) -> int:
        """The share of the retain rows, and all forget rows."""
        forget = needs_examples("forget", problem.forget)
        retain = needs_examples("retain", problem.retain)
        return self._num_retain(len(retain.label)) + len(forget.label)

    def _num_retain(self, n: int) -> int:
        return max(1, round(self.retain_fraction * n))

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean divergence of the student from the teacher of each example."""
        del info
        if self.augment:
            good, bad = (forward.model.logits(extra[name], batch.image) for name in ("good", "bad"))
            teacher = jnp.where((batch.role == FORGET)[:, None], bad, good)
        else:
            teacher = batch.extra["teacher"]
        student = forward(batch)
        divergence = functional.kl_divergence(teacher, student, self.temperature)
        if self.reduction == "batch_and_classes":
            divergence = divergence / student.shape[1]
        return functional.weighted_mean(divergence, batch.weight), {}


bad_teacher = constructor(BadTeacher)
