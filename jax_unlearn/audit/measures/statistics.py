"""Means over a few seeds with their intervals."""

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


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean and its two-sided Student t confidence interval.

    Args:
      values: one per seed, independent of each other; NaN among them makes all of it NaN.
      level: probability that the interval covers the true mean, in (0, 1).

    Raises:
      InputError: if ``level`` is out of range.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level={level!r}: expected a probability between 0 and 1, such as 0.95")
    n = len(values)
    mean = float(np.mean(values)) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    from scipy.stats import t

    quantile = t.ppf(0.5 + level / 2.0, n - 1)
    half = float(quantile * np.std(values, ddof=1) * np.sqrt(1.0 / n))
    return Interval(mean, mean - half, mean + half, n)
