"""Networks that compute in bfloat16: they train, and MU-Mis's second derivatives hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import split_variables, with_params
from jax_unlearn.functional.sensitivity import DIFFERENTIATIONS

CLASSES = 4


def patterns(count):
    """Images of four classes, told apart by which quarter is bright."""
    rng = np.random.default_rng(0)
    label = (np.arange(count) % CLASSES).astype(np.int32)
    image = rng.integers(0, 100, (count, 8, 8, 1), dtype=np.uint8)
    for row, quarter in enumerate(label):
        top, left = divmod(int(quarter), 2)
        image[row, 4 * top : 4 * top + 4, 4 * left : 4 * left + 4] += 100
    return ju.Examples(image, label, np.arange(count))


EXAMPLES = patterns(120)


def network(dtype):
    return ju.make_model("convnet", CLASSES, (8, 8, 1), width=4, dtype=dtype)


@pytest.fixture(scope="module")
def trained():
    """Result of training in bfloat16."""
    recipe = ju.retrain(epochs=8, batch_size=20, learning_rate=0.05, augment=False)
    return ju.train(
        recipe,
        network("bfloat16"),
        EXAMPLES,
        jax.random.key(0),
        num_classes=CLASSES,
        augment=None,
    )


@pytest.fixture(scope="module")
def exact(trained):
    """Gradient of MU-Mis's loss in float32."""
    return gradient("float32", trained.variables, "reverse")


def gradient(dtype, variables, differentiate):
    """Gradient of MU-Mis's loss, float32 [parameters], of a network that computes in ``dtype``."""
    model, (params, _) = network(dtype), split_variables(variables)
    images = jnp.asarray(EXAMPLES.image[:32], jnp.float32) / 255
    labels = jnp.asarray(EXAMPLES.label[:32])

    def loss(params):
        return ju.mumis_loss(
            lambda x: model.logits(with_params(variables, params), x),
            images,
            labels,
            (labels + 1) % CLASSES,
            differentiate=differentiate,
        )

    leaves = jax.tree.leaves(jax.jit(jax.grad(loss))(params))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)
    return np.concatenate([np.ravel(leaf) for leaf in leaves])


def test_a_network_that_computes_in_bfloat16_trains_with_float32_weights(trained):
    losses = [entry["loss"] for entry in trained.history[1:]]
    assert losses[-1] < 0.2 * losses[0]
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(trained.variables))
    images = jnp.asarray(EXAMPLES.image, jnp.float32) / 255
    logits = network("bfloat16").logits(trained.variables, images)
    assert np.mean(np.argmax(logits, axis=1) == EXAMPLES.label) > 0.95


@pytest.mark.parametrize("differentiate", DIFFERENTIATIONS)
def test_mumis_gradients_in_bfloat16_are_near_those_in_float32(differentiate, trained, exact):
    """Their relative difference is below 10 %: some ten roundings to eight bits."""
    half = gradient("bfloat16", trained.variables, differentiate)
    assert np.isfinite(half).all()
    assert np.linalg.norm(half - exact) < 0.1 * np.linalg.norm(exact)
