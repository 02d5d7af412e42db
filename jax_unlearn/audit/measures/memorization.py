"""How much a model needs an example to have been in its training set to get it right."""

from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.measures.measure import DATA, QUICK, Measure
from jax_unlearn.core import InputError


class MeanMemorization(NamedTuple):
    """The memorization of a set of examples.

    Attributes:
      value: mean score over the examples that have one, in [-1, 1].
      standard_error: by which it varies with the models.
      examples: how many have a score.
    """

    value: float
    standard_error: float
    examples: int


class Memorization(NamedTuple):
    """What models trained on random halves tell of a request's examples.

    Attributes:
      models: how many there are.
      forget: of the forget set; None below ``MIN_SUBSETS`` models.
      retain: of the retain set; None below ``MIN_SUBSETS`` models.
    """

    models: int
    forget: MeanMemorization | None = None
    retain: MeanMemorization | None = None


def memorization_scores(correct: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return P(correct | in) - P(correct | out) per example, float64 [E], in [-1, 1].

    1 is an example that is right only when it was trained on, 0 one that others teach just as
    well; unlearning is hardest, and matters most, where the score is high. A property of data and
    recipe, not of an unlearning method: oracles have no value of their own. Needs a bank of models
    trained on random subsets, with tens of models on either side of each example. Cost: linear.

    Args:
      correct: bool [M, E], whether model m answers example e correctly.
      member: bool [M, E], whether example e was in model m's training set.

    Returns:
      The scores; NaN for an example that is in, or out of, every training set.

    Raises:
      InputError: if the arrays are not boolean matrices of one shape.

    References:
      Feldman and Zhang, "What Neural Networks Memorize and Why: Discovering the Long Tail via
      Influence Estimation", 2020, arXiv:2008.03703.
    """
    correct, member = _check(correct, member)
    inside, outside = member.sum(axis=0), (~member).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return (correct & member).sum(axis=0) / inside - (correct & ~member).sum(axis=0) / outside


def memorization_standard_errors(correct: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Return the standard error of each memorization score, float64 [E], in [0, 1].

    The square root of p(1-p)/(n-1) summed over members and non-members; NaN below two models on
    either side. Arguments as for :func:`memorization_scores`.

    Raises:
      InputError: if the arrays are not boolean matrices of one shape.
    """
    correct, member = _check(correct, member)
    variance = np.zeros(correct.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        for side in (member, ~member):
            n = side.sum(axis=0)
            share = (correct & side).sum(axis=0) / n
            variance += np.where(n > 1, share * (1.0 - share) / (n - 1.0), np.nan)
    return np.sqrt(variance)


def mean_memorization(correct: np.ndarray, member: np.ndarray) -> MeanMemorization:
    """Return the mean memorization score of a set of examples and its standard error.

    Scores of one set share their models, so the error is that of the mean itself, by leaving out
    every model in turn (delete-one jackknife). Examples without a score in some of these draws are
    left out of that draw. Arguments as for :func:`memorization_scores`. Cost: M times linear.

    Returns:
      Mean, error and number of examples; NaN below three models, or where no example has a score.

    Raises:
      InputError: if the arrays are not boolean matrices of one shape.
    """
    correct, member = _check(correct, member)
    models = len(correct)
    scores = memorization_scores(correct, member)
    known = np.isfinite(scores)
    if models < 3 or not known.any():
        return MeanMemorization(float("nan"), float("nan"), int(known.sum()))
    rows = np.arange(models)
    draws = np.array(
        [np.nanmean(memorization_scores(correct[rows != m], member[rows != m])) for m in rows]
    )
    variance = (models - 1) / models * np.sum((draws - draws.mean()) ** 2)
    return MeanMemorization(float(scores[known].mean()), float(np.sqrt(variance)), int(known.sum()))


def _check(correct: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    correct, member = np.asarray(correct), np.asarray(member)
    for name, array in (("correct", correct), ("member", member)):
        if array.dtype != bool or array.ndim != 2 or array.shape != correct.shape:
            raise InputError(
                f"{name}={array.dtype}{list(array.shape)}: expected bool [models, examples], "
                "the same shape for correct and member"
            )
    return correct, member


MEMORIZATION = Measure(
    "memorization",
    "Memorization score",
    "",
    DATA,
    QUICK,
    mean_memorization,
    does="how much more often an example is right where it was trained on",
    higher="forgetting the example changes more",
    source='Feldman and Zhang, "What Neural Networks Memorize and Why", 2020, arXiv:2008.03703',
    formula=memorization_scores,
    low=-1.0,
    high=1.0,
    good="good is no value by itself: it tells how much there is to forget",
    place=10_000,
)
