"""How much noise Fisher forgetting gives to which weight, and how far JiT moves an image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn import functional

PARAMS = {"body": jnp.ones((2, 3)), "bias": jnp.ones(3), "fc": jnp.ones((3, 4))}
HEAD = {"body": False, "bias": False, "fc": True}


def test_noise_is_capped_averaged_over_inputs_and_stronger_in_biases_and_the_head():
    fisher = {
        "body": jnp.asarray([[1.0, 0.5, 0.0], [1.0, 0.25, 0.0]]),
        "bias": jnp.asarray([1.0, 0.5, 0.0]),
        "fc": jnp.zeros((3, 4)),
    }
    mean, variance = functional.scrubbing_noise(PARAMS, fisher, HEAD, 1e-3)
    for name, expected in PARAMS.items():
        np.testing.assert_array_equal(mean[name], expected)
    np.testing.assert_allclose(variance["body"], [[1e-3, 3e-3, 1.0]] * 2, rtol=1e-5)
    np.testing.assert_allclose(variance["bias"], [1e-2, 2e-2, 10.0], rtol=1e-5)
    np.testing.assert_allclose(variance["fc"], np.ones((3, 4)), rtol=1e-5)


def test_a_forgotten_classs_own_weights_are_drawn_about_zero():
    fisher = jax.tree.map(jnp.ones_like, PARAMS)
    mean, variance = functional.scrubbing_noise(PARAMS, fisher, HEAD, 1e-6, [1, 3])
    np.testing.assert_array_equal(mean["fc"], [[1, 0, 1, 0]] * 3)
    np.testing.assert_allclose(variance["fc"], [[1e-5, 1e-3, 1e-5, 1e-3]] * 3, rtol=1e-5)
    np.testing.assert_array_equal(mean["body"], PARAMS["body"])


def test_without_strength_weights_keep_their_bits():
    fisher = jax.tree.map(jnp.zeros_like, PARAMS)
    noise = jax.tree.map(lambda x: jnp.full(x.shape, 3.0), PARAMS)
    found = functional.scrubbing_noise(PARAMS, fisher, HEAD, 0.0).at(noise)
    assert all(np.array_equal(found[name], PARAMS[name]) for name in PARAMS)


def test_the_older_noise_has_a_deviation_of_a_thousandth_at_most():
    fisher = {**jax.tree.map(jnp.ones_like, PARAMS), "bias": jnp.asarray([0.0, 1.0, 4.0])}
    _, variance = functional.bounded_noise(PARAMS, fisher, 10, 1e-8)
    np.testing.assert_allclose(np.sqrt(variance["bias"]), [1e-3, 1e-4, 5e-5], rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.1, 10.0])
def test_of_a_linear_map_the_slope_lies_between_its_singular_values(sigma):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    images = rng.random((5, 2, 2, 1), np.float32)
    noise = rng.normal(size=(5, 7, 2, 2, 1)).astype(np.float32)
    noisy = functional.perturb(images, noise, jnp.float32(sigma))
    np.testing.assert_allclose(noisy, images[:, None] + sigma * noise, rtol=1e-5)
    found = functional.local_lipschitz(
        images.reshape(5, 4) @ weight, noisy.reshape(5, 7, 4) @ weight, images, noisy
    )
    assert found.shape == (5, 7)
    assert float(found.max()) <= np.linalg.svd(weight)[1][0] * (1 + 1e-4)


def test_noisy_pixels_stay_within_the_batchs_and_padding_has_no_say():
    images = jnp.stack([jnp.full((1, 1, 1), v, jnp.float32) for v in (0.25, 0.75, 5.0)])
    noise = jnp.asarray([-10.0, 10.0])[None, :, None, None, None] * jnp.ones((3, 2, 1, 1, 1))
    found = functional.perturb(images, noise, jnp.float32(1.0), jnp.asarray([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(found[:2, :, 0, 0, 0], [[0.25, 0.75]] * 2)


def test_equal_outputs_have_no_slope_and_no_gradient():
    images, noisy = jnp.ones((1, 1, 1, 1)), jnp.zeros((1, 1, 1, 1, 1))

    def slope(logits):
        return functional.local_lipschitz(logits, jnp.ones((1, 1, 3)), images, noisy).sum()

    value, gradient = jax.value_and_grad(slope)(jnp.ones((1, 3)))
    assert value == 0
    assert gradient.tolist() == [[0, 0, 0]]
