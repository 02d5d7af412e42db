"""Receiver operating characteristics: how well a score tells positives from negatives."""

from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.measures.bootstrap import Estimate
from jax_unlearn.audit.measures.confidence import check_banks
from jax_unlearn.core import InputError, check_number


class Roc(NamedTuple):
    """An ROC curve, from the strictest threshold to the loosest.

    Attributes:
      fpr: float64 [T], share of negatives with score >= threshold, from 0 to 1.
      tpr: float64 [T], share of positives with score >= threshold, from 0 to 1.
      threshold: float64 [T], from inf down to the smallest score; one per distinct score.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    threshold: np.ndarray


def roc_curve(positive: np.ndarray, negative: np.ndarray) -> Roc:
    """Return the ROC curve of scores that are larger for positives.

    Scores may be infinite, which scikit-learn's curve refuses.

    Args:
      positive: floating, any shape, at least one; arrays of more dimensions are pooled.
      negative: likewise.

    Returns:
      The curve; all NaN where a score is NaN.

    Raises:
      InputError: if there is no positive or no negative.
    """
    positive, negative = _scores(positive, negative)
    threshold = np.unique(np.concatenate([positive, negative]))[::-1]
    threshold = np.concatenate([[np.inf], threshold])
    if np.isnan(threshold).any():
        return Roc(*(np.full(len(threshold), np.nan) for _ in range(3)))
    fpr, tpr = (
        1.0 - np.searchsorted(np.sort(s), threshold, "left") / len(s) for s in (negative, positive)
    )
    # An infinite score reaches even the threshold inf, where the curve must still begin at 0.
    fpr[0] = tpr[0] = 0.0
    return Roc(fpr, tpr, threshold)


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the area under the ROC curve, in [0, 1]; 0.5 is chance.

    The probability that a random positive scores above a random negative, ties counted half.

    Args:
      positive: floating, any shape, at least one.
      negative: likewise.

    Raises:
      InputError: if there is no positive or no negative.
    """
    positive, negative = _scores(positive, negative)
    if np.isnan(positive).any() or np.isnan(negative).any():
        return float("nan")
    return float(_placements(positive, negative).mean())


def auc_per_example(unlearned: np.ndarray, oracle: np.ndarray) -> np.ndarray:
    """Return for each example the AUC over models, float64 [E] in [0, 1].

    0.5 where unlearned models and oracles cannot be told apart by the score's order. Needs n
    unlearned models and n oracles. Cost: sorting.

    Args:
      unlearned: floating [N, E], scores or confidences.
      oracle: floating [M, E].

    Returns:
      One value per example; NaN where a score is NaN.

    Raises:
      InputError: if the shapes do not fit or a bank is empty.
    """
    unlearned, oracle = check_banks("unlearned", unlearned, "oracle", oracle, at_least=1)
    return np.array([auc(*columns) for columns in zip(unlearned.T, oracle.T, strict=True)])


def tpr_at_fpr(positive: np.ndarray, negative: np.ndarray, fpr: float) -> float:
    """Return the largest true positive rate whose false positive rate is at most ``fpr``.

    No interpolation: some threshold attains both rates. Chance is ``fpr`` or somewhat less.

    Args:
      positive: floating, any shape, at least one.
      negative: likewise.
      fpr: in (0, 1], such as 0.01.

    Returns:
      A rate in [0, 1]; NaN where a score is NaN, or where there are fewer than 1 / ``fpr``
      negatives, which cannot show so small a rate.

    Raises:
      InputError: if there is no positive or no negative, or ``fpr`` is out of range.
    """
    check_number("fpr", fpr, above=0.0, high=1.0)
    curve = roc_curve(positive, negative)
    if np.size(negative) * fpr < 1.0 - 1e-9 or np.isnan(curve.fpr).any():
        return float("nan")
    return float(curve.tpr[curve.fpr <= fpr + 1e-12].max())


def delong_auc(positive: np.ndarray, negative: np.ndarray, level: float = 0.95) -> Estimate:
    """Return the AUC with DeLong's interval, for scores that are independent of each other.

    Scores of many examples under one model are not independent: take a bootstrap over models
    there. The interval is cut at 0 and 1, and too narrow at perfect separation, where it is a
    point. Cost: sorting.

    Args:
      positive: floating, any shape, at least two for an interval.
      negative: likewise.
      level: probability of the interval, in (0, 1).

    Raises:
      InputError: if there is no positive or no negative, or ``level`` is out of range.

    References:
      DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver
      Operating Characteristic Curves", Biometrics, 1988.
    """
    positive, negative = _scores(positive, negative)
    n = min(len(positive), len(negative))
    tail = _tail(level)
    area = auc(positive, negative)
    if n < 2 or np.isnan(area):
        return Estimate(area, float("nan"), float("nan"), n)
    from scipy.stats import norm

    variance = sum(
        np.var(placed, ddof=1) / len(placed)
        for placed in (_placements(positive, negative), _placements(-negative, -positive))
    )
    half = norm.isf(tail) * np.sqrt(variance)
    return Estimate(area, float(max(area - half, 0.0)), float(min(area + half, 1.0)), n)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """Return a share with its exact binomial interval, for independent trials.

    Args:
      successes: whole number in [0, trials].
      trials: whole number >= 1.
      level: probability of the interval, in (0, 1).

    Raises:
      InputError: if an argument is out of range.

    References:
      Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
      Binomial", Biometrika, 1934.
    """
    check_number("trials", trials, low=1, whole=True)
    check_number("successes", successes, low=0, high=trials, whole=True)
    _tail(level)
    from scipy.stats import binomtest

    exact = binomtest(int(successes), int(trials)).proportion_ci(level, method="exact")
    return Estimate(successes / trials, float(exact.low), float(exact.high), int(trials))


def _placements(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Share of negatives below each positive, ties counted half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return below / (2.0 * len(ordered))


def _scores(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positive, negative = (np.asarray(s, np.float64).ravel() for s in (positive, negative))
    if not positive.size or not negative.size:
        raise InputError(
            f"positive={positive.size} and negative={negative.size} scores: expected at least one "
            "of each; score models of both banks"
        )
    return positive, negative


def _tail(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise InputError(f"level={level!r}: expected a probability between 0 and 1, such as 0.95")
    return (1.0 - level) / 2.0
