"""A linear network on tiny images: what a bank does needs no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju


def make_examples(count, first=0, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, 4, 4, 1), np.uint8)
    return ju.Examples(image, np.arange(count, dtype=np.int32) % 5, np.arange(count) + first)


@pytest.fixture(scope="session")
def problem():
    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (16, 5)), "bias": jnp.zeros(5)}

    def apply(variables, images, *, train):
        del train
        x = images.reshape(len(images), 16)
        return x @ variables["weight"] + variables["bias"][None], variables

    model = ju.Model(init, apply, "linear")
    return ju.Problem(
        model=model,
        variables=model.init(jax.random.key(0)),
        forget=make_examples(13, seed=1),
        retain=make_examples(37, first=13, seed=2),
        num_classes=5,
        initial=model.init(jax.random.key(1)),
        augment=ju.crop_and_flip(1, True),
    )
