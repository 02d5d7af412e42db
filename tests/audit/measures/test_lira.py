import numpy as np
import pytest
from scipy.stats import norm

from jax_unlearn.audit.comparison.bands import band_of_splits, split_oracles
from jax_unlearn.audit.measures.lira import ulira, ulira_scores
from jax_unlearn.core import InputError


def banks(seed, n, examples, *, shift=0.0, spread=1.0, offsets=3.0):
    """Gaussian confidences; every example has a mean of its own."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, offsets, examples)
    return rng.normal(mean + shift, spread, (n, examples)), rng.normal(mean, 1.0, (n, examples))


@pytest.mark.parametrize("shift", [0.5, 1.5])
def test_shifted_gaussians_give_the_closed_form_rates(shift):
    report = ulira(*banks(0, 4000, 60, shift=shift), n_resamples=5)
    assert report.auc.value == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.01)
    assert report.accuracy.value == pytest.approx(norm.cdf(shift / 2), abs=0.01)
    for rate, fpr in ((report.tpr_at_1_percent, 0.01), (report.tpr_at_01_percent, 0.001)):
        assert rate.value == pytest.approx(norm.cdf(shift - norm.isf(fpr)), rel=0.15)


def test_a_difference_in_spread_alone_is_found():
    # Likelihood ratio of N(0, 3) against N(0, 1): a threshold on |c|, here at equal density.
    report = ulira(*banks(1, 256, 200, spread=3.0), n_resamples=5)
    at = np.sqrt(2 * np.log(3) / (1 - 1 / 9))
    expected = (2 * norm.sf(at / 3) + 1 - 2 * norm.sf(at)) / 2
    assert report.accuracy.value == pytest.approx(expected, abs=0.01)


def test_retraining_is_not_told_from_retraining():
    report = ulira(*banks(2, 32, 400))
    assert report.auc.value == pytest.approx(0.5, abs=0.01)
    assert report.accuracy.low < 0.5 < report.accuracy.high
    assert report.tpr_at_1_percent.value == pytest.approx(0.01, abs=0.005)


def test_scoring_the_models_that_were_fitted_would_find_a_difference_where_there_is_none():
    unlearned, oracle = banks(3, 16, 400)
    held_out = ulira(unlearned, oracle, n_resamples=0).auc.value
    fitted = [(bank.mean(axis=0), bank.std(axis=0, ddof=1)) for bank in (unlearned, oracle)]

    def score(c):
        return norm.logpdf(c, *fitted[0]) - norm.logpdf(c, *fitted[1])

    in_sample = np.mean(score(unlearned)[:, None] > score(oracle))
    assert held_out == pytest.approx(0.5, abs=0.02)
    assert in_sample > 0.55


def test_a_model_changes_no_score_of_its_own_fold():
    unlearned, oracle = banks(4, 16, 5, shift=1.0)
    before = ulira_scores(unlearned, oracle, seed=3)
    changed = unlearned.copy()
    changed[0] += 5.0
    after = ulira_scores(changed, oracle, seed=3)
    same = before.unlearned_fold == before.unlearned_fold[0]
    same[0] = False
    np.testing.assert_array_equal(before.unlearned[same], after.unlearned[same])
    other = before.oracle_fold != before.unlearned_fold[0]
    np.testing.assert_array_equal(before.oracle[~other], after.oracle[~other])
    assert (before.oracle[other] != after.oracle[other]).all()


def test_scores_are_log_likelihood_ratios_of_the_other_fold():
    unlearned, oracle = banks(5, 20, 3, shift=1.0)
    found = ulira_scores(unlearned, oracle)
    for model in range(20):
        out = found.unlearned_fold[model]
        fits = [unlearned[found.unlearned_fold != out], oracle[found.oracle_fold != out]]
        as_u, as_o = (
            norm.logpdf(unlearned[model], f.mean(axis=0), f.std(axis=0, ddof=1)) for f in fits
        )
        np.testing.assert_allclose(found.unlearned[model], as_u - as_o, rtol=1e-9, atol=1e-9)


def test_the_null_band_of_disjoint_oracles_holds_chance_and_leaves_out_a_shift():
    oracle = banks(6, 64, 60)[1]

    def area(a, b):
        return ulira(a, b, n_resamples=0).auc.value

    orders = split_oracles(64, 32, 32, splits=30)
    values = np.array([area(oracle[order[:32]], oracle[order[32:]]) for order in orders])
    null = band_of_splits(values, (32, 32), 64, level=0.95)
    assert null.low < 0.5 < null.high
    shifted = area(oracle[:32] + 1.0, oracle[32:])
    assert shifted > null.high


def test_saturated_confidences_are_no_difference():
    constant = np.full((16, 2), 700.0)
    assert ulira(constant, constant).auc.value == 0.5
    assert ulira(constant, constant).accuracy.value == 0.5


def test_an_example_that_is_not_finite_is_left_out_and_counted():
    unlearned, oracle = banks(7, 16, 6)
    unlearned[2, 1], oracle[1, 4] = np.nan, -np.inf
    assert ulira(unlearned, oracle).examples == 4
    assert np.isnan(ulira_scores(unlearned, oracle).oracle).all(axis=0).tolist() == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_misuse_is_named():
    unlearned, oracle = banks(8, 16, 4)
    with pytest.raises(InputError, match="oracle=10 models: expected at least 16, for 2 folds"):
        ulira(unlearned, oracle[:10])
    with pytest.raises(InputError, match="unlearned=15 models: expected at least 16"):
        ulira(unlearned[:15], oracle)
    with pytest.raises(InputError, match=r"unlearned=\[16, 4\] and oracle=\[16, 3\]"):
        ulira(unlearned, oracle[:, :3])
    with pytest.raises(InputError, match="seed=-1"):
        ulira(unlearned, oracle, seed=-1)
