import numpy as np
import pytest

from jax_unlearn.audit.measures.loss_attack import cross_validated_accuracy, loss_attack_accuracy
from jax_unlearn.audit.measures.probabilities import cross_entropy, softmax
from jax_unlearn.core import InputError, Outputs, Predictions


def halves(outputs, n):
    return Outputs(*(a[:n] for a in outputs)), Outputs(*(a[n : 2 * n] for a in outputs))


def test_the_loss_is_minus_the_log_of_the_true_probability():
    logits = np.random.default_rng(0).normal(size=(20, 5))
    label = np.arange(20) % 5
    expected = -np.log(softmax(logits)[np.arange(20), label])
    np.testing.assert_allclose(cross_entropy(logits, label), expected, rtol=1e-12)
    np.testing.assert_array_equal(cross_entropy([[2000.0, 0.0]], [1]), [2000.0])
    np.testing.assert_array_equal(cross_entropy([[np.nan, 0.0], [0.0, 0.0]], [0, 0])[1], np.log(2))


def test_examples_of_one_distribution_cannot_be_told_apart(simulate):
    predictions = simulate(0, test=2000)
    one, other = halves(predictions.test, 1000)
    fair = Predictions(one, predictions.retain, other, np.zeros(1000, bool))
    assert loss_attack_accuracy(fair) == pytest.approx(0.5, abs=0.06)


def test_what_is_still_known_can_be_told_from_test_examples(simulate):
    never_seen, still_known = simulate(0, lead=4.0), simulate(0, lead=9.0)
    assert loss_attack_accuracy(still_known) > loss_attack_accuracy(never_seen) + 0.1


def test_the_attack_equals_scikit_learns_cross_validation_up_to_the_splits():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score

    rng = np.random.default_rng(0)
    first, second = rng.gamma(1.0, 1.0, 500), rng.gamma(1.0, 3.0, 500)
    expected = cross_val_score(
        LogisticRegression(),
        np.concatenate([first, second])[:, None],
        np.repeat([1, 0], 500),
        cv=StratifiedShuffleSplit(n_splits=100, test_size=0.1, random_state=0),
    ).mean()
    found = cross_validated_accuracy(first, second, splits=100)
    assert found == pytest.approx(expected, abs=0.025)


def test_separable_losses_are_always_told_apart_also_in_tiny_sets():
    for n in (2, 3, 50):
        first, second = np.linspace(0, 1, n), np.linspace(20, 21, n)
        assert cross_validated_accuracy(first, second) == 1.0
        assert cross_validated_accuracy(second, first) == 1.0


def test_as_many_test_as_forget_examples_are_drawn_and_the_same_for_a_seed(simulate):
    predictions = simulate(0)
    assert len(predictions.forget.label) < len(predictions.test.label)
    again, other = (loss_attack_accuracy(predictions, seed=s) for s in (0, 2))
    assert loss_attack_accuracy(predictions) == again != other


def test_a_forgotten_class_is_compared_with_its_own_test_images(simulate):
    # Equally unknown in training and test images: only the other classes give it away.
    predictions = simulate(0, lead=1.0, class_wise=True, train=3000, test=3000)
    assert loss_attack_accuracy(predictions, nonmembers="forgotten") < 0.6
    assert loss_attack_accuracy(predictions, nonmembers="remaining") > 0.7


def test_a_model_that_is_not_finite_has_no_attack(simulate, map_logits):
    assert np.isnan(loss_attack_accuracy(map_logits(simulate(0), lambda x: x * np.inf)))
    assert np.isnan(cross_validated_accuracy(np.array([0.0, np.nan]), np.ones(2)))


@pytest.mark.parametrize("first", [np.ones(5), np.array([0.3])])
def test_equal_losses_and_single_examples_give_nan_and_say_so(first):
    with pytest.warns(UserWarning, match="loss attack: its feature does not tell"):
        assert np.isnan(cross_validated_accuracy(first, np.ones(len(first))))


def test_bad_arguments_are_named(simulate):
    with pytest.raises(InputError, match="splits=0"):
        loss_attack_accuracy(simulate(0), splits=0)
    with pytest.raises(InputError, match="nonmembers='forgotten': no test example belongs to"):
        loss_attack_accuracy(simulate(0), nonmembers="forgotten")
    with pytest.raises(InputError, match="second=3 values: expected 2"):
        cross_validated_accuracy(np.arange(2.0), np.arange(3.0))


def test_losses_that_differ_by_rounding_alone_give_nan_and_say_so():
    rng = np.random.default_rng(0)
    first, second = (0.7 + 1e-16 * rng.integers(0, 9, 50) for _ in range(2))
    with pytest.warns(UserWarning, match="loss attack"):
        assert np.isnan(cross_validated_accuracy(first, second))


def test_a_split_whose_training_values_are_alike_counts_as_a_coin():
    # One value in twenty differs: where it is held out, nothing tells the sides apart.
    first = np.zeros(20)
    first[0] = 1.0
    one = [cross_validated_accuracy(first, np.zeros(20), splits=1, seed=s) for s in range(40)]
    assert 0.5 in one
