"""RMIA: is a forget example more probable than test examples are, against what models expect?"""

import numpy as np

from jax_unlearn.audit.measures.attack_report import (
    AttackReport,
    AttackScores,
    attack_report,
    check_folds,
    deal_folds,
    of_attack,
)
from jax_unlearn.audit.measures.banks import BankPair, probability
from jax_unlearn.audit.measures.confidence import check_banks
from jax_unlearn.audit.measures.measure import KNOWN
from jax_unlearn.core import InputError, check_number
from jax_unlearn.wording import counted

MIN_REFERENCES = 2
"""Models of a kind that serve as references, at least."""


def rmia(
    unlearned: np.ndarray,
    oracle: np.ndarray,
    unlearned_population: np.ndarray,
    oracle_population: np.ndarray,
    *,
    gamma: float = 1.0,
    a: float | None = None,
    folds: int = 2,
    seed: int = 0,
    n_resamples: int = 200,
    level: float = 0.95,
) -> AttackReport:
    """Return how well the robust membership inference attack tells unlearned models from oracles.

    See :func:`rmia_scores`. A perfect unlearning gives AUC 0.5 and true positive rates equal to the
    false ones, or below them, as scores tie where an example beats all others. Above 0.5 forget
    examples are still more probable than they should be; below 0.5 they are less so, which gives a
    forgotten example away just as well. The attack has no threshold of its own, so the accuracy is
    NaN. Needs n unlearned models and n oracles, at least 4 of each; far fewer than U-LiRA. Cost:
    sorting the population per model (1 s for 512 + 512 models, 5,000 forget and 2,000 test
    examples), and the intervals.

    Args:
      unlearned: floating [N, E] in [0, 1], probability of the true class of each forget example
        under each unlearned model.
      oracle: floating [M, E], the same under each oracle.
      unlearned_population: floating [N, Z], the same of test examples. In class-wise requests leave
        out the forgotten classes.
      oracle_population: floating [M, Z].
      gamma: factor by which an example must exceed another to win, >= 1; published with 2 for
        CIFAR-10. No ratio exceeds 1 / p(x). Where models are certain of most examples, p(x) is near
        1: with 2 hardly any example wins against another one known as well, and what is left of
        the score counts the model's errors on the population.
      a: None takes references of both kinds, the online attack. A number in [0, 1] is the offline
        attack, with oracles alone: how much of their probability carries over to models that saw
        the example; published with 0.3 for CIFAR-10 and tuned per data set.
      folds: parts that models are dealt into; references and models scored never share one.
      seed: of the folds and the intervals, whole number.
      n_resamples: bootstrap draws over models; 0 leaves the intervals NaN.
      level: probability of the intervals, in (0, 1).

    Raises:
      InputError: if the shapes do not fit, a value is no probability, models are too few, or a
        number is out of range.

    References:
      Zarifzadeh et al., "Low-Cost High-Power Membership Inference Attacks", 2024,
      arXiv:2312.03262.
    """
    scores = rmia_scores(
        unlearned,
        oracle,
        unlearned_population,
        oracle_population,
        gamma=gamma,
        a=a,
        folds=folds,
        seed=seed,
    )
    return attack_report(scores, n_resamples=n_resamples, seed=seed, level=level)


def rmia_scores(
    unlearned: np.ndarray,
    oracle: np.ndarray,
    unlearned_population: np.ndarray,
    oracle_population: np.ndarray,
    *,
    gamma: float = 1.0,
    a: float | None = None,
    folds: int = 2,
    seed: int = 0,
) -> AttackScores:
    """Return the share of population examples z that each forget example x beats, in [0, 1].

    x beats z under model t if (p_t(x) / p(x)) / (p_t(z) / p(z)) >= gamma. p is what to expect
    before anything is known of t: the mean probability under references that have seen x and
    references that have not, in equal parts. Here these are the unlearned models and the oracles of
    the other folds. Offline, without the former, p(x) = ((1 + a) * mean + 1 - a) / 2 estimates it
    from the oracles' mean; p(z) is the mean itself, since no model has seen z. Arguments and
    exceptions as for :func:`rmia`.

    Returns:
      The scores; NaN where the example's probability under that model or a reference is NaN.
      Population examples that are NaN under some model are left out; without any other all scores
      are NaN.
    """
    unlearned, oracle = check_banks("unlearned", unlearned, "oracle", oracle, at_least=1)
    population_u, population_o = check_banks(
        "unlearned_population",
        unlearned_population,
        "oracle_population",
        oracle_population,
        at_least=1,
    )
    online = a is None
    check_folds("unlearned", len(unlearned), folds, fitted=MIN_REFERENCES if online else 0)
    check_folds("oracle", len(oracle), folds, fitted=MIN_REFERENCES)
    for name, bank, population in (
        ("unlearned", unlearned, population_u),
        ("oracle", oracle, population_o),
    ):
        _check_bank(name, bank, population)
    check_number("gamma", gamma, low=1.0)
    if a is not None:
        check_number("a", a, low=0.0, high=1.0)
    check_number("seed", seed, low=0, whole=True)
    rng = np.random.default_rng(seed)
    fold_u, fold_o = (deal_folds(len(bank), folds, rng) for bank in (unlearned, oracle))
    scores = AttackScores(np.empty_like(unlearned), np.empty_like(oracle), fold_u, fold_o)
    known = ~(np.isnan(population_u).any(axis=0) | np.isnan(population_o).any(axis=0))
    population_u, population_o = population_u[:, known], population_o[:, known]
    for fold in range(folds):
        seen, unseen = fold_u != fold, fold_o != fold
        expected = oracle[unseen].mean(axis=0)
        expected_population = population_o[unseen].mean(axis=0)
        if a is None:
            expected = (unlearned[seen].mean(axis=0) + expected) / 2.0
            expected_population = (population_u[seen].mean(axis=0) + expected_population) / 2.0
        else:
            expected = ((1.0 + a) * expected + 1.0 - a) / 2.0
        for bank, population, out, of in (
            (unlearned, population_u, scores.unlearned, fold_u),
            (oracle, population_o, scores.oracle, fold_o),
        ):
            for model in np.flatnonzero(of == fold):
                out[model] = _share_beaten(
                    _log_ratio(bank[model], expected) - np.log(gamma),
                    _log_ratio(population[model], expected_population),
                )
    return scores


def _share_beaten(ratio: np.ndarray, population: np.ndarray) -> np.ndarray:
    if not population.size:
        return np.full(len(ratio), np.nan)
    share = np.searchsorted(np.sort(population), ratio, "right") / len(population)
    return np.where(np.isnan(ratio), np.nan, share)


def _log_ratio(probability: np.ndarray, expected: np.ndarray) -> np.ndarray:
    # A probability that underflowed is taken for the smallest number there is.
    tiny = np.finfo(np.float64).tiny
    return np.log(np.maximum(probability, tiny)) - np.log(np.maximum(expected, tiny))


def _check_bank(name: str, bank: np.ndarray, population: np.ndarray) -> None:
    if len(bank) != len(population):
        raise InputError(
            f"{name}_population={counted(len(population), 'model')}: expected {len(bank)}, the "
            f"models of {name} in the same order"
        )
    for argument, values in ((name, bank), (f"{name}_population", population)):
        bad = (values < 0.0) | (values > 1.0)
        if bad.any():
            raise InputError(
                f"{argument}={values[bad][0]:g}: expected probabilities of the true class in "
                "[0, 1]; pass softmax outputs, not logit confidences"
            )


def _report(pair: BankPair) -> AttackReport:
    return rmia(
        *(probability(bank.forget) for bank in (pair.unlearned, pair.oracle)),
        *(probability(bank.test) for bank in (pair.unlearned, pair.oracle)),
        n_resamples=0,
    )


# It asks whether examples look known: what is forgotten too well lies below the oracles.
_MORE = {
    "source": 'Zarifzadeh et al., "Low-Cost High-Power Membership Inference Attacks", 2024, '
    "arXiv:2312.03262",
    "formula": rmia,
    "higher": KNOWN,
}

RMIA_AUC = of_attack(
    "rmia_auc",
    "RMIA: AUC",
    "auc",
    _report,
    does="area under the ROC curve",
    oracle_value=0.5,
    good="good is near 0.5, as retrained models have it; higher is still known",
    place=240,
    **_MORE,
)
RMIA_TPR_1 = of_attack(
    "rmia_tpr_1",
    "RMIA: TPR at 1 % FPR",
    "tpr_at_1_percent",
    _report,
    does="true positive rate where 1 % of oracles are called unlearned; less where scores tie",
    good="good is what retrained models have; higher is still known",
    place=250,
    **_MORE,
)
