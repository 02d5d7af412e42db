import numpy as np
import pytest
from scipy import stats

from jax_unlearn.audit import interval
from jax_unlearn.core import InputError


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_interval_is_scipys_student_t_interval(n, level):
    values = np.random.default_rng(n).normal(90, 2, n)
    found = interval(values, level)
    low, high = stats.t.interval(level, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert found == pytest.approx((values.mean(), low, high, n))


def test_one_seed_has_a_mean_and_no_interval():
    found = interval([93.0])
    assert (found.mean, found.n) == (93.0, 1)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_no_seed_has_not_even_a_mean():
    found = interval([])
    assert found.n == 0
    assert np.isnan(found[:3]).all()


def test_an_unknown_value_makes_the_interval_unknown():
    assert np.isnan(interval([1.0, np.nan, 2.0])[:3]).all()


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 5 <= high for _, low, high, _ in map(interval, rng.normal(5, 2, (1000, 3)))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, float("nan")])
def test_a_level_that_is_no_probability_is_refused(level):
    with pytest.raises(InputError, match=r"level=.*between 0 and 1"):
        interval([1.0, 2.0], level)
