import numpy as np
import pytest

from jax_unlearn.audit.measures.features import linear_cka, linear_probe_accuracy
from jax_unlearn.core import InputError

BOTH = pytest.mark.parametrize("estimator", ["biased", "unbiased"])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@BOTH
def test_cka_is_one_for_a_rotation_an_isotropic_scaling_and_a_shift(estimator):
    x = normal(60, 8) * np.arange(1, 9)[None]
    rotation = np.linalg.qr(normal(8, 8, seed=1))[0]
    for other in (x, x @ rotation, -0.01 * x, x + 5.0, 3.0 * x @ rotation - 1.0):
        assert linear_cka(x, other, estimator=estimator) == pytest.approx(1.0, abs=1e-9)


def test_cka_is_zero_where_no_feature_correlates_with_any_other():
    columns = np.linalg.qr(np.concatenate([np.ones((50, 1)), normal(50, 7)], axis=1))[0][:, 1:]
    assert linear_cka(columns[:, :3], columns[:, 3:]) == pytest.approx(0.0, abs=1e-15)


@BOTH
def test_cka_is_symmetric_and_ignores_the_order_of_examples_and_features(estimator):
    x, y = normal(30, 5), normal(30, 9, seed=1) + normal(30, 5)[:, [0] * 9]
    value = linear_cka(x, y, estimator=estimator)
    assert linear_cka(y, x, estimator=estimator) == pytest.approx(value, rel=1e-9)
    order = np.random.default_rng(2).permutation(30)
    shuffled = linear_cka(x[order][:, ::-1], y[order], estimator=estimator)
    assert shuffled == pytest.approx(value, rel=1e-9)
    assert 0.0 < value < 1.0


@BOTH
def test_cka_changes_under_an_anisotropic_scaling(estimator):
    x = normal(200, 4)
    assert linear_cka(x, x * np.array([[1, 10, 10, 10]]), estimator=estimator) < 0.95


def test_the_biased_form_equals_hsic_of_centred_kernel_matrices():
    x, y = normal(25, 6), normal(25, 4, seed=1)
    centring = np.eye(25) - 1 / 25
    k, m = centring @ x @ x.T @ centring, centring @ y @ y.T @ centring
    expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-10)


def test_the_unbiased_form_equals_inner_products_of_u_centred_kernel_matrices():
    def u_centred(features):
        k = features @ features.T
        np.fill_diagonal(k, 0.0)
        n = len(k)
        rows = k.sum(axis=1, keepdims=True) / (n - 2)
        k = k - rows - rows.T + k.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(k, 0.0)
        return k

    x, y = normal(25, 6) + 3.0, normal(25, 4, seed=1)
    k, m = u_centred(x), u_centred(y)
    expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert linear_cka(x, y, estimator="unbiased") == pytest.approx(expected, rel=1e-9)


def test_only_the_unbiased_form_calls_unrelated_wide_features_unrelated():
    pairs = [(normal(40, 100, seed=s), normal(40, 100, seed=s + 50)) for s in range(20)]
    unbiased = [linear_cka(*pair, estimator="unbiased") for pair in pairs]
    assert np.mean(unbiased) == pytest.approx(0.0, abs=0.03)
    assert min(linear_cka(*pair) for pair in pairs) > 0.6


@BOTH
def test_features_that_are_constant_or_not_finite_have_no_cka(estimator):
    x = normal(20, 3)
    broken = x.copy()
    broken[3, 1] = np.nan
    for other in (np.ones((20, 2)), broken):
        assert np.isnan(linear_cka(x, other, estimator=estimator))


def test_cka_refuses_other_examples_and_too_few():
    with pytest.raises(InputError, match=r"features=\[5, 2\] and other=\[4, 2\]"):
        linear_cka(normal(5, 2), normal(4, 2))
    with pytest.raises(InputError, match=r"expected N >= 4 examples for estimator='unbiased'"):
        linear_cka(normal(3, 2), normal(3, 2), estimator="unbiased")
    with pytest.raises(InputError, match="estimator='debiased': did you mean"):
        linear_cka(normal(5, 2), normal(5, 2), estimator="debiased")


def clusters(n, seed, classes=3, spread=0.1):
    label = np.arange(n) % classes
    centres = 4.0 * np.eye(classes, 5)
    return centres[label] + spread * normal(n, 5, seed=seed), label


def test_a_probe_finds_classes_that_lie_apart_and_none_in_noise():
    assert linear_probe_accuracy(*clusters(60, 0), *clusters(30, 1)) == 100.0
    noise = normal(600, 5), np.arange(600) % 3, normal(600, 5, seed=1), np.arange(600) % 3
    assert linear_probe_accuracy(*noise) == pytest.approx(100 / 3, abs=7)


def test_a_probe_ignores_shift_and_scale_of_each_feature():
    x, label = clusters(60, 0, spread=2.0)
    z, asked = clusters(60, 1, spread=2.0)
    value = linear_probe_accuracy(x, label, z, asked)
    scale, shift = np.array([[1e-3, 1.0, 50.0, 7.0, 1.0]]), np.array([[0.0, 9.0, -100.0, 1.0, 2.0]])
    assert linear_probe_accuracy(x * scale + shift, label, z * scale + shift, asked) == value
    assert 40.0 < value < 100.0


def test_a_feature_that_never_varies_in_fitting_plays_no_part():
    (x, label), (z, asked) = clusters(60, 0, spread=2.0), clusters(60, 1, spread=2.0)
    value = linear_probe_accuracy(x, label, z, asked)
    x, z = np.pad(x, ((0, 0), (0, 1))), np.pad(z, ((0, 0), (0, 1)), constant_values=1e6)
    assert linear_probe_accuracy(x, label, z, asked) == value


def test_a_class_that_the_probe_never_met_counts_as_wrong():
    x, label = clusters(60, 0)
    known = label != 2
    z, asked = clusters(30, 1)
    assert linear_probe_accuracy(x[known], label[known], z, asked) == pytest.approx(200 / 3)


def test_a_probe_refuses_one_class_and_shapes_that_do_not_match():
    x, label = clusters(9, 0)
    with pytest.raises(InputError, match="label=class 0 only: expected two classes or more"):
        linear_probe_accuracy(x, 0 * label, x, label)
    with pytest.raises(InputError, match=r"features=\[9, 5\] with labels \[8\]"):
        linear_probe_accuracy(x, label[1:], x, label)
    with pytest.raises(InputError, match=r"probed_features=\[9, 4\]: expected 5 features"):
        linear_probe_accuracy(x, label, x[:, 1:], label)
    with pytest.raises(InputError, match="inverse_penalty=0"):
        linear_probe_accuracy(x, label, x, label, inverse_penalty=0)
    assert np.isnan(linear_probe_accuracy(x * np.nan, label, x, label))
