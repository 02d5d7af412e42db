"""Null bands hold the share of further oracles that they say, and know when they know nothing."""

import math

import numpy as np
import pytest
from scipy.stats import t

from jax_unlearn.audit.comparison.bands import (
    SPLITS,
    band_of_means,
    band_of_pairs,
    band_of_splits,
    jackknife,
    split_oracles,
)


def test_band_of_means_is_the_prediction_interval():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    band = band_of_means(values, values[:2], 3, resolution=0.0, level=0.95)
    half = t.ppf(0.975, 3) * values.std(ddof=1) * math.sqrt(1 / 3 + 1 / 2)
    assert band.low == pytest.approx(1.5 - half)
    assert band.high == pytest.approx(1.5 + half)
    assert (band.median, band.n) == (1.5, 4)


def test_a_band_of_means_holds_what_it_says():
    rng = np.random.default_rng(0)
    draws = 4000
    hits = 0
    for values in rng.normal(size=(draws, 6 + 3)):
        band = band_of_means(values[:6], values[:6:2], 3, resolution=0.0, level=0.95)
        hits += band.low <= values[6:].mean() <= band.high
    # The reference is among the oracles that the spread is learnt from: a little more than 95 %.
    assert 0.945 < hits / draws < 0.985


def test_oracles_that_agree_leave_a_band_below_one_example():
    band = band_of_means(np.full(6, 90.0), np.full(3, 90.0), 3, resolution=2.0, level=0.95)
    assert 90.0 < band.high < 92.0
    point = band_of_means(np.full(6, 90.0), np.full(3, 90.0), 3, resolution=0.0, level=0.95)
    assert point.low == point.high == 90.0


def test_one_oracle_makes_no_band():
    one = np.array([1.0])
    assert band_of_means(one, one, 1, resolution=0.0, level=0.95) is None
    with_nan = np.array([1.0, np.nan])
    assert band_of_means(with_nan, with_nan, 1, resolution=0.0, level=0.95) is None


def _distances(places):
    matrix = np.abs(places[:, None] - places[None, :])
    np.fill_diagonal(matrix, np.nan)
    return matrix


@pytest.mark.parametrize(("oracles", "n"), [(6, 3), (10, 1), (24, 12)])
def test_a_band_of_pairs_holds_what_it_says(oracles, n):
    rng = np.random.default_rng(1)
    draws = 600
    hits = 0
    for _ in range(draws):
        # Some oracles lie far out: all of their distances are large together.
        places = rng.normal(size=(oracles + n, 3)) * rng.gamma(16.0, 1 / 16, (oracles + n, 1))
        matrix = np.linalg.norm(places[:, None] - places[None, :], axis=-1)
        np.fill_diagonal(matrix, np.nan)
        known = matrix[:oracles, :oracles]
        reference = np.arange(0, oracles, 2)
        band = band_of_pairs(known, n, len(reference), resolution=0.0, level=0.95)
        hits += matrix[oracles:, reference].mean() <= band.high
    # The upper end alone is asked for, 97.5 %; distances are skewed, which t does not know.
    assert hits / draws > 0.92


def test_two_oracles_make_no_band_of_pairs():
    assert band_of_pairs(_distances(np.arange(2.0)), 1, 1, resolution=0.0, level=0.95) is None


def test_a_pair_without_a_value_makes_no_band():
    matrix = _distances(np.arange(4.0))
    matrix[0, 1] = np.nan
    assert band_of_pairs(matrix, 1, 2, resolution=0.0, level=0.95) is None


def test_a_band_of_splits_is_the_central_interval():
    band = band_of_splits(np.arange(1.0, 201.0), (8, 8), 16, level=0.95)
    assert (band.low, band.median, band.high) == (6.0, 100.0, 195.0)
    assert "8 and 8" in band.how


def test_a_split_without_a_value_makes_no_band():
    assert band_of_splits(np.array([1.0, np.nan]), (8, 8), 16, level=0.95) is None


def test_few_oracles_are_split_in_every_way():
    orders = split_oracles(6, 3, 3)
    assert len(orders) == 20
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len({tuple(sorted(order[:3])) for order in orders}) == 20


def test_many_oracles_are_split_at_random_and_the_same_each_time():
    orders = split_oracles(40, 16, 16)
    assert len(orders) == SPLITS
    assert all(len(set(order)) == 32 for order in orders)
    assert all(np.array_equal(a, b) for a, b in zip(orders, split_oracles(40, 16, 16), strict=True))


def test_the_jackknife_of_a_difference_of_means_is_its_standard_error():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=8), rng.normal(size=8)

    def statistic(rows, others):
        return {"difference": first[rows].mean() - second[others].mean()}

    value = statistic(np.arange(8), np.arange(8))
    low, high = jackknife(statistic, value, 8, 8, level=0.95)["difference"]
    error = math.sqrt(first.var(ddof=1) / 8 + second.var(ddof=1) / 8)
    assert (low + high) / 2 == pytest.approx(value["difference"])
    assert (high - low) / 2 == pytest.approx(t.ppf(0.975, 7) * error)
