import numpy as np
import pytest

from jax_unlearn.audit import (
    activation_distance,
    completeness,
    jensen_shannon,
    kl_oracle_to_unlearned,
    kl_training_targets,
)
from jax_unlearn.audit.measures.probabilities import log_softmax, softmax
from jax_unlearn.core import InputError

DISTANCES = (kl_oracle_to_unlearned, jensen_shannon, activation_distance)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 50, 7)).astype(np.float32) * 3


def test_log_softmax_survives_large_logits_and_excluded_classes():
    np.testing.assert_array_equal(log_softmax([[1e4, 0.0]]), [[0.0, -1e4]])
    np.testing.assert_allclose(softmax([[0.0, 0.0, -np.inf]]), [[0.5, 0.5, 0.0]])


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_model_is_at_no_distance_from_itself(distance, pair):
    assert distance(pair[0], pair[0]) == pytest.approx(0.0, abs=1e-15)
    assert completeness(pair[0], pair[0]) == 1.0


@pytest.mark.parametrize("distance", [*DISTANCES, completeness])
def test_distances_ignore_the_order_of_examples_and_a_shift_of_each_row(distance, pair):
    order = np.random.default_rng(1).permutation(50)
    value = distance(*pair)
    assert distance(pair[0][order], pair[1][order]) == pytest.approx(value, rel=1e-12)
    shift = np.random.default_rng(2).normal(size=(50, 1)) * 10
    assert distance(pair[0] + shift, pair[1] - shift) == pytest.approx(value, rel=1e-9)


def test_kl_goes_from_the_oracle_to_the_unlearned_model_in_nats():
    oracle, unlearned = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert kl_oracle_to_unlearned(oracle, unlearned) == pytest.approx(expected)
    assert kl_oracle_to_unlearned(unlearned, oracle) != pytest.approx(expected, rel=0.01)


def test_kl_equals_scipys_relative_entropy_averaged_over_examples(pair):
    from scipy.stats import entropy

    expected = entropy(softmax(pair[0]), softmax(pair[1]), axis=1).mean()
    assert kl_oracle_to_unlearned(*pair) == pytest.approx(expected, rel=1e-12)


def test_kl_stays_exact_where_probabilities_underflow():
    # p = (1, 0), q = (exp(-2000), 1) to the last digit: KL = 2000.
    assert kl_oracle_to_unlearned([[1000.0, -1000.0]], [[-1000.0, 1000.0]]) == 2000.0


def test_jensen_shannon_is_symmetric_equals_scipys_and_ends_at_log_2(pair):
    from scipy.spatial.distance import jensenshannon

    assert jensen_shannon(*pair) == pytest.approx(jensen_shannon(*pair[::-1]), rel=1e-12)
    expected = np.mean(jensenshannon(softmax(pair[0]), softmax(pair[1]), axis=1) ** 2)
    assert jensen_shannon(*pair) == pytest.approx(expected, rel=1e-9)
    assert jensen_shannon([[999.0, 0.0]], [[0.0, 999.0]]) == pytest.approx(np.log(2))


def test_jensen_shannon_does_not_shrink_when_classes_that_nobody_predicts_are_added(pair):
    empty = np.full((50, 5), -np.inf)
    padded = [np.concatenate([logits, empty], axis=1) for logits in pair]
    assert jensen_shannon(*padded) == pytest.approx(jensen_shannon(*pair), rel=1e-12)
    assert kl_oracle_to_unlearned(*padded) == pytest.approx(kl_oracle_to_unlearned(*pair))


def test_the_divided_jensen_shannon_swaps_directions_and_divides_by_the_number_of_classes(pair):
    from scipy.stats import entropy

    p, q = softmax(pair[0]), softmax(pair[1])
    m = 0.5 * (p + q)
    expected = 0.5 * (entropy(m, p, axis=1) + entropy(m, q, axis=1)).mean() / 7
    divided = jensen_shannon(*pair, variant="divided")
    assert divided == pytest.approx(expected, rel=1e-9)
    assert divided < 0.7 * jensen_shannon(*pair)


def test_the_divided_kl_is_the_mean_over_examples_and_classes(pair):
    p, q = softmax(pair[0]), softmax(pair[1])
    divided = kl_oracle_to_unlearned(*pair, variant="divided")
    assert divided == pytest.approx(np.mean(p * np.log(p / q)), rel=1e-9)
    assert divided == pytest.approx(kl_oracle_to_unlearned(*pair) / 7)


def test_divided_divergences_shrink_when_classes_that_nobody_predicts_are_added(pair):
    padded = [np.concatenate([x, np.full((50, 7), -800.0)], axis=1) for x in pair]
    for distance in (jensen_shannon, kl_oracle_to_unlearned):
        assert distance(*padded) == pytest.approx(distance(*pair))
        found = distance(*padded, variant="divided")
        assert found == pytest.approx(0.5 * distance(*pair, variant="divided"))


@pytest.mark.parametrize("distance", [jensen_shannon, kl_oracle_to_unlearned])
def test_unknown_variants_are_named(distance, pair):
    with pytest.raises(InputError, match="variant='mean': expected one of definition, divided"):
        distance(*pair, variant="mean")


def test_activation_distance_of_opposite_certainties_is_the_square_root_of_two():
    assert activation_distance([[999.0, 0.0]], [[0.0, 999.0]]) == pytest.approx(np.sqrt(2))


def test_completeness_is_the_share_of_equal_answers():
    assert completeness(np.eye(4), np.eye(4)[[0, 1, 2, 0]]) == 0.75


def test_one_hot_training_targets_cost_the_oracles_cross_entropy(pair):
    label = np.random.default_rng(3).integers(0, 7, 50)
    expected = -log_softmax(pair[0])[np.arange(50), label].mean()
    assert kl_training_targets(np.eye(7)[label], pair[0]) == pytest.approx(expected, rel=1e-12)


def test_training_targets_equal_to_the_oracles_answer_are_perfectly_natural(pair):
    assert kl_training_targets(softmax(pair[0]), pair[0]) == pytest.approx(0.0, abs=1e-12)


def test_the_two_readings_of_kl_avg_run_in_opposite_directions(pair):
    oracle, taught = pair
    assert kl_training_targets(softmax(taught), oracle) == pytest.approx(
        kl_oracle_to_unlearned(taught, oracle)
    )
    assert kl_training_targets(softmax(taught), oracle) != pytest.approx(
        kl_oracle_to_unlearned(oracle, taught), rel=1e-3
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_is_not_finite_has_no_distance(pair, bad):
    broken = pair[1].copy()
    broken[4, 2] = bad
    for distance in (*DISTANCES, completeness):
        assert np.isnan(distance(pair[0], broken))


@pytest.mark.parametrize("distance", [*DISTANCES, completeness])
def test_predictions_on_different_examples_are_refused(distance, pair):
    with pytest.raises(InputError, match=r"oracle_logits=\[50, 7\] and logits=\[49, 7\]"):
        distance(pair[0], pair[1][:-1])


def test_targets_that_are_no_distribution_are_refused(pair):
    with pytest.raises(InputError, match=r"targets\[1\]=a row that sums to 7"):
        kl_training_targets(np.stack([np.eye(7)[0], np.ones(7)]), pair[0][:2])
    with pytest.raises(InputError, match=r"targets=\[2, 3\] and oracle_logits=\[2, 7\]"):
        kl_training_targets(np.eye(3)[:2], pair[0][:2])
