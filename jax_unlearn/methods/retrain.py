"""Retraining: the oracle that every method is compared with, and how originals are trained."""

import chex

from jax_unlearn.core import RETAIN, Problem, Variables
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, Schedule


class Retrain(Descent):
    """Train from the original's initial weights on the retain set alone; the exact answer.

    On a problem whose retain set is the whole training set this trains the original. Defaults are
    the recipe of He et al., "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495.
    """

    epochs: int = 100
    learning_rate: float = 0.1
    schedule: str | Schedule = "step"
    warmup_epochs: float = 2.0

    roles = (RETAIN,)

    def start(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The weights from which the original started, or fresh ones."""
        return problem.model.init(key) if problem.initial is None else problem.initial


retrain = constructor(Retrain)
