"""Statistics of banks with their intervals over models, by resampling."""

from typing import NamedTuple

import numpy as np

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
