"""RMIA: is a forget example more probable than unseen examples are, against what oracles expect?"""

import numpy as np

from jax_unlearn.audit.attack_report import (
    AttackReport,
    AttackScores,
    attack_report,
    check_folds,
    deal_folds,
)
from jax_unlearn.audit.confidence import check_banks
from jax_unlearn.core import InputError, check_number

MIN_REFERENCES = 2
"""Oracles that serve as references, at least."""


def rmia(
    unlearned: np.ndarray,
    oracle: np.ndarray,
    unlearned_population: np.ndarray,
    oracle_population: np.ndarray,
    *,
    gamma: float = 2.0,
    a: float = 0.3,
    folds: int = 2,
    seed: int = 0,
    n_resamples: int = 200,
    level: float = 0.95,
) -> AttackReport:
    """Return how well the robust membership inference attack tells unlearned models from oracles.

    See :func:`rmia_scores`. A perfect unlearning gives AUC 0.5 and true positive rates equal to the
    false ones. Above 0.5 forget examples are still more probable than they should be; below 0.5
    they are less so, which gives a forgotten example away just as well. The attack has no threshold
    of its own, so the accuracy is NaN. Needs n unlearned models and n oracles, at least 2 and 4;
    much less of them than U-LiRA. Cost: sorting the population per model, and the intervals.

    Args:
      unlearned: floating [N, E] in [0, 1], probability of the true class of each forget example
        under each unlearned model.
      oracle: floating [M, E], the same under each oracle.
      unlearned_population: floating [N, Z], the same of test examples. In class-wise requests leave
        out the forgotten classes.
      oracle_population: floating [M, Z].
      gamma: factor by which an example must exceed another to win, > 0; published with 2.
      a: how much of the oracles' probability carries over to models that saw the example, in
        [0, 1]; published with 0.3 for CIFAR-10 and tuned per data set. 1 takes it as it is: where
        models hardly know the forget examples, smaller values make every score 0 and the AUC 0.5.
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
    gamma: float = 2.0,
    a: float = 0.3,
    folds: int = 2,
    seed: int = 0,
) -> AttackScores:
    """Return the share of population examples z that each forget example x beats, in [0, 1].

    x beats z under model t if (p_t(x) / p(x)) / (p_t(z) / p(z)) >= gamma. p(z) is the mean
    probability under the reference oracles; p(x) = ((1 + a) * mean + 1 - a) / 2, which estimates
    the mean over models with and without x from the latter alone. References of a fold are the
    oracles of the others. z stays as it is, since neither targets nor references saw it. Arguments
    and exceptions as for :func:`rmia`.

    Returns:
      The scores; NaN where the example's probability, or any of the population's under that model
      or a reference, is NaN.
    """
    unlearned, oracle = check_banks("unlearned", unlearned, "oracle", oracle, at_least=1)
    population_u, population_o = check_banks(
        "unlearned_population",
        unlearned_population,
        "oracle_population",
        oracle_population,
        at_least=1,
    )
    check_folds("unlearned", len(unlearned), folds, fitted=0)
    check_folds("oracle", len(oracle), folds, fitted=MIN_REFERENCES)
    for name, bank, population in (
        ("unlearned", unlearned, population_u),
        ("oracle", oracle, population_o),
    ):
        _check_bank(name, bank, population)
    check_number("gamma", gamma, above=0.0)
    check_number("a", a, low=0.0, high=1.0)
    check_number("seed", seed, low=0, whole=True)
    rng = np.random.default_rng(seed)
    fold_u, fold_o = (deal_folds(len(bank), folds, rng) for bank in (unlearned, oracle))
    scores = AttackScores(np.empty_like(unlearned), np.empty_like(oracle), fold_u, fold_o)
    for fold in range(folds):
        references = fold_o != fold
        expected = ((1.0 + a) * oracle[references].mean(axis=0) + 1.0 - a) / 2.0
        expected_population = population_o[references].mean(axis=0)
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
    if np.isnan(population).any():
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
            f"{name}_population={len(population)} models: expected {len(bank)}, the models of "
            f"{name} in the same order"
        )
    for argument, values in ((name, bank), (f"{name}_population", population)):
        bad = (values < 0.0) | (values > 1.0)
        if bad.any():
            raise InputError(
                f"{argument}={values[bad][0]:g}: expected probabilities of the true class in "
                "[0, 1]; pass softmax outputs, not logit confidences"
            )
