"""Input x gradient: closed forms on linear and on ReLU networks."""

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional


def test_of_a_linear_model_the_relevance_is_weight_times_input_and_sums_to_the_logit_less_bias():
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    bias = jnp.asarray([1.0, -2.0, 0.5], jnp.float32)
    images = jnp.asarray(rng.uniform(size=(5, 2, 2)), jnp.float32)
    classes = jnp.asarray([0, 1, 2, 1, 0], jnp.int32)

    def logits_fn(x):
        return x.reshape(len(x), -1) @ weights + bias[None]

    relevance = functional.input_times_gradient(logits_fn, images, classes)
    expected = images.reshape(5, 4) * weights[:, classes].T
    np.testing.assert_allclose(relevance.reshape(5, 4), expected, rtol=1e-6)
    logits = logits_fn(images)[jnp.arange(5), classes]
    np.testing.assert_allclose(relevance.sum((1, 2)), logits - bias[classes], rtol=1e-5)


def test_of_a_relu_network_without_biases_relevances_sum_to_the_logit():
    rng = np.random.default_rng(1)
    first, second = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((6, 8), (8, 3)))
    images = jnp.asarray(rng.uniform(size=(4, 6)), jnp.float32)
    classes = jnp.asarray([2, 0, 1, 2], jnp.int32)

    def logits_fn(x):
        return jax.nn.relu(x @ first) @ second

    relevance = functional.input_times_gradient(logits_fn, images, classes)
    logits = logits_fn(images)[jnp.arange(4), classes]
    np.testing.assert_allclose(relevance.sum(1), logits, rtol=1e-4, atol=1e-5)
