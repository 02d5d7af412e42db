"""Null bands: where a measure falls by chance, as models retrained without the forget set show it.

Oracles are dealt into a reference half, which everything is compared with, and a held-out half,
which is audited like a method. A band is where a row of n further oracles would fall.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SPLITS = 200
"""Random splits of the oracles that the band of a comparison of banks is made of."""

JACKKNIFE_GROUPS = 8


class NullBand(NamedTuple):
    """Where a measure of retrained models falls with probability ``level``.

    Attributes:
      low: lower end.
      high: upper end.
      median: its middle.
      n: oracles that it was learnt from.
      how: in words.
    """

    low: float
    high: float
    median: float
    n: int
    how: str


def band_of_means(
    values: np.ndarray, reference: np.ndarray, n: int, *, resolution: float, level: float
) -> NullBand | None:
    """Return where the mean of a number per model falls for ``n`` further oracles.

    The prediction interval of Student's t around the reference's mean. A measure that counts
    examples hides differences below one, which adds resolution^2 / 12 to the variance: oracles
    that all agree do not make a band of width zero.

    Args:
      values: float64 [M], of all oracles.
      reference: float64 [R], of those that others are compared with.
      n: models whose mean is judged.
      resolution: step in which values move; 0 for none.
      level: probability of the band, in (0, 1).

    Returns:
      The band; None below two oracles with a value, where no spread is known.
    """
    values, reference = values[np.isfinite(values)], reference[np.isfinite(reference)]
    m, r = len(values), len(reference)
    if m < 2 or not r or not n:
        return None
    variance = np.var(values, ddof=1) + resolution**2 / 12.0
    half = _quantile(level, m - 1) * math.sqrt(variance * (1.0 / n + 1.0 / r))
    centre = float(reference.mean())
    how = f"t interval for the mean of {n} more, from {m} oracles, {r} of them for reference"
    return NullBand(centre - half, centre + half, centre, m, how)


def band_of_pairs(
    matrix: np.ndarray, n: int, references: int, *, resolution: float, level: float
) -> NullBand | None:
    """Return where the mean distance of ``n`` further oracles to ``references`` others falls.

    Distances that share an oracle vary together, so the spread of single distances says too
    little: the variance is that of a row effect, a column effect and a rest, each estimated from
    the matrix; the interval is Student's t.

    Args:
      matrix: float64 [M, M], a measure of oracle i in the place of the model and j in that of the
        oracle; NaN on the diagonal.
      n: models whose mean is judged.
      references: oracles that each of them is compared with.
      resolution: step in which values move; 0 for none.
      level: probability of the band, in (0, 1).

    Returns:
      The band; None below three oracles.

    References:
      Warner, Kenny and Stoto, "A New Round Robin Analysis of Variance for Social Interaction
      Data", Journal of Personality and Social Psychology, 1979.
    """
    m = len(matrix)
    apart = ~np.eye(m, dtype=bool)
    if m < 3 or not n or not references or not np.isfinite(matrix[apart]).all():
        return None
    row, column = np.nanmean(matrix, axis=1), np.nanmean(matrix, axis=0)
    mean = float(matrix[apart].mean())
    # Without a diagonal, an oracle's mean as a model leaves out its own effect as an oracle.
    own, other = (m - 1) ** 2 / (m * (m - 2)), (m - 1) / (m * (m - 2))
    centre = mean * (m - 1) / (m - 2)
    rows, columns = own * row + other * column - centre, own * column + other * row - centre
    rest = (matrix - rows[:, None] - columns[None, :] - mean)[apart]
    # The effects hold a part of the rest already.
    left = max(0.0, 1.0 / (n * references) - (1.0 / n + 1.0 / references) / (m - 1))
    variance = (
        (np.var(rows, ddof=1) + resolution**2 / 12.0) / n
        + (np.var(columns, ddof=1) + resolution**2 / 12.0) / references
        + np.sum(rest**2) / ((m - 1) * (m - 2) - 1) * left
    )
    half = _quantile(level, m - 1) * math.sqrt(variance)
    how = f"t interval for {n} more against {references}, from all ordered pairs of {m} oracles"
    return NullBand(mean - half, mean + half, mean, m, how)


def band_of_splits(
    values: np.ndarray, sizes: tuple[int, int], oracles: int, *, level: float
) -> NullBand | None:
    """Return the central interval of a measure between disjoint sets of oracles.

    Args:
      values: float64 [S], one per split.
      sizes: oracles on either side of each.
      oracles: in all.
      level: probability of the band, in (0, 1).

    Returns:
      The band; None where a value is NaN.
    """
    if not len(values) or np.isnan(values).any():
        return None
    tail = (1.0 - level) / 2.0
    low, median, high = np.quantile(values, [tail, 0.5, 1.0 - tail], method="inverted_cdf")
    how = f"{len(values)} splits of {oracles} oracles into {sizes[0]} and {sizes[1]}"
    return NullBand(float(low), float(high), float(median), oracles, how)


def split_oracles(
    oracles: int, first: int, second: int, *, splits: int = SPLITS, seed: int = 0
) -> list[np.ndarray]:
    """Return ways to deal oracles into ``first`` and ``second`` others.

    Args:
      oracles: in all.
      first: how many stand first in each order.
      second: how many follow; the rest are left out.
      splits: how many, at most.
      seed: of the random ones.

    Returns:
      Orders int64 [first + second]: every way to choose where there are at most ``splits`` ways and
      none is left out, random ones otherwise.
    """
    if first + second == oracles and math.comb(oracles, first) <= splits:
        return [
            np.concatenate([chosen, np.setdiff1d(np.arange(oracles), chosen)]).astype(int)
            for chosen in itertools.combinations(range(oracles), first)
        ]
    rng = np.random.default_rng(seed)
    return [rng.permutation(oracles)[: first + second] for _ in range(splits)]


def jackknife(
    statistic: Callable[[np.ndarray, np.ndarray], dict[str, float]],
    value: dict[str, float],
    first: int,
    second: int,
    *,
    level: float,
) -> dict[str, tuple[float, float]]:
    """Return intervals over models of a statistic of two banks, by leaving groups of models out.

    Models drawn twice, as a bootstrap draws them, would be told from others with ease by measures
    that search for differences. Here every model counts once or not at all. Eight groups in turn
    are left out of either bank; Student's t with 7 degrees of freedom. Cost: 16 calls.

    Args:
      statistic: function of the rows kept of both banks, int64 arrays.
      value: what it is on all rows.
      first: models in the first bank.
      second: models in the second.
      level: probability of the intervals, in (0, 1).

    Returns:
      Ends by name, NaN where a statistic is.

    References:
      Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 11 (grouped: Shao and
      Wu, "A General Theory for Jackknife Variance Estimation", 1989).
    """
    groups = JACKKNIFE_GROUPS
    variance = dict.fromkeys(value, 0.0)
    all_first, all_second = np.arange(first), np.arange(second)
    for side in (0, 1):
        draws = [
            statistic(
                all_first[all_first % groups != g] if side == 0 else all_first,
                all_second[all_second % groups != g] if side == 1 else all_second,
            )
            for g in range(groups)
        ]
        for name in value:
            column = np.array([draw[name] for draw in draws])
            variance[name] += (groups - 1) / groups * float(np.sum((column - column.mean()) ** 2))
    t = _quantile(level, groups - 1)
    return {
        name: (v - t * math.sqrt(variance[name]), v + t * math.sqrt(variance[name]))
        for name, v in value.items()
    }


def _quantile(level: float, degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2.0, degrees))
