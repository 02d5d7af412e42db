"""A linear network on tiny images: what the engine does needs no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju


def make_examples(count, first=0, side=4, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    return ju.Examples(
        rng.integers(0, 256, (count, side, side, 1), np.uint8),
        (np.arange(count) % classes).astype(np.int32),
        np.arange(first, first + count),
    )


def make_linear(traces=None, classes=5):
    """Weights alone; every trace of ``apply`` appends to ``traces``."""

    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (16, classes)), "bias": jnp.zeros(classes)}

    def apply(variables, images, *, train):
        if traces is not None:
            traces.append(train)
        x = images.reshape(len(images), 16)
        return x @ variables["weight"] + variables["bias"][None], variables

    return ju.Model(init, apply, "linear")


@pytest.fixture(scope="session")
def examples():
    return make_examples


@pytest.fixture
def counted():
    """A model and the list of its traces."""
    traces = []
    return make_linear(traces), traces


@pytest.fixture(scope="session")
def problem():
    model = make_linear()
    return ju.Problem(
        model=model,
        variables=model.init(jax.random.key(0)),
        forget=make_examples(13, seed=1),
        retain=make_examples(37, first=13, seed=2),
        num_classes=5,
        initial=model.init(jax.random.key(1)),
        padding=1,
        flip=True,
    )
