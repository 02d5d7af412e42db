import numpy as np
import pytest

from jax_unlearn.audit.measures.bootstrap import bootstrap_interval, disjoint_null
from jax_unlearn.core import InputError


def difference(a, b):
    return float(a.mean() - b.mean())


def test_the_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = bootstrap_interval(np.mean, values, n_resamples=2000)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.value == values.mean()
    assert found.n == 400
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        _, low, high, _ = bootstrap_interval(np.mean, rng.normal(size=40), n_resamples=200)
        covered += low <= 0.0 <= high
    assert 0.88 <= covered / 200 <= 0.98


def test_pairing_removes_what_seeds_share():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 10, 30)
    a, b = shared + rng.normal(1, 0.1, 30), shared + rng.normal(0, 0.1, 30)
    alone = bootstrap_interval(difference, a, b)
    paired = bootstrap_interval(difference, a, b, paired=True)
    assert alone.value == paired.value
    assert paired.low > 0.9
    assert alone.low < 0.0


def test_banks_of_different_sizes_report_the_smaller():
    assert bootstrap_interval(difference, np.arange(5.0), np.arange(9.0)).n == 5


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(3).normal(size=20)
    one, two, three = (bootstrap_interval(np.mean, values, seed=s) for s in (1, 1, 2))
    assert one == two != three


def test_one_model_has_no_interval():
    found = bootstrap_interval(np.mean, np.array([2.0]))
    assert found.value == 2.0
    assert np.isnan([found.low, found.high]).all()


def test_a_statistic_without_value_has_no_interval():
    found = bootstrap_interval(np.mean, np.array([2.0, np.nan, 1.0]))
    assert np.isnan(found[:3]).all()


def test_infinite_draws_stay_infinite():
    found = bootstrap_interval(lambda x: np.inf, np.arange(4.0))
    assert found[:3] == (np.inf, np.inf, np.inf)


def test_the_null_of_a_difference_of_means_has_the_closed_form_width():
    oracles = np.random.default_rng(4).normal(size=200)
    null = disjoint_null(difference, oracles, n_resamples=3000)
    # Splitting a fixed bank into halves of n: variance 2 s^2 / n, with the bank's own s.
    half = 1.96 * oracles.std(ddof=1) * np.sqrt(2 / 100)
    assert null.sizes == (100, 100)
    assert null.low == pytest.approx(-half, rel=0.1)
    assert null.high == pytest.approx(half, rel=0.1)
    assert abs(null.median) < 0.1 * half


def test_the_sides_of_a_null_are_disjoint_and_rows_stay_together():
    names = np.arange(20)

    def check(a, a_squared, b, b_squared):
        assert len(a) == 4
        assert len(b) == 9
        assert not set(a) & set(b)
        np.testing.assert_array_equal(a**2, a_squared)
        np.testing.assert_array_equal(b**2, b_squared)
        return 0.0

    null = disjoint_null(check, names, names**2, sizes=(4, 9), n_resamples=20)
    assert null.values.tolist() == [0.0] * 20


def test_a_shifted_bank_lies_outside_the_null():
    rng = np.random.default_rng(5)
    null = disjoint_null(difference, rng.normal(size=60))
    assert null.low < 0 < null.high
    assert difference(rng.normal(1.5, 1, 30), rng.normal(size=30)) > null.high


def test_the_null_of_few_oracles_takes_every_split_once():
    null = disjoint_null(difference, np.array([0.0, 1.0, 3.0, 7.0]))
    # Pairs of means: (0.5, 5), (1.5, 4), (3.5, 2), each either way.
    assert sorted(null.values) == [-4.5, -2.5, -1.5, 1.5, 2.5, 4.5]


def test_misuse_is_named():
    values = np.arange(6.0)
    with pytest.raises(InputError, match=r"banks=\[6, 0\] models: expected at least 1"):
        bootstrap_interval(difference, values, values[:0])
    with pytest.raises(InputError, match=r"banks=\[6, 5\] models: expected equal numbers"):
        bootstrap_interval(difference, values, values[:5], paired=True)
    with pytest.raises(InputError, match=r"oracles=6 models: expected at least 8 .* 4 and 4"):
        disjoint_null(difference, values, sizes=(4, 4))
    with pytest.raises(InputError, match="oracles=1 models: expected at least 2"):
        disjoint_null(difference, values[:1])
    with pytest.raises(InputError, match=r"oracles=\[5, 6\] models: expected the same oracles"):
        disjoint_null(difference, values, values[:5])
    with pytest.raises(InputError, match="n_resamples=0"):
        bootstrap_interval(np.mean, values, n_resamples=0)
    with pytest.raises(InputError, match="level=95"):
        disjoint_null(difference, values, level=95)
