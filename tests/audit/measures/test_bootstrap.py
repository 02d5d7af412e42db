"""Intervals of resampled statistics, at the extremes."""

import numpy as np
import pytest

from jax_unlearn.audit.measures.bootstrap import check_resampling, percentile_interval
from jax_unlearn.core import InputError


def test_the_interval_is_central():
    assert percentile_interval(np.arange(1.0, 101.0), 0.5) == (25.0, 75.0)


def test_infinite_draws_stay_infinite():
    assert percentile_interval(np.full(9, np.inf), 0.95) == (np.inf, np.inf)


def test_draws_without_value_have_no_interval():
    assert np.isnan(percentile_interval(np.array([2.0, np.nan, 1.0]), 0.95)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 0, 0.95), "n_resamples=0"), ((9, -1, 0.95), "seed=-1"), ((9, 0, 95), "level=95")],
)
def test_misuse_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        check_resampling(*arguments)
