"""What an attack on banks of models achieves, with intervals over models.

An attack is fitted on some models and scores others. Both banks are dealt into folds; the models
of a fold are scored by an attack fitted on the other folds, and scores are compared within a fold
only, since scores of different fits share no scale and a model scored in one fold was fitted in
the other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn.audit.measures.banks import BankPair
from jax_unlearn.audit.measures.bootstrap import Estimate, check_resampling, percentile_interval
from jax_unlearn.audit.measures.measure import Measure, of_banks
from jax_unlearn.core import InputError, check_number
from jax_unlearn.wording import counted


class AttackScores(NamedTuple):
    """Scores of held-out models, larger for what the attack takes for unlearned.

    Attributes:
      unlearned: float64 [N, E].
      oracle: float64 [M, E].
      unlearned_fold: int64 [N], the fold that each unlearned model was held out in.
      oracle_fold: int64 [M], likewise.
    """

    unlearned: np.ndarray
    oracle: np.ndarray
    unlearned_fold: np.ndarray
    oracle_fold: np.ndarray


class AttackReport(NamedTuple):
    """How well an attack tells unlearned models from oracles, over models and examples.

    Attributes:
      accuracy: balanced, at the attack's own threshold, ties counted half; 0.5 for a perfect
        unlearning. NaN for an attack that has no threshold of its own.
      auc: area under the ROC curve; 0.5 for a perfect unlearning.
      tpr_at_1_percent: true positive rate at a false positive rate of 1 %; 0.01 for a perfect one.
      tpr_at_01_percent: the same at 0.1 %.
      examples: that were scored under every model; those with NaN are left out.
    """

    accuracy: Estimate
    auc: Estimate
    tpr_at_1_percent: Estimate
    tpr_at_01_percent: Estimate
    examples: int


def deal_folds(models: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return a fold for each model, int64 [models], sizes equal up to one, in random order."""
    return rng.permutation(np.arange(models) % folds)


def check_folds(name: str, models: int, folds: int, *, fitted: int) -> None:
    """Raise InputError unless every fold holds a model and leaves at least ``fitted`` others.

    Args:
      name: of the bank, for the message.
      models: in the bank.
      folds: that they are dealt into.
      fitted: models that a fit needs.
    """
    check_number("folds", folds, low=2, whole=True)
    needed = max(folds, -(-fitted * folds // (folds - 1)))
    if models < needed:
        raise InputError(
            f"{name}={counted(models, 'model')}: expected at least {needed}, for {folds} folds "
            f"that each hold a model to score and leave {fitted} or more to fit on; train a larger "
            "bank"
        )


def of_attack(
    name: str, title: str, field: str, report: Callable[[BankPair], AttackReport], **more: Any
) -> Measure:
    """Return a measure of two banks that is one number of an attack's report.

    Args:
      name: of the measure.
      title: of the attack and of the number.
      field: of :class:`AttackReport`.
      report: makes the report, once for all measures that share it.
      **more: further fields of the measure.
    """

    def function(pair: BankPair) -> float:
        return getattr(pair.once(report), field).value

    # It is the attack's, and so found in the attack's module.
    function.__module__ = report.__module__
    return of_banks(name, title, "", function, **{"high": 1.0, **more})


def attack_report(
    scores: AttackScores,
    *,
    threshold: float | None = None,
    n_resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> AttackReport:
    """Return the rates of an attack, each the mean over folds, with bootstrap intervals.

    Models are resampled within their folds, with all their examples; the attack is not fitted
    again. Cost: one sort of all scores, then linear per draw (about 20 s for 200 draws of 512 + 512
    models and 5,000 examples).

    Args:
      scores: of held-out models.
      threshold: above which the attack says 'unlearned'; None leaves the accuracy NaN.
      n_resamples: number of draws; 0 leaves the intervals NaN, as a null band needs none. So does
        a fold that holds a single model of a bank, which no draw can vary.
      seed: of the draws, whole number.
      level: probability of the intervals, in (0, 1).

    Raises:
      InputError: if a number is out of range.
    """
    check_number("n_resamples", n_resamples, low=0, whole=True)
    check_resampling(max(n_resamples, 1), seed, level)
    known = ~(np.isnan(scores.unlearned).any(axis=0) | np.isnan(scores.oracle).any(axis=0))
    n = min(len(scores.unlearned), len(scores.oracle))
    if not known.any():
        empty = Estimate(float("nan"), float("nan"), float("nan"), n)
        return AttackReport(empty, empty, empty, empty, 0)
    folds = [
        _Fold(
            scores.unlearned[scores.unlearned_fold == fold][:, known],
            scores.oracle[scores.oracle_fold == fold][:, known],
            threshold,
        )
        for fold in np.unique(scores.oracle_fold)
    ]
    if min(size for fold in folds for size in fold.sizes) < 2:
        n_resamples = 0
    value = np.mean([fold.rates(*fold.once()) for fold in folds], axis=0)
    rng = np.random.default_rng(seed)
    draws = np.full((max(n_resamples, 1), len(value)), np.nan)
    for draw in draws[:n_resamples]:
        draw[:] = np.mean([fold.rates(*fold.redrawn(rng)) for fold in folds], axis=0)
    ends = [percentile_interval(column, level) for column in draws.T]
    accuracy, auc, tpr, low_tpr = (
        Estimate(float(v), *end, n) for v, end in zip(value, ends, strict=True)
    )
    return AttackReport(accuracy, auc, tpr, low_tpr, int(known.sum()))


class _Fold:
    """Scores of one fold, sorted once; every draw only weighs them anew."""

    def __init__(self, unlearned: np.ndarray, oracle: np.ndarray, threshold: float | None):
        self.sizes = len(unlearned), len(oracle)
        self.examples = unlearned.shape[1]
        pooled = np.concatenate([unlearned, oracle])
        order = np.argsort(pooled, axis=None)[::-1]
        self.model = (order // self.examples).astype(np.int32)
        ordered = pooled.ravel()[order]
        self.last_of_tie = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self.right = np.full(len(pooled), np.nan)
        if threshold is not None:
            self.right = np.mean((pooled > threshold) + 0.5 * (pooled == threshold), axis=1)
            self.right[len(unlearned) :] = 1.0 - self.right[len(unlearned) :]

    def once(self) -> tuple[np.ndarray, np.ndarray]:
        unlearned, oracle = (np.ones(size) for size in self.sizes)
        return unlearned, oracle

    def redrawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        unlearned, oracle = (
            np.bincount(rng.integers(0, size, size), minlength=size).astype(np.float64)
            for size in self.sizes
        )
        return unlearned, oracle

    def rates(self, unlearned: np.ndarray, oracle: np.ndarray) -> tuple[float, ...]:
        """Accuracy, AUC and both TPR with models counted as often as weights say."""
        n, m = self.sizes
        none_u, none_o = np.zeros(n), np.zeros(m)
        accuracy = (unlearned @ self.right[:n] / n + oracle @ self.right[n:] / m) / 2.0
        tpr, fpr = (
            np.append(0.0, np.cumsum(weight[self.model])[self.last_of_tie] / (size * self.examples))
            for weight, size in (
                (np.append(unlearned, none_o), n),
                (np.append(none_u, oracle), m),
            )
        )
        area = np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2.0)
        negatives = m * self.examples
        at = [
            tpr[np.searchsorted(fpr, limit + 1e-12, "right") - 1]
            if negatives * limit >= 1.0 - 1e-9
            else np.nan
            for limit in (0.01, 0.001)
        ]
        return accuracy, area, *at
