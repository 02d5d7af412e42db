import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn import functional

# As users compile them, each in one program instead of one of every operation.
cross_entropy = jax.jit(functional.cross_entropy)
smoothed_cross_entropy = jax.jit(functional.smoothed_cross_entropy)
l1_norm = jax.jit(functional.l1_norm)
weighted_mean = jax.jit(functional.weighted_mean)


def _logits(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_cross_entropy_of_even_logits_is_log_k():
    loss = cross_entropy(jnp.zeros((3, 5)), jnp.array([0, 2, 4]))
    np.testing.assert_allclose(loss, np.log(5), rtol=1e-6)


def test_cross_entropy_equals_minus_the_log_softmax_of_the_label():
    logits = _logits(0, (6, 4)) * 3
    labels = jnp.array([0, 1, 2, 3, 0, 1])
    expected = jax.jit(lambda z: -jax.nn.log_softmax(z)[jnp.arange(6), labels])(logits)
    np.testing.assert_allclose(cross_entropy(logits, labels), expected, rtol=1e-5, atol=1e-6)


def test_cross_entropy_survives_logits_whose_exponentials_overflow():
    loss = cross_entropy(jnp.array([[1e4, 0.0], [0.0, 1e4]]), jnp.array([0, 0]))
    np.testing.assert_array_equal(loss, [0, 1e4])


def test_cross_entropy_of_half_precision_logits_is_float32():
    logits = jnp.array([[1.0, 2.0, 3.0]], jnp.bfloat16)
    loss = cross_entropy(logits, jnp.array([0]))
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, cross_entropy(logits.astype(jnp.float32), jnp.array([0])))


def test_cross_entropy_gradient_is_softmax_minus_one_hot():
    logits = _logits(1, (4, 3))
    labels = jnp.array([2, 0, 1, 1])
    gradient = jax.grad(lambda z: jnp.sum(cross_entropy(z, labels)))(logits)
    expected = jax.jit(jax.nn.softmax)(logits) - np.eye(3, dtype=np.float32)[labels]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("smoothing", [-0.5, 0.0, 0.2, 1.0])
def test_smoothed_cross_entropy_is_that_of_the_smoothed_label(smoothing):
    logits = _logits(0, (6, 4)) * 3
    labels = jnp.array([0, 1, 2, 3, 0, 1])
    target = (1 - smoothing) * np.eye(4, dtype=np.float32)[labels] + smoothing / 4
    expected = -np.sum(target * jax.jit(jax.nn.log_softmax)(logits), axis=1)
    smoothed = smoothed_cross_entropy(logits, labels, smoothing)
    np.testing.assert_allclose(smoothed, expected, rtol=1e-5, atol=1e-6)


def test_l1_norm_sums_absolute_values_and_its_gradient_is_the_sign():
    params = {"a": jnp.array([[-2.0, 0.5]]), "b": jnp.array([0.0, 3.0])}
    assert l1_norm(params) == 5.5
    gradient = jax.grad(l1_norm)(params)
    np.testing.assert_array_equal(gradient["a"], [[-1, 1]])
    np.testing.assert_array_equal(gradient["b"], [0, 1])


def test_weighted_mean_with_equal_weights_is_the_mean():
    values = jnp.array([1.0, 2.0, 6.0])
    np.testing.assert_allclose(weighted_mean(values, jnp.full(3, 0.5)), 3.0)


def test_weighted_mean_weighs():
    assert weighted_mean(jnp.array([1.0, 5.0]), jnp.array([3.0, 1.0])) == 2.0


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_weighted_mean_never_sees_what_padding_holds(poison):
    values, weights = jnp.array([1.0, 3.0, poison]), jnp.array([1.0, 1.0, 0.0])
    assert weighted_mean(values, weights) == 2.0
    np.testing.assert_array_equal(jax.grad(weighted_mean)(values, weights), [0.5, 0.5, 0])


def test_weighted_mean_without_any_weight_is_zero():
    values, weights = jnp.array([1.0, np.nan]), jnp.zeros(2)
    assert weighted_mean(values, weights) == 0
    np.testing.assert_array_equal(jax.grad(weighted_mean)(values, weights), [0, 0])
