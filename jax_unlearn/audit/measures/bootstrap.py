"""Intervals over models by resampling, and what chance does between disjoint sets of oracles."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.comparison.bands import split_oracles
from jax_unlearn.core import InputError, check_number


class Estimate(NamedTuple):
    """A statistic of a bank of models with its bootstrap interval.

    Attributes:
      value: of the statistic on the models given.
      low: lower end; NaN where no interval can be had.
      high: upper end; NaN likewise.
      n: models in the smallest bank that it was taken from.
    """

    value: float
    low: float
    high: float
    n: int


class Null(NamedTuple):
    """What a two-sample statistic is between oracles and oracles: the band of pure chance.

    Attributes:
      values: float64 [S], one per split of the oracles.
      low: lower end of the band.
      high: upper end of the band.
      median: middle of the values.
      sizes: models on either side of each split.
    """

    values: np.ndarray
    low: float
    high: float
    median: float
    sizes: tuple[int, int]


def bootstrap_interval(
    statistic: Callable[..., float],
    *banks: np.ndarray,
    paired: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Return a statistic and its percentile bootstrap interval over models.

    Models are drawn with replacement, examples stay as they are: the interval speaks of other
    models on the same examples. Statistics that compare samples of a bank with themselves (a
    maximum over thresholds) are biased under resampling, which the interval does not show. Cost:
    ``n_resamples`` + 1 calls of ``statistic``.

    Args:
      statistic: function of arrays like ``banks`` that returns a number.
      *banks: arrays with one row per model.
      paired: whether row i of all banks belongs together (a shared seed), so that rows are drawn
        in common; the interval of a difference is then narrower.
      n_resamples: number of draws.
      seed: of the draws, whole number.
      level: probability of the interval, in (0, 1).

    Returns:
      The estimate; low and high are NaN where a bank holds a single model or a draw gives NaN.

    Raises:
      InputError: if there is no model, paired banks differ in size, or a number is out of range.
    """
    check_resampling(n_resamples, seed, level)
    sizes = [len(bank) for bank in banks]
    if not sizes or min(sizes) == 0:
        raise InputError(f"banks={sizes} models: expected at least 1 in each; pass [models, ...]")
    if paired and len(set(sizes)) > 1:
        raise InputError(
            f"banks={sizes} models: expected equal numbers for paired=True; pass one row per "
            "shared seed"
        )
    banks = [np.asarray(bank) for bank in banks]
    value = float(statistic(*banks))
    if min(sizes) < 2:
        return Estimate(value, float("nan"), float("nan"), min(sizes))
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(n_resamples):
        rows = [rng.integers(0, size, size) for size in sizes[: 1 if paired else None]]
        rows = rows * len(banks) if paired else rows
        draws.append(statistic(*(bank[r] for bank, r in zip(banks, rows, strict=True))))
    return Estimate(value, *percentile_interval(draws, level), min(sizes))


def disjoint_null(
    statistic: Callable[..., float],
    *oracles: np.ndarray,
    sizes: tuple[int, int] | None = None,
    n_resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> Null:
    """Return the distribution of a two-sample statistic between disjoint sets of oracles.

    A method whose statistic lies in the band cannot be told from retraining by this measure; a
    measure whose band holds the original model has no power. Many statistics depend on the number
    of models (a divergence of histograms falls with it, the largest epsilon rises), so compare only
    with a statistic between banks of the same ``sizes``. All splits draw on one bank:
    its size limits how well the band itself is known. Cost: at most ``n_resamples`` calls.

    Args:
      statistic: ``statistic(*first, *second) -> number`` where ``first`` and ``second`` hold the
        arrays of ``oracles``, restricted to one side each.
      *oracles: arrays with one row per oracle, the same oracles in each.
      sizes: oracles in the place of the unlearned models and of the oracles; None halves the bank.
      n_resamples: number of random splits; where there are fewer ways to split, each is taken once.
      seed: of the splits, whole number.
      level: probability of the band, in (0, 1).

    Raises:
      InputError: if the sizes ask for more oracles than there are, or a number is out of range.
    """
    check_resampling(n_resamples, seed, level)
    counts = sorted({len(bank) for bank in oracles})
    if len(counts) != 1:
        raise InputError(
            f"oracles={counts} models: expected the same oracles in every array; pass one row each"
        )
    total = counts[0]
    first, second = sizes or (total // 2, total // 2)
    if first < 1 or second < 1 or first + second > total:
        needed = max(first, 1) + max(second, 1)
        raise InputError(
            f"oracles={total} models: expected at least {needed} for disjoint sets of {first} and "
            f"{second}; train more oracles or ask for smaller sizes"
        )
    oracles = [np.asarray(bank) for bank in oracles]
    orders = split_oracles(total, first, second, splits=n_resamples, seed=seed)
    sides = ((order[:first], order[first:]) for order in orders)
    values = np.array(
        [
            statistic(*(bank[one] for bank in oracles), *(bank[two] for bank in oracles))
            for one, two in sides
        ],
        np.float64,
    )
    low, high = percentile_interval(values, level)
    return Null(values, low, high, float(np.median(values)), (first, second))


def percentile_interval(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Return the central interval that holds a share ``level`` of draws; NaN where one is NaN."""
    # Infinite draws are legitimate; between two of them there is nothing to interpolate.
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], method="inverted_cdf")
    return float(low), float(high)


def check_resampling(n_resamples: int, seed: int, level: float) -> None:
    """Raise InputError unless the settings of a resampling are in range."""
    check_number("n_resamples", n_resamples, low=1, whole=True)
    check_number("seed", seed, low=0, whole=True)
    if not 0.0 < level < 1.0:
        raise InputError(f"level={level!r}: expected a probability between 0 and 1, such as 0.95")
