import numpy as np
import pytest
from scipy.stats import binom, norm

from jax_unlearn.audit.measures.roc import (
    auc,
    auc_per_example,
    clopper_pearson,
    delong_auc,
    roc_curve,
    tpr_at_fpr,
)
from jax_unlearn.core import InputError


def gaussians(shift, n=40000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, 1, n), rng.normal(0, 1, n)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_gaussians_have_the_closed_form_rates(shift):
    positive, negative = gaussians(shift)
    assert auc(positive, negative) == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.006)
    for fpr in (0.1, 0.01):
        expected = norm.cdf(shift - norm.isf(fpr))
        assert tpr_at_fpr(positive, negative, fpr) == pytest.approx(expected, abs=0.02)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(1)
    positive, negative = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
    curve = roc_curve(positive, negative)
    trapezoids = np.sum(np.diff(curve.fpr) * (curve.tpr[1:] + curve.tpr[:-1]) / 2)
    pairs = np.mean((positive[:, None] > negative) + 0.5 * (positive[:, None] == negative))
    assert auc(positive, negative) == pytest.approx(pairs, rel=1e-12)
    assert trapezoids == pytest.approx(pairs, rel=1e-12)


def test_the_curve_runs_from_nothing_to_everything():
    curve = roc_curve([3.0, 2.0, np.inf], [1.0, 2.0])
    assert curve.threshold.tolist() == [np.inf, np.inf, 3.0, 2.0, 1.0]
    np.testing.assert_allclose(curve.tpr, [0, 1 / 3, 2 / 3, 1, 1])
    np.testing.assert_allclose(curve.fpr, [0, 0, 0, 0.5, 1])


def test_exchanging_the_sides_mirrors_the_area():
    positive, negative = gaussians(0.7, 300)
    assert auc(negative, positive) == pytest.approx(1 - auc(positive, negative), rel=1e-12)


def test_the_rate_is_attained_without_interpolation():
    # Two of four positives lie above all negatives; the third only with half of them.
    positive, negative = np.array([9.0, 8, 5, 0]), np.array([7.0, 6, 1, 1])
    assert tpr_at_fpr(positive, negative, 0.25) == 0.5
    assert tpr_at_fpr(positive, negative, 0.49) == 0.5
    assert tpr_at_fpr(positive, negative, 0.5) == 0.75


def test_too_few_negatives_show_no_small_rate():
    positive, negative = np.arange(50.0), np.arange(50.0)
    assert np.isnan(tpr_at_fpr(positive, negative, 0.01))
    assert not np.isnan(tpr_at_fpr(positive, negative, 0.02))


def test_scores_of_examples_are_compared_one_by_one():
    rng = np.random.default_rng(2)
    unlearned, oracle = rng.normal(size=(12, 4)), rng.normal(size=(9, 4))
    found = auc_per_example(unlearned, oracle)
    np.testing.assert_array_equal(found, [auc(*c) for c in zip(unlearned.T, oracle.T, strict=True)])
    unlearned[0, 2] = np.nan
    assert np.isnan(auc_per_example(unlearned, oracle)).tolist() == [False, False, True, False]


def test_delong_covers_the_true_area_about_as_often_as_it_says():
    truth = norm.cdf(1 / np.sqrt(2))
    intervals = [delong_auc(*gaussians(1.0, 40, seed)) for seed in range(200)]
    covered = np.mean([i.low <= truth <= i.high for i in intervals])
    assert 0.9 <= covered <= 0.99


def test_delong_agrees_with_its_formula_by_hand():
    positive, negative = np.array([3.0, 1.0]), np.array([2.0, 0.0])
    # Placements 1, 1/2 and 1/2, 1: variance (1/8) / 2 on either side.
    found = delong_auc(positive, negative, level=0.5)
    half = norm.isf(0.25) * np.sqrt(1 / 8)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - half)
    assert found.high == pytest.approx(min(0.75 + half, 1.0))


def test_clopper_pearson_is_where_the_binomial_tails_reach_half_the_error():
    found = clopper_pearson(3, 20)
    assert binom.sf(2, 20, found.low) == pytest.approx(0.025)
    assert binom.cdf(3, 20, found.high) == pytest.approx(0.025)
    assert clopper_pearson(0, 10).low == 0.0
    assert clopper_pearson(10, 10).high == 1.0


def test_a_score_that_is_nan_leaves_nothing_to_say():
    broken, fine = np.array([1.0, np.nan]), np.arange(3.0)
    assert np.isnan(auc(broken, fine))
    assert np.isnan(tpr_at_fpr(fine, broken, 0.5))
    assert np.isnan(roc_curve(broken, fine).tpr).all()
    assert np.isnan(delong_auc(broken, fine)[:3]).all()


def test_one_score_a_side_has_no_interval():
    found = delong_auc([1.0], [0.0])
    assert found.value == 1.0
    assert np.isnan(found.low)


def test_counts_may_be_numpy_numbers():
    assert clopper_pearson(np.int64(3), np.int64(5)) == clopper_pearson(3, 5)


def test_misuse_is_named():
    with pytest.raises(InputError, match="positive=0 and negative=2 scores"):
        auc([], [1.0, 2.0])
    with pytest.raises(InputError, match=r"unlearned=\[2, 3\] and oracle=\[2, 4\]"):
        auc_per_example(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(InputError, match="fpr=0"):
        tpr_at_fpr([1.0], [0.0], 0.0)
    with pytest.raises(InputError, match="successes=5"):
        clopper_pearson(5, 4)
    with pytest.raises(InputError, match="level=1"):
        delong_auc([1.0], [0.0], level=1.0)
