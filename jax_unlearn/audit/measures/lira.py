"""U-LiRA: per example, were these confidences drawn from unlearned models or from oracles?"""

import numpy as np

from jax_unlearn.audit.measures.attack_report import (
    AttackReport,
    AttackScores,
    attack_report,
    check_folds,
    deal_folds,
    of_attack,
)
from jax_unlearn.audit.measures.banks import BankPair
from jax_unlearn.audit.measures.confidence import check_banks
from jax_unlearn.audit.measures.measure import ABOVE, TELLS
from jax_unlearn.core import check_number

MIN_FITTED = 8
"""Models of each bank that the two Gaussians of an example are fitted on, at least."""

MIN_DEVIATION = 1e-6
"""Smallest standard deviation of a Gaussian, in nats: saturated confidences do not vary at all."""


def ulira(
    unlearned: np.ndarray,
    oracle: np.ndarray,
    *,
    folds: int = 2,
    seed: int = 0,
    n_resamples: int = 200,
    level: float = 0.95,
) -> AttackReport:
    """Return how well U-LiRA tells unlearned models from oracles; 0.5 (AUC) is the ideal.

    The unlearning likelihood ratio attack, one for each forget example; see :func:`ulira_scores`.
    Accuracy is taken at ratio 1. A perfect unlearning gives accuracy and AUC 0.5 and true positive
    rates equal to the false ones; higher is worse. An original model that was not unlearned gives
    the measure's power. The Gaussians' own noise hides part of a difference, most of it at low
    false positive rates: with 32 models fitted, about a third of the rate at 0.1 %. Needs n
    unlearned models and n oracles, at least 16 of each and better 64.
    Cost: linear in models and examples, mostly the intervals.

    Args:
      unlearned: floating [N, E], the logit confidence of each forget example under each unlearned
        model.
      oracle: floating [M, E], the same under each oracle.
      folds: parts that models are dealt into; 2 fits on a half and scores the other, both ways.
      seed: of the folds and the intervals, whole number.
      n_resamples: bootstrap draws over models; 0 leaves the intervals NaN.
      level: probability of the intervals, in (0, 1).

    Raises:
      InputError: if the shapes do not fit, models are too few, or a number is out of range.

    References:
      Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense of
      Privacy", 2024, arXiv:2403.01218.
    """
    scores = ulira_scores(unlearned, oracle, folds=folds, seed=seed)
    return attack_report(scores, threshold=0.0, n_resamples=n_resamples, seed=seed, level=level)


def ulira_scores(
    unlearned: np.ndarray, oracle: np.ndarray, *, folds: int = 2, seed: int = 0
) -> AttackScores:
    """Return log N(c; mu_u, sd_u) - log N(c; mu_o, sd_o) of every model and example, in nats.

    The Gaussians are those of the example's confidences under unlearned models and under oracles
    of the other folds: no model is scored by a fit that it was part of.

    Args:
      unlearned: floating [N, E].
      oracle: floating [M, E].
      folds: parts that models are dealt into, >= 2.
      seed: of the deal, whole number.

    Returns:
      The scores; NaN for all models on an example where some confidence is NaN or infinite.

    Raises:
      InputError: if the shapes do not fit, models are too few, or a number is out of range.
    """
    unlearned, oracle = check_banks("unlearned", unlearned, "oracle", oracle, at_least=1)
    check_folds("unlearned", len(unlearned), folds, fitted=MIN_FITTED)
    check_folds("oracle", len(oracle), folds, fitted=MIN_FITTED)
    check_number("seed", seed, low=0, whole=True)
    known = np.isfinite(unlearned).all(axis=0) & np.isfinite(oracle).all(axis=0)
    rng = np.random.default_rng(seed)
    fold_u, fold_o = (deal_folds(len(bank), folds, rng) for bank in (unlearned, oracle))
    scores = AttackScores(np.empty_like(unlearned), np.empty_like(oracle), fold_u, fold_o)
    # Examples with NaN are marked below; what they compute to until then does not matter.
    with np.errstate(invalid="ignore", over="ignore"):
        for fold in range(folds):
            as_unlearned = _fit(unlearned[fold_u != fold])
            as_oracle = _fit(oracle[fold_o != fold])
            for bank, out, of in (
                (unlearned, scores.unlearned, fold_u),
                (oracle, scores.oracle, fold_o),
            ):
                held_out = bank[of == fold]
                out[of == fold] = _log_density(held_out, *as_unlearned) - _log_density(
                    held_out, *as_oracle
                )
    scores.unlearned[:, ~known] = scores.oracle[:, ~known] = np.nan
    return scores


def _fit(bank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return bank.mean(axis=0), np.maximum(bank.std(axis=0, ddof=1), MIN_DEVIATION)


def _log_density(value: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Log of the normal density, up to the constant that both hypotheses share."""
    return -0.5 * ((value - mean) / deviation) ** 2 - np.log(deviation)


def _report(pair: BankPair) -> AttackReport:
    return ulira(pair.unlearned.forget, pair.oracle.forget, n_resamples=0)


# The densities are fitted to both kinds of model: below chance the attack errs by chance only.
_MORE = {
    "source": 'Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False '
    'Sense of Privacy", 2024, arXiv:2403.01218',
    "formula": ulira,
    "higher": TELLS,
    "outside": ABOVE,
}

ULIRA_AUC = of_attack(
    "ulira_auc",
    "U-LiRA: AUC",
    "auc",
    _report,
    does="area under the ROC curve",
    oracle_value=0.5,
    good="good is near 0.5, where the attack only guesses",
    place=200,
    **_MORE,
)
ULIRA_ACCURACY = of_attack(
    "ulira_accuracy",
    "U-LiRA: accuracy",
    "accuracy",
    _report,
    does="balanced accuracy",
    oracle_value=0.5,
    good="good is near 0.5, where the attack only guesses",
    place=210,
    **_MORE,
)
ULIRA_TPR_1 = of_attack(
    "ulira_tpr_1",
    "U-LiRA: TPR at 1 % FPR",
    "tpr_at_1_percent",
    _report,
    does="true positive rate where 1 % of oracles are called unlearned",
    oracle_value=0.01,
    good="good is near 0.01, where the attack only guesses",
    place=220,
    **_MORE,
)
ULIRA_TPR_01 = of_attack(
    "ulira_tpr_01",
    "U-LiRA: TPR at 0.1 % FPR",
    "tpr_at_01_percent",
    _report,
    does="true positive rate where 0.1 % of oracles are called unlearned",
    oracle_value=0.001,
    good="good is near 0.001, where the attack only guesses",
    place=230,
    **_MORE,
)
