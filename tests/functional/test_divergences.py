import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn import functional

# As users compile them, each in one program instead of one of every operation.
entropy = jax.jit(functional.entropy)
js_divergence = jax.jit(functional.js_divergence)
kl_divergence = jax.jit(functional.kl_divergence)
softmax = jax.jit(jax.nn.softmax)


def _logits(seed, shape=(16, 7)):
    return jnp.asarray(4 * np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _kl(p, q):
    return np.sum(p * (np.log(p) - np.log(q)), axis=-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.2])
def test_kl_equals_its_definition_on_softened_probabilities(temperature):
    target, logits = _logits(0), _logits(1)
    p, q = (np.asarray(softmax(z / temperature), np.float64) for z in (target, logits))
    np.testing.assert_allclose(
        kl_divergence(target, logits, temperature), _kl(p, q), rtol=2e-5, atol=1e-6
    )


@pytest.mark.parametrize("temperature", [1.0, 2.4, 7.2])
def test_kl_of_equal_logits_is_exactly_zero_with_exactly_zero_gradient(temperature):
    logits = _logits(2, (64, 10))
    value, gradient = jax.jit(
        jax.value_and_grad(
            lambda z: jnp.sum(kl_divergence(jax.lax.stop_gradient(z), z, temperature))
        )
    )(logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("argument", [0, 1])
def test_kl_gradient_equals_that_of_the_written_out_formula(argument):
    def written_out(target, logits):
        log_p, log_q = jax.nn.log_softmax(target / 2), jax.nn.log_softmax(logits / 2)
        return jnp.sum(jnp.exp(log_p) * (log_p - log_q))

    gradients = [
        jax.jit(jax.grad(f, argnums=argument))(_logits(3), _logits(4))
        for f in (written_out, lambda t, z: jnp.sum(kl_divergence(t, z, 2.0)))
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-6)


def test_kl_second_derivative_is_the_covariance_of_the_student():
    target, logits = _logits(5, (1, 4)), _logits(6, (1, 4))
    hessian = jax.jit(jax.hessian(lambda z: kl_divergence(target, z[None])[0]))(logits[0])
    q = np.asarray(softmax(logits[0]))
    np.testing.assert_allclose(hessian, np.diag(q) - np.outer(q, q), atol=1e-6)


def test_kl_to_a_target_with_an_excluded_class_equals_kl_over_the_other_classes():
    target, logits = _logits(7).at[:, 2].set(-jnp.inf), _logits(8)

    def total(t, z):
        return jnp.sum(kl_divergence(t, z, 1.5))

    value, (by_target, by_logits) = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(
        target, logits
    )
    p = np.delete(np.asarray(softmax(target / 1.5), np.float64), 2, axis=1)
    q = np.delete(np.asarray(softmax(logits / 1.5), np.float64), 2, axis=1)
    np.testing.assert_allclose(value, _kl(p, q).sum(), rtol=1e-5)
    assert np.isfinite(by_logits).all()
    assert np.isfinite(by_target).all()
    np.testing.assert_array_equal(by_target[:, 2], 0)


def test_kl_of_a_class_excluded_on_both_sides_is_finite_and_flat_at_equality():
    logits = _logits(9).at[:, 0].set(-jnp.inf)
    value, gradient = jax.jit(
        jax.value_and_grad(lambda z: jnp.sum(kl_divergence(jax.lax.stop_gradient(z), z)))
    )(logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_kl_is_computed_in_float32_for_half_precision_logits():
    halves = [_logits(s).astype(jnp.bfloat16) for s in (10, 11)]
    value = kl_divergence(*halves)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, kl_divergence(*(h.astype(jnp.float32) for h in halves)))


def test_js_is_symmetric_and_between_zero_and_log_two():
    p, q = _logits(12), _logits(13)
    value = np.asarray(js_divergence(p, q))
    np.testing.assert_allclose(value, js_divergence(q, p), rtol=1e-6)
    assert (value > 0).all()
    assert (value < np.log(2)).all()


def test_js_is_the_mean_kl_to_the_mixture():
    logits = _logits(14), _logits(15)
    p, q = (np.asarray(softmax(z), np.float64) for z in logits)
    expected = (_kl(p, (p + q) / 2) + _kl(q, (p + q) / 2)) / 2
    np.testing.assert_allclose(js_divergence(*logits), expected, rtol=1e-5, atol=1e-6)


def test_js_of_equal_distributions_is_zero_and_of_disjoint_ones_log_two():
    logits = _logits(16)
    np.testing.assert_allclose(js_divergence(logits, logits), 0, atol=1e-6)
    p, q = jnp.array([[0.0, -jnp.inf, -jnp.inf]]), jnp.array([[-jnp.inf, 0.0, -jnp.inf]])
    np.testing.assert_allclose(js_divergence(p, q), np.log(2), rtol=1e-6)


def test_entropy_is_log_k_for_even_logits_and_zero_for_a_certain_class():
    np.testing.assert_allclose(entropy(jnp.full((2, 9), 3.0)), np.log(9), rtol=1e-6)
    certain = jnp.array([[0.0, -jnp.inf, -1e4]])
    assert entropy(certain)[0] == 0
    assert np.isfinite(jax.jit(jax.grad(lambda z: entropy(z)[0]))(certain)).all()


def test_entropy_equals_its_definition():
    logits = _logits(17)
    p = np.asarray(softmax(logits), np.float64)
    np.testing.assert_allclose(entropy(logits), -np.sum(p * np.log(p), -1), rtol=1e-5, atol=1e-6)
