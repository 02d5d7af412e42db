"""Descent that ends once the forget set is no longer recognised."""

from collections.abc import Mapping, Sequence

import numpy as np

from jax_unlearn.core import Model, Problem, State, check_number
from jax_unlearn.methods.descent import needs_examples
from jax_unlearn.methods.stretches import Stretches
from jax_unlearn.models.predict import predict_logits


class UntilForgotten(Stretches):
    """Take steps, and look at the accuracy on the forget set from time to time.

    Attributes:
      check_every: steps between looks at the whole forget set, in eval mode.
      stop_accuracy: forget accuracy in percent at or below which the run ends.
    """

    stop_accuracy: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("stop_accuracy", self.stop_accuracy, low=0, high=100)

    def measure(self, model: Model, state: State, problem: Problem) -> dict[str, float]:
        """The forget accuracy in percent."""
        forget = needs_examples("forget", problem.forget)
        predicted = predict_logits(model, state.variables, forget.image).argmax(axis=1)
        return {"checked_accuracy": 100.0 * float(np.mean(predicted == forget.label))}

    def stop(self, history: Sequence[Mapping[str, float]], problem: Problem) -> bool:
        """Whether enough of the forget set is misclassified."""
        del problem
        return history[-1]["checked_accuracy"] <= self.stop_accuracy
