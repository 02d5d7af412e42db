"""Means over a few seeds with their intervals, and the band of pure chance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jax_unlearn.core import InputError


class Interval(NamedTuple):
    """A mean over seeds and the interval that its true value lies in.

    Attributes:
      mean: of the values; NaN when there are none.
      low: lower end; NaN below two values, where nothing is known about the spread.
      high: upper end; NaN likewise.
      n: number of values.
    """

    mean: float
    low: float
    high: float
    n: int


class Band(NamedTuple):
    """Where a mean falls by chance alone; both ends NaN when that is not known.

    Attributes:
      low: lower end.
      high: upper end.
    """

    low: float
    high: float


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean and its two-sided Student t confidence interval.

    Args:
      values: one per seed, independent of each other; NaN among them makes all of it NaN.
      level: probability that the interval covers the true mean, in (0, 1).

    Raises:
      InputError: if ``level`` is out of range.
    """
    half = _half_width(values, level, variances=1.0)
    n = len(values)
    mean = float(np.mean(values)) if n else float("nan")
    return Interval(mean, mean - half, mean + half, n)


def null_band(values: Sequence[float], level: float = 0.95) -> Band:
    """Return where the mean of as many further values, equal in law, falls with ``level``.

    This prediction interval is the square root of two wider than the confidence interval of the
    same values, since the mean that is compared with it varies as well.

    Args:
      values: one per seed: the second oracle's differences or distances to the oracle.
      level: probability of the band, in (0, 1).

    Raises:
      InputError: if ``level`` is out of range.
    """
    half = _half_width(values, level, variances=2.0)
    mean = float(np.mean(values)) if len(values) else float("nan")
    return Band(mean - half, mean + half)


def _half_width(values: Sequence[float], level: float, *, variances: float) -> float:
    if not 0.0 < level < 1.0:
        raise InputError(f"level={level!r}: expected a probability between 0 and 1, such as 0.95")
    n = len(values)
    if n < 2:
        return float("nan")
    from scipy.stats import t

    quantile = t.ppf(0.5 + level / 2.0, n - 1)
    return float(quantile * np.std(values, ddof=1) * np.sqrt(variances / n))
