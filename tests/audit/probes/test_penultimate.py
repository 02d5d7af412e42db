import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn import Model, make_model
from jax_unlearn.audit.probes.penultimate import penultimate_features
from jax_unlearn.core import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 1), np.uint8)
CLASSES = 3


def hidden(variables, images):
    return jnp.tanh(images.reshape(len(images), 16) @ variables["hidden"])


def perceptron(width=6, last=lambda x: x):
    """Two layers; ``last`` is applied to the logits."""

    def init(key):
        keys = jax.random.split(key)
        return {
            "bias": jnp.ones(CLASSES),
            "hidden": jax.random.normal(keys[0], (16, width)),
            "output": jax.random.normal(keys[1], (width, CLASSES)),
        }

    def apply(variables, images, *, train):
        logits = hidden(variables, images) @ variables["output"] + variables["bias"][None]
        return last(logits), variables

    return Model(init, apply, "perceptron")


@pytest.mark.parametrize("width", [6, CLASSES])
def test_the_features_are_the_inputs_of_the_last_layer(width):
    # With as many hidden units as classes two parameters have a last layer's shape.
    model = perceptron(width)
    variables = model.init(jax.random.key(0))
    found = penultimate_features(model, variables, IMAGES, batch_size=4)
    assert found.shape == (10, width)
    np.testing.assert_allclose(found, hidden(variables, IMAGES / np.float32(255)), atol=1e-5)


def test_a_network_of_the_library_gives_its_logits_back_from_its_features():
    images = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 1), np.uint8)
    model = make_model("convnet", image_shape=(8, 8, 1), num_classes=CLASSES)
    variables = model.init(jax.random.key(0))
    found = penultimate_features(model, variables, images)
    logits = model.logits(variables, images / np.float32(255))
    linear = [x for x in jax.tree.leaves(variables) if jnp.ndim(x) == 2][-1]
    rest = logits - found @ linear
    np.testing.assert_allclose(rest, np.broadcast_to(rest[:1], rest.shape), atol=1e-5)


def test_a_network_that_does_not_end_in_a_linear_layer_is_refused():
    model = perceptron(last=jnp.tanh)
    with pytest.raises(InputError, match="model=perceptron: expected a network that ends in a lin"):
        penultimate_features(model, model.init(jax.random.key(0)), IMAGES)


def test_one_image_cannot_tell_which_layer_is_last():
    model = perceptron()
    with pytest.raises(InputError, match="images=1: expected at least two"):
        penultimate_features(model, model.init(jax.random.key(0)), IMAGES[:1])
