import numpy as np
import pytest
from scipy.stats import norm

from jax_unlearn.audit.rmia import rmia, rmia_scores
from jax_unlearn.core import InputError


def known_case():
    """References expect 0.25 everywhere; under any target z's ratios are uniform on (0, 2)."""
    population = np.tile((np.arange(1000) + 0.5) / 2000, (8, 1))
    # The mean over the references of a fold is 0.25 for every z.
    references = np.full((8, 1000), 0.25)
    return np.full((8, 3), 0.5), np.full((8, 3), 0.25), population, references


def test_the_score_is_the_share_of_the_population_beaten():
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


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_gaussians_have_the_closed_form_area(shift):
    # With a dense population the score rises with p(x): the AUC is that of two Gaussians.
    report = rmia(*gaussian_case(shift), gamma=1.0, a=1.0, n_resamples=20)
    assert report.auc.value == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.015)
    assert np.isnan(report.accuracy.value)
    if shift:
        assert report.auc.low > 0.5
        expected = norm.cdf(shift - norm.isf(0.01))
        assert report.tpr_at_1_percent.value == pytest.approx(expected, abs=0.04)


def test_less_probable_than_retrained_lies_below_one_half():
    assert rmia(*gaussian_case(-1.0, 40), gamma=1.0, a=1.0, n_resamples=20).auc.high < 0.5


def test_references_are_never_scored():
    case = gaussian_case(0.5, models=8, examples=4, test=50)
    before = rmia_scores(*case, a=1.0, seed=1)
    changed = case[1].copy()
    changed[0] *= 0.5
    after = rmia_scores(case[0], changed, *case[2:], a=1.0, seed=1)
    fold = before.oracle_fold[0]
    same = before.oracle_fold == fold
    same[0] = False
    np.testing.assert_array_equal(before.oracle[same], after.oracle[same])
    own = before.unlearned_fold == fold
    np.testing.assert_array_equal(before.unlearned[own], after.unlearned[own])
    assert (before.unlearned[~own] != after.unlearned[~own]).any()


def test_a_probability_that_underflowed_beats_nothing():
    unlearned, oracle, population, references = known_case()
    found = rmia_scores(np.zeros_like(unlearned), oracle, population, references)
    assert (found.unlearned == 0.0).all()


def test_nan_is_left_out_and_counted():
    case = [array.copy() for array in gaussian_case(0.5, models=8, examples=4, test=50)]
    case[0][1, 2] = np.nan
    assert rmia(*case).examples == 3
    case[2][1, 7] = np.nan
    assert rmia(*case).examples == 0


def test_misuse_is_named():
    unlearned, oracle, population, references = known_case()
    with pytest.raises(InputError, match="oracle=3 models: expected at least 4, for 2 folds"):
        rmia(unlearned, oracle[:3], population, references[:3])
    with pytest.raises(InputError, match="unlearned=1 models: expected at least 2"):
        rmia(unlearned[:1], oracle, population[:1], references)
    with pytest.raises(InputError, match="oracle_population=7 models: expected 8"):
        rmia(unlearned, oracle, population, references[:7])
    with pytest.raises(InputError, match=r"unlearned=-1.5: expected probabilities .* softmax"):
        rmia(unlearned - 2.0, oracle, population, references)
    with pytest.raises(InputError, match="gamma=0"):
        rmia(unlearned, oracle, population, references, gamma=0.0)
    with pytest.raises(InputError, match=r"a=1\.5"):
        rmia(unlearned, oracle, population, references, a=1.5)
