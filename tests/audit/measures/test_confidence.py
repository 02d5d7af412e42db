from pathlib import Path

import numpy as np
import pytest

from jax_unlearn.audit.measures.confidence import check_banks, logit_confidence
from jax_unlearn.core import InputError

GOLDEN = Path(__file__).parents[2] / "golden" / "forgetting_quality.npz"


def test_the_confidence_is_the_golden_one():
    with np.load(GOLDEN) as golden:
        found = logit_confidence(golden["logits"], golden["labels"])
        np.testing.assert_allclose(found, golden["confidence"], rtol=1e-9, atol=1e-9)


def test_the_confidence_is_the_log_odds_of_the_true_class():
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(20, 5)), rng.integers(0, 5, 20)
    p = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[np.arange(20), label]
    np.testing.assert_allclose(logit_confidence(logits, label), np.log(p / (1 - p)), rtol=1e-12)


def test_of_two_classes_the_confidence_is_the_difference_of_logits():
    assert logit_confidence([[3.0, 1.0], [3.0, 1.0]], np.array([0, 1])).tolist() == [2.0, -2.0]


def test_saturated_answers_keep_their_digits():
    found = logit_confidence(np.array([[800.0, 0.0, 0.0], [0.0, 800.0, 0.0]]), np.array([0, 0]))
    np.testing.assert_allclose(found, [800.0 - np.log(2), -800.0], rtol=1e-15)


def test_a_bank_of_models_is_its_models_one_by_one():
    rng = np.random.default_rng(1)
    logits, label = rng.normal(size=(3, 4, 6)), rng.integers(0, 6, 4)
    found = logit_confidence(logits, label)
    assert found.shape == (3, 4)
    for model, row in zip(logits, found, strict=True):
        np.testing.assert_array_equal(logit_confidence(model, label), row)


def test_a_row_that_is_not_finite_is_nan_and_the_others_go_on():
    logits = np.array([[1.0, np.nan], [np.inf, 0.0], [1.0, 0.0]], np.float32)
    np.testing.assert_array_equal(logit_confidence(logits, np.zeros(3, int)), [np.nan, np.nan, 1.0])


def test_misuse_is_named():
    with pytest.raises(InputError, match="label=float64 array: expected integers"):
        logit_confidence(np.zeros((2, 3)), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match=r"logits=\[4, 1\] and label=\[4\].*K >= 2"):
        logit_confidence(np.zeros((4, 1)), np.zeros(4, int))
    with pytest.raises(InputError, match=r"logits=\[4, 3\] and label=\[5\]"):
        logit_confidence(np.zeros((4, 3)), np.zeros(5, int))
    with pytest.raises(InputError, match=r"label=0\.\.3: expected classes in \[0, 3\)"):
        logit_confidence(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(InputError, match=r"a=\[4, 3\] and b=\[4, 2\].*same examples"):
        check_banks("a", np.zeros((4, 3)), "b", np.zeros((4, 2)), at_least=1)
    with pytest.raises(InputError, match="b=4 models: expected at least 5"):
        check_banks("a", np.zeros((9, 3)), "b", np.zeros((4, 3)), at_least=5)
