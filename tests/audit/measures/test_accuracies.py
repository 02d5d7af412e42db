import numpy as np
import pytest

from jax_unlearn.audit import accuracies, accuracy
from jax_unlearn.audit.measures.accuracy import select
from jax_unlearn.core import InputError, Outputs, Predictions


def outputs(predicted, label):
    logits = np.eye(4, dtype=np.float32)[predicted]
    return Outputs(logits, np.array(label, np.int32), np.arange(len(label)))


def test_accuracy_is_the_percentage_of_right_answers():
    assert accuracy(outputs([0, 1, 2, 3], [0, 1, 2, 0])) == 75.0
    assert accuracy(outputs([1, 1], [0, 0])) == 0.0
    assert accuracy(outputs([1, 1], [1, 1])) == 100.0


def test_accuracy_does_not_depend_on_the_order_of_examples_or_on_a_shift_of_logits(simulate):
    test = simulate(0).test
    order = np.random.default_rng(0).permutation(len(test.label))
    assert accuracy(select(test, order)) == accuracy(test)
    assert accuracy(test._replace(logits=test.logits + 5)) == accuracy(test)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_has_no_accuracy(simulate, bad):
    test = simulate(0).test
    logits = test.logits.copy()
    logits[3, 2] = bad
    assert np.isnan(accuracy(test._replace(logits=logits)))


def test_an_empty_set_is_refused():
    with pytest.raises(InputError, match="outputs=0 examples"):
        accuracy(Outputs(np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, int)))


def test_class_wise_accuracy_divides_the_test_set_by_forgotten_class():
    predictions = Predictions(
        forget=outputs([0, 1, 1, 1], [1, 1, 1, 1]),
        retain=outputs([0, 2, 3, 0, 2], [0, 2, 3, 3, 2]),
        test=outputs([1, 0, 0, 2, 3, 3], [1, 1, 0, 2, 3, 2]),
        test_forgotten=np.array([True, True, False, False, False, False]),
    )
    assert accuracies(predictions) == {"RA": 80.0, "FA": 75.0, "TA": 75.0, "FA_test": 50.0}


def test_a_sample_wise_request_uses_the_whole_test_set(simulate):
    predictions = simulate(0)
    measured = accuracies(predictions)
    assert set(measured) == {"RA", "FA", "TA"}
    assert measured["TA"] == accuracy(predictions.test)
