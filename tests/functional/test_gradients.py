"""Gradients of each example, on one device and on rows that several hold."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn import functional
from jax_unlearn.sharding import Layout, batch_sharding, make_mesh, replicated, shard


class Convolutions(nn.Module):
    """A network of one's own, with JAX's own convolutions."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(4, (3, 3), use_bias=False)(x))
        x = nn.relu(nn.Conv(6, (3, 3), strides=2)(x))
        return nn.Dense(5)(x.mean((1, 2)))


NETWORK = Convolutions()
IMAGES = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype(np.float32)
LABELS = np.arange(16) % 5
WEIGHTS = NETWORK.init(jax.random.key(1), IMAGES[:1])


def losses(variables, images, labels):
    log_probabilities = jax.nn.log_softmax(NETWORK.apply(variables, images))
    return -jnp.take_along_axis(log_probabilities, labels[:, None], 1)[:, 0]


def one_by_one(count):
    one = jax.jit(jax.grad(lambda weights, *row: losses({"params": weights}, *row)[0]))
    found = [one(WEIGHTS["params"], IMAGES[i : i + 1], LABELS[i : i + 1]) for i in range(count)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found)


def assert_close(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


gradients = functools.partial(functional.per_example_gradients, losses)


def test_they_are_the_gradients_of_one_example_after_the_other():
    assert_close(gradients(WEIGHTS, IMAGES, LABELS), one_by_one(16))


def test_what_a_loss_gives_beside_comes_with_them():
    def with_logits(variables, images, labels):
        return losses(variables, images, labels), NETWORK.apply(variables, images)

    found, logits = functional.per_example_gradients(
        with_logits, WEIGHTS, IMAGES, LABELS, has_aux=True
    )
    assert_close(found, one_by_one(16))
    np.testing.assert_allclose(logits, NETWORK.apply(WEIGHTS, IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("splits_pool", [False, True])
def test_a_step_of_a_run_has_them_on_several_devices(splits_pool):
    layout = Layout(make_mesh(4), splits_pool=splits_pool)
    rows = [layout.shard_rows([x], 0) for x in (IMAGES, LABELS)]
    found = jax.jit(layout.each(gradients))(layout.shard([WEIGHTS]), *rows)
    assert_close(found, one_by_one(16))


@pytest.mark.parametrize("count", [10, 3, 1])
def test_a_step_of_a_run_has_those_of_any_number_of_rows(count):
    layout = Layout(make_mesh(4))
    rows = [layout.shard_rows([x], 0) for x in (IMAGES, LABELS)]

    def of_some(weights, *rows):
        return gradients(weights, *(x[:count] for x in rows))

    found = jax.jit(layout.each(of_some))(layout.shard([WEIGHTS]), *rows)
    assert_close(found, one_by_one(count))


def test_models_side_by_side_have_them_on_devices_that_share_a_batch():
    layout = Layout(make_mesh(2, 2), stacked=True)
    rows = [layout.shard_rows([x, x[::-1]], 0) for x in (IMAGES, LABELS)]
    found = jax.jit(layout.each(gradients))(layout.shard([WEIGHTS, WEIGHTS]), *rows)
    expected = one_by_one(16)
    assert_close(jax.tree.map(lambda x: x[0], found), expected)
    assert_close(jax.tree.map(lambda x: x[1][::-1], found), expected)


@pytest.mark.parametrize("jit", [lambda fn: fn, jax.jit])
def test_elsewhere_they_are_told_how_rows_are_split(jit):
    weights = shard(WEIGHTS, replicated(make_mesh(4)))
    sharding = batch_sharding(weights)
    rows = shard((IMAGES, LABELS), sharding)
    found = jit(functools.partial(gradients, sharding=sharding))(weights, *rows)
    assert_close(found, one_by_one(16))


def test_a_loss_may_close_over_what_the_step_computed():
    layout = Layout(make_mesh(4))
    rows = [layout.shard_rows([x], 0) for x in (IMAGES, LABELS)]

    def step(weights, *rows):
        scale = jnp.sum(weights["params"]["Dense_0"]["bias"]) + 2

        def scaled(*given):
            return scale * losses(*given)

        return functional.per_example_gradients(scaled, weights, *rows)

    found = jax.jit(layout.each(step))(layout.shard([WEIGHTS]), *rows)
    assert_close(found, jax.tree.map(lambda x: 2 * x, one_by_one(16)))
