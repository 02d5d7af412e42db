"""Two banks of models, compared example by example through the models' confidences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn.audit.measures.confidence import logit_confidence
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.core import Predictions

BANK_EXAMPLES = 2000
"""Retain and test examples, evenly spaced, that banks are compared on; the forget set is whole."""


class BankConfidences(NamedTuple):
    """What banks are compared by; rows are models.

    Attributes:
      forget: float64 [N, E], logit confidence of each forget example.
      retain: float64 [N, R], of retain examples.
      test: float64 [N, T], of test examples of remaining classes.
      retain_accuracy: float64 [N], in percent.
      test_accuracy: float64 [N], in percent.
    """

    forget: np.ndarray
    retain: np.ndarray
    test: np.ndarray
    retain_accuracy: np.ndarray
    test_accuracy: np.ndarray

    def models(self, rows: Sequence[int] | np.ndarray) -> "BankConfidences":
        """The same of some models."""
        return BankConfidences(*(array[np.asarray(rows, int)] for array in self))


class BankPair:
    """A bank of unlearned models and one of oracles, as measures of kind 'banks' take them.

    Attributes:
      unlearned: confidences of the unlearned models.
      oracle: confidences of the oracles.
      protocol: the choices that numbers depend on.
    """

    def __init__(
        self,
        unlearned: BankConfidences,
        oracle: BankConfidences,
        protocol: AuditProtocol | None = None,
    ):
        self.unlearned, self.oracle = unlearned, oracle
        self.protocol = protocol or AuditProtocol()
        self._found: dict[Callable, Any] = {}

    def once(self, function: "Callable[[BankPair], Any]") -> Any:
        """Return ``function(self)``, computed the first time only: several measures share it."""
        if function not in self._found:
            self._found[function] = function(self)
        return self._found[function]


def bank_confidences(
    runs: Sequence[Predictions], measured: Sequence[Mapping[str, float]]
) -> BankConfidences:
    """Gather what banks are compared by.

    Args:
      runs: the models' outputs, at least one.
      measured: their measures of kind 'alone', RA and TA among them.
    """
    first = runs[0]
    remaining = np.flatnonzero(~first.test_forgotten)
    rows = {
        "forget": np.arange(len(first.forget.label)),
        "retain": _spread(np.arange(len(first.retain.label))),
        "test": _spread(remaining),
    }

    def confidences(split: str) -> np.ndarray:
        chosen = rows[split]
        return np.stack(
            [
                logit_confidence(outputs.logits[chosen], outputs.label[chosen])
                for outputs in (getattr(run, split) for run in runs)
            ]
        )

    return BankConfidences(
        *(confidences(split) for split in ("forget", "retain", "test")),
        *(np.array([values[name] for values in measured]) for name in ("RA", "TA")),
    )


def probability(log_odds: np.ndarray) -> np.ndarray:
    """Return the probability of the true class, float64 in [0, 1], of its log-odds."""
    # In this form nothing overflows.
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def _spread(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= BANK_EXAMPLES:
        return rows
    return rows[np.linspace(0, len(rows) - 1, BANK_EXAMPLES).astype(int)]
