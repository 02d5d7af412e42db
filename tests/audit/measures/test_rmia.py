import numpy as np
import pytest
from scipy.stats import norm

from jax_unlearn.audit.measures.lira import ulira
from jax_unlearn.audit.measures.rmia import rmia, rmia_scores
from jax_unlearn.core import InputError


def known_case():
    """Oracles give 0.25 everywhere, unlearned models 0.5 to x and all of (0, 0.5) to the z."""
    population = np.tile((np.arange(1000) + 0.5) / 2000, (8, 1))
    references = np.full((8, 1000), 0.25)
    return np.full((8, 3), 0.5), np.full((8, 3), 0.25), population, references


@pytest.mark.parametrize(("gamma", "share"), [(1.0, 1.0), (1.25, 4 / 7), (2.0, 0.25)])
def test_the_score_is_the_share_of_the_population_beaten(gamma, share):
    # Both kinds of references expect 0.375 of x and (z + 0.25) / 2 of z. Under unlearned models
    # x has ratio 4/3 and beats each z with 2 z / (z + 0.25) <= 4/3 / gamma.
    found = rmia_scores(*known_case(), gamma=gamma)
    np.testing.assert_allclose(found.unlearned, share, atol=1e-3)
    # Under oracles x has ratio 2/3, and no z has 0.5 / (z + 0.25) as low as that.
    np.testing.assert_allclose(found.oracle, 0.0, atol=1e-3)


def test_offline_the_oracles_alone_say_what_to_expect():
    unlearned, oracle, population, references = known_case()
    found = rmia_scores(unlearned, oracle, population, references, gamma=2.0, a=1.0)
    # Ratio 2 beats z with ratio <= 1: half of them. An oracle's 1 beats no z of ratio 1.
    np.testing.assert_allclose(found.unlearned, 0.5)
    np.testing.assert_allclose(found.oracle, 0.0)
    weaker = rmia_scores(unlearned, oracle, population, references, gamma=1.0, a=1.0)
    np.testing.assert_allclose(weaker.oracle, 1.0)


def test_a_shrinks_what_oracles_expect():
    # p(x) = ((1 + a) 0.25 + 1 - a) / 2: 0.625 at a = 0, so the ratio falls from 2 to 0.8.
    unlearned, oracle, population, references = known_case()
    for a in (0.0, 0.4, 1.0):
        expected = 0.5 / (((1 + a) * 0.25 + 1 - a) / 2) / 2.0 / 2.0
        found = rmia_scores(unlearned, oracle, population, references, gamma=2.0, a=a)
        np.testing.assert_allclose(found.unlearned, expected, atol=2e-3)


def gaussian_case(shift, models=200, examples=30, test=2000, seed=0):
    """log p is Gaussian over models: shifted for unlearned models, alike on the population."""
    rng = np.random.default_rng(seed)

    def draw(mean, size):
        return np.exp(np.minimum(rng.normal(mean, 0.3, size), 0.0))

    return (
        draw(-3.0 + 0.3 * shift, (models, examples)),
        draw(-3.0, (models, examples)),
        draw(-3.0, (models, test)),
        draw(-3.0, (models, test)),
    )


@pytest.mark.parametrize("a", [None, 1.0])
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_gaussians_have_the_closed_form_area(shift, a):
    # With a dense population the score rises with p(x): the AUC is that of two Gaussians.
    report = rmia(*gaussian_case(shift), a=a, n_resamples=20)
    assert report.auc.value == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.015)
    assert np.isnan(report.accuracy.value)
    if shift:
        assert report.auc.low > 0.5
        expected = norm.cdf(shift - norm.isf(0.01))
        assert report.tpr_at_1_percent.value == pytest.approx(expected, abs=0.04)


def test_less_probable_than_retrained_lies_below_one_half():
    assert rmia(*gaussian_case(-1.0, 40), n_resamples=20).auc.high < 0.5


def saturated_case(forget, errors, models=64, seed=0):
    """Log-odds of models that are certain: of forget examples, and of tests but for errors."""
    rng = np.random.default_rng(seed)
    population = rng.normal(8.0, 0.5, (models, 500))
    population[rng.random(population.shape) < errors] = -3.0
    return rng.normal(forget, 0.5, (models, 50)), population


def chance_of(log_odds):
    return 1.0 / (1.0 + np.exp(-log_odds))


def test_models_that_are_certain_of_everything_are_still_told_from_oracles():
    original, tests = saturated_case(6.0, errors=0.01)
    oracle, oracle_tests = saturated_case(4.0, errors=0.03, seed=1)
    assert ulira(original, oracle, n_resamples=0).auc.value > 0.99
    case = [chance_of(x) for x in (original, oracle, tests, oracle_tests)]
    assert rmia(*case, n_resamples=0).auc.value > 0.75
    # No example is twice as probable as expected: the published settings rank by test errors.
    assert rmia(*case, gamma=2.0, a=0.3, n_resamples=0).auc.value < 0.2


def test_certain_oracles_are_not_told_from_oracles():
    areas = []
    for seed in range(0, 40, 2):
        one, tests = saturated_case(4.0, errors=0.03, seed=seed)
        two, other_tests = saturated_case(4.0, errors=0.03, seed=seed + 1)
        case = [chance_of(x) for x in (one, two, tests, other_tests)]
        areas.append(rmia(*case, n_resamples=0).auc.value)
    assert np.mean(areas) == pytest.approx(0.5, abs=3 * np.std(areas) / np.sqrt(len(areas)))
    assert np.std(areas) < 0.06


@pytest.mark.parametrize("value", [0.0, 1e-300, 0.25, 1.0])
def test_models_that_all_agree_are_not_told_apart(value):
    bank, population = np.full((8, 3), value), np.full((8, 20), value)
    report = rmia(bank, bank, population, population)
    assert report.auc.value == report.auc.low == report.auc.high == 0.5


def test_references_are_never_scored():
    case = gaussian_case(0.5, models=8, examples=4, test=50)
    before = rmia_scores(*case, seed=1)
    changed = case[1].copy()
    changed[0] *= 0.5
    after = rmia_scores(case[0], changed, *case[2:], seed=1)
    fold = before.oracle_fold[0]
    same = before.oracle_fold == fold
    same[0] = False
    np.testing.assert_array_equal(before.oracle[same], after.oracle[same])
    own = before.unlearned_fold == fold
    np.testing.assert_array_equal(before.unlearned[own], after.unlearned[own])
    assert (before.unlearned[~own] != after.unlearned[~own]).any()
    changed = case[0].copy()
    changed[0] *= 0.5
    after = rmia_scores(changed, *case[1:], seed=1)
    same = before.unlearned_fold == before.unlearned_fold[0]
    same[0] = False
    np.testing.assert_array_equal(before.unlearned[same], after.unlearned[same])


def test_a_probability_that_underflowed_beats_nothing():
    unlearned, oracle, population, references = known_case()
    found = rmia_scores(np.zeros_like(unlearned), oracle, population, references)
    assert (found.unlearned == 0.0).all()


def test_nan_is_left_out_and_counted():
    case = [array.copy() for array in gaussian_case(0.5, models=8, examples=4, test=50)]
    case[0][1, 2] = np.nan
    assert rmia(*case).examples == 3
    without = rmia_scores(case[0], case[1], case[2][:, 1:], case[3][:, 1:])
    case[2][1, 0] = np.nan
    np.testing.assert_array_equal(rmia_scores(*case).unlearned, without.unlearned)
    np.testing.assert_array_equal(rmia_scores(*case).oracle, without.oracle)
    case[3][:] = np.nan
    assert rmia(*case).examples == 0


def test_misuse_is_named():
    unlearned, oracle, population, references = known_case()
    with pytest.raises(InputError, match="oracle=3 models: expected at least 4, for 2 folds"):
        rmia(unlearned, oracle[:3], population, references[:3])
    with pytest.raises(InputError, match="unlearned=3 models: expected at least 4"):
        rmia(unlearned[:3], oracle, population[:3], references)
    with pytest.raises(InputError, match="unlearned=1 model: expected at least 2"):
        rmia(unlearned[:1], oracle, population[:1], references, a=0.3)
    with pytest.raises(InputError, match="oracle_population=7 models: expected 8"):
        rmia(unlearned, oracle, population, references[:7])
    with pytest.raises(InputError, match=r"unlearned=-1.5: expected probabilities .* softmax"):
        rmia(unlearned - 2.0, oracle, population, references)
    with pytest.raises(InputError, match=r"gamma=0\.5"):
        rmia(unlearned, oracle, population, references, gamma=0.5)
    with pytest.raises(InputError, match=r"a=1\.5"):
        rmia(unlearned, oracle, population, references, a=1.5)
