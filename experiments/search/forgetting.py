"""Whether a setting forgets: what tells originals from oracles, and how far it must have moved."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jax_unlearn.audit import accuracy
from jax_unlearn.audit.measures.probabilities import confidence, softmax
from jax_unlearn.core import Outputs, Predictions

WAY = 0.25
"""Part of the way from original to oracle that a setting must go, at least, to have forgotten."""


def mean_confidence(outputs: Outputs) -> float:
    """Mean probability of the true class, in percent; NaN of a model without finite logits."""
    return float(100.0 * confidence(softmax(outputs.logits), outputs.label).mean())


CONFIDENCE = "confidence on the forget set"

MEASURES = {"forget accuracy": accuracy, CONFIDENCE: mean_confidence}
"""By what forgetting is seen, the coarser and better known one first; both in percent."""


@dataclasses.dataclass(frozen=True)
class Forgotten:
    """What counts as having forgotten a request.

    Attributes:
      measure: a key of :data:`MEASURES`; '' where nothing tells originals from oracles, and there
        is nothing to forget.
      change: by how many percentage points it must fall on every seed, or rise if negative.
      before: its value of every original.
    """

    measure: str
    change: float
    before: tuple[float, ...]

    def __str__(self) -> str:
        if not self.measure:
            return "nothing tells the originals from the oracles"
        return (
            f"{self.measure} {'falls' if self.change > 0 else 'rises'} by at least "
            f"{abs(self.change):.2g} points on every seed"
        )

    def holds(self, values: Sequence[float]) -> bool:
        """Whether models with these values of the measure, one per seed, have forgotten."""
        if not self.measure:
            return True
        falls = np.subtract(self.before, values) * np.sign(self.change)
        return bool((falls >= abs(self.change)).all())


def forgotten(originals: Sequence[Predictions], oracles: Sequence[Predictions]) -> Forgotten:
    """Say what counts as having forgotten.

    Forget accuracy tells where originals and oracles differ in it by more than two models do by
    chance whose errors are independent (two standard deviations). A random sample is often too
    small for that, and its originals and oracles almost equally right: there the confidence in the
    true class tells, in which what was learnt by heart still shows.

    Args:
      originals: predictions of the originals.
      oracles: those of the oracles, of the same seeds.
    """
    right = np.mean([accuracy(oracle.forget) for oracle in oracles]) / 100.0
    chance = 200.0 * np.sqrt(2.0 * right * (1.0 - right) / len(oracles[0].forget.label))
    for (name, measure), noise in zip(MEASURES.items(), (chance, 0.0), strict=True):
        before = [measure(original.forget) for original in originals]
        way = np.mean(before) - np.mean([measure(oracle.forget) for oracle in oracles])
        if abs(way) > noise:
            return Forgotten(name, float(WAY * way), tuple(before))
    return Forgotten("", 0.0, ())
