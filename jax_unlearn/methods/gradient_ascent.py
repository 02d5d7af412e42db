"""Gradient ascent: raise the loss on the forget set."""

from typing import ClassVar

import chex

from jax_unlearn import functional
from jax_unlearn.core import FORGET, Pool, Problem, method, pool_rows, static
from jax_unlearn.methods.descent import Descent, needs_examples


@method
class GradientAscent(Descent):
    """Maximise cross-entropy on the forget set; the retain set is never touched.

    The loss has no upper bound, so the number of steps is the method's only brake.

    Source: Golatkar et al., "Eternal Sunshine of the Spotless Net", CVPR 2020, arXiv 1911.04933
    (there called negative gradient); frame and rate as in the comparisons of arXiv 2310.12508.
    """

    epochs: int = 5
    batch_size: int = static(256)
    learning_rate: float = 1e-4

    needs_retain: ClassVar[bool] = False

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The forget rows."""
        del key
        needs_examples("forget", problem.forget)
        return pool_rows(problem.forget, FORGET, augment=self.augment)

    def loss(self, model, key, state, variables, batch, step_info):
        """Negative mean cross-entropy."""
        del key, state, step_info
        logits, variables = model.forward(
            variables, batch.image, train=self.train_mode, weight=batch.weight
        )
        cross_entropy = functional.weighted_mean(
            functional.cross_entropy(logits, batch.label), batch.weight
        )
        return -cross_entropy, (variables, {"loss": -cross_entropy})


gradient_ascent = GradientAscent
