import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from jax_unlearn.audit import rf_jsd
from jax_unlearn.audit.measures.probabilities import softmax
from jax_unlearn.core import InputError, Outputs


def outputs(seed, n=40, classes=5):
    rng = np.random.default_rng(seed)
    return Outputs(3 * rng.normal(size=(n, classes)), rng.integers(0, classes, n), np.arange(n))


def of_probabilities(rows, label):
    return Outputs(np.log(np.asarray(rows)), np.asarray(label), np.arange(len(label)))


def means(found, classes):
    return np.stack([softmax(found.logits)[found.label == c].mean(0) for c in classes])


def test_it_is_scipys_divergence_of_class_means():
    forget, unseen = outputs(0), outputs(1, n=70)
    p, q = (means(found, range(5)) for found in (forget, unseen))
    expected = np.mean([jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)])
    assert rf_jsd(forget, unseen) == pytest.approx(expected, rel=1e-12)
    assert rf_jsd(unseen, forget) == pytest.approx(expected, rel=1e-12)


def test_it_is_zero_for_equal_means_however_examples_differ():
    split = of_probabilities([[0.9, 0.1], [0.1, 0.9]], [0, 0])
    even = of_probabilities([[0.5, 0.5]], [0])
    assert rf_jsd(split, even) == pytest.approx(0.0, abs=1e-15)


def test_answers_of_nothing_in_common_are_log_two_apart():
    one, other = (of_probabilities([row], [1]) for row in ([1 - 1e-15, 1e-15], [1e-15, 1 - 1e-15]))
    assert rf_jsd(one, other) == pytest.approx(np.log(2), rel=1e-9)


def test_only_classes_that_both_sets_hold_count():
    forget = of_probabilities([[0.7, 0.2, 0.1]], [2])
    unseen = of_probabilities([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], [2, 0])
    assert rf_jsd(forget, unseen) == pytest.approx(0.0, abs=1e-15)
    assert np.isnan(rf_jsd(forget, of_probabilities([[0.1, 0.1, 0.8]], [0])))


def test_the_released_form_follows_its_code():
    forget, unseen = outputs(2), outputs(3)
    forget.logits[forget.label == 1, 0] = -60.0
    p, q = (np.clip(means(found, range(5)), 1e-8, 1.0) for found in (forget, unseen))
    # The matrix of all classes is taken for one distribution; PyTorch's kl_div(log p, m) is
    # KL(m || p), and its 'batchmean' divides by the number of rows.
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    expected = 0.5 * (np.sum(m * np.log(m / p)) + np.sum(m * np.log(m / q))) / 5
    found = rf_jsd(forget, unseen, variant="released")
    assert found == pytest.approx(expected, rel=1e-12)
    assert found < rf_jsd(forget, unseen)


def test_logits_that_are_not_finite_have_no_value():
    broken = outputs(4)
    broken.logits[0, 0] = np.nan
    assert np.isnan(rf_jsd(broken, outputs(5)))


def test_misuse_is_named():
    with pytest.raises(InputError, match=r"forget=\[40, 5\] and unseen=\[40, 4\]"):
        rf_jsd(outputs(0), outputs(0, classes=4))
    with pytest.raises(InputError, match="variant='published'"):
        rf_jsd(outputs(0), outputs(1), variant="published")
