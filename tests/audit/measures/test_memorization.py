import numpy as np
import pytest

from jax_unlearn.audit.measures.memorization import (
    mean_memorization,
    memorization_scores,
    memorization_standard_errors,
)
from jax_unlearn.core import InputError

MEMBER = np.array([[1, 1, 0, 0]], bool).T


def column(*values):
    return np.array([values], bool).T


def test_right_only_when_seen_is_one_and_right_anyway_is_zero():
    assert memorization_scores(column(1, 1, 0, 0), MEMBER) == 1.0
    assert memorization_scores(column(1, 1, 1, 1), MEMBER) == 0.0
    assert memorization_scores(column(0, 0, 1, 1), MEMBER) == -1.0
    assert memorization_scores(column(1, 1, 1, 0), MEMBER) == 0.5


def test_scores_recover_the_probabilities_put_in():
    rng = np.random.default_rng(0)
    models = 4000
    member = rng.random((models, 3)) < 0.5
    inside, outside = np.array([0.9, 0.99, 0.7]), np.array([0.2, 0.98, 0.7])
    correct = rng.random((models, 3)) < np.where(member, inside, outside)
    found, error = (f(correct, member) for f in (memorization_scores, memorization_standard_errors))
    np.testing.assert_allclose(found, inside - outside, atol=0.04)
    expected = np.sqrt((inside * (1 - inside) + outside * (1 - outside)) / (models / 2))
    np.testing.assert_allclose(error, expected, rtol=0.1)


def test_swapping_members_and_others_turns_the_sign():
    rng = np.random.default_rng(1)
    correct, member = rng.random((2, 30, 8)) < 0.5
    np.testing.assert_array_equal(
        memorization_scores(correct, ~member), -memorization_scores(correct, member)
    )


def test_an_example_always_in_or_always_out_has_no_score():
    member = np.array([[1, 0, 1], [1, 0, 0]], bool)
    found = memorization_scores(np.ones_like(member), member)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0.0])
    # One model on either side shows no spread.
    assert np.isnan(memorization_standard_errors(np.ones_like(member), member)).all()


def test_misuse_is_named():
    with pytest.raises(InputError, match=r"correct=int64\[4, 1\]: expected bool"):
        memorization_scores(np.ones((4, 1), np.int64), MEMBER)
    with pytest.raises(InputError, match=r"member=bool\[4, 1\].*same shape"):
        memorization_scores(np.ones((4, 2), bool), MEMBER)


def test_the_mean_score_has_the_error_of_its_single_example():
    """For one example the jackknife has a closed form beside the binomial error."""
    member = np.arange(12)[:, None] < 6
    correct = np.isin(np.arange(12), [0, 1, 2, 3, 4, 7])[:, None]
    found = mean_memorization(correct, member)
    assert found.value == memorization_scores(correct, member)[0] == pytest.approx(5 / 6 - 1 / 6)
    binomial = memorization_standard_errors(correct, member)[0]
    assert found.standard_error == pytest.approx(binomial * np.sqrt(11 / 10))
    assert found.examples == 1


def test_the_same_example_many_times_is_no_more_certain():
    member = np.arange(12)[:, None] < 6
    correct = np.isin(np.arange(12), [0, 1, 2, 3, 4, 7])[:, None]
    one = mean_memorization(correct, member)
    many = mean_memorization(np.repeat(correct, 50, 1), np.repeat(member, 50, 1))
    assert many.value == pytest.approx(one.value)
    assert many.standard_error == pytest.approx(one.standard_error)
    assert many.examples == 50


def test_without_scores_there_is_no_mean():
    found = mean_memorization(np.ones((4, 2), bool), np.ones((4, 2), bool))
    assert np.isnan(found.value)
    assert found.examples == 0
