"""A problem small enough that every method can be run many times over."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju

HIDDEN = 24
MOMENTUM = 0.9


def digits(rows):
    from sklearn.datasets import load_digits

    everything = load_digits()
    image = np.rint(everything.images * (255 / 16)).astype(np.uint8)[..., None]
    return ju.Examples(
        image[rows], everything.target.astype(np.int32)[rows], np.asarray(rows, np.int64)
    )


def take(examples, chosen):
    return ju.Examples(*(field[chosen] for field in examples))


def small_network():
    """Convolution, batch normalisation, ReLU, linear, by hand: it compiles in a tenth of the time.

    The convolution's kernel is as large as the image, so it is computed as the product that it is.
    """

    def init(key):
        first, second = jax.random.split(key)
        return {
            "params": {
                "first": {
                    "kernel": jax.random.normal(first, (8, 8, 1, HIDDEN)) * 64**-0.5,
                    "scale": jnp.ones(HIDDEN),
                    "bias": jnp.zeros(HIDDEN),
                },
                "second": {
                    "kernel": jax.random.normal(second, (HIDDEN, 10)) * HIDDEN**-0.5,
                    "bias": jnp.zeros(10),
                },
            },
            "batch_stats": {"mean": jnp.zeros(HIDDEN), "var": jnp.ones(HIDDEN)},
        }

    def apply(variables, images, *, train, weight=None):
        params, stats = variables["params"], variables["batch_stats"]
        kernel = params["first"]["kernel"].reshape(64, HIDDEN)
        x = (2 * images.reshape(-1, 64) - 1) @ kernel
        mean, var = stats["mean"], stats["var"]
        if train:
            weight = jnp.ones(len(images)) if weight is None else weight
            weight = (weight / weight.sum())[:, None]
            mean = (weight * x).sum(0)
            var = (weight * (x - mean[None]) ** 2).sum(0)
            stats = {
                "mean": MOMENTUM * stats["mean"] + (1 - MOMENTUM) * mean,
                "var": MOMENTUM * stats["var"] + (1 - MOMENTUM) * var,
            }
        x = (x - mean[None]) * jax.lax.rsqrt(var + 1e-5)[None]
        x = jax.nn.relu(x * params["first"]["scale"][None] + params["first"]["bias"][None])
        logits = x @ params["second"]["kernel"] + params["second"]["bias"][None]
        return logits, {**variables, "batch_stats": stats}

    return ju.Model(init, apply, "small")


class Lab(NamedTuple):
    """A trained network, its data, and what to forget.

    Attributes:
      problem: forgets every image of class 3.
      random: forgets images of every class.
      test: images that no one trained on.
      mesh: one device.
    """

    problem: ju.Problem
    random: ju.Problem
    test: ju.Examples
    mesh: jax.sharding.Mesh


def make_lab(model, train, test, validation, **recipe):
    mesh = ju.make_mesh(1)
    initial = model.init(jax.random.key(0))
    original = ju.train(
        ju.retrain(learning_rate=0.1, augment=False, **recipe),
        model,
        train,
        jax.random.key(1),
        num_classes=10,
        initial=initial,
        augment=None,
        mesh=mesh,
    )

    def problem(forgotten):
        return ju.Problem(
            model=model,
            variables=original.variables,
            forget=take(train, forgotten),
            retain=take(train, ~forgotten),
            num_classes=10,
            initial=initial,
            augment=ju.crop_and_flip(padding=1, flip=False),
            validation=validation,
        )

    drawn = np.zeros(len(train.label), bool)
    for k in range(10):
        drawn[np.flatnonzero(train.label == k)[:3]] = True
    return Lab(problem(train.label == 3), problem(drawn), test, mesh)


@pytest.fixture(scope="session")
def lab():
    """300 digits and the small network."""
    parts = (digits(range(*ends)) for ends in ((0, 300), (300, 600), (600, 700)))
    return make_lab(small_network(), *parts, epochs=15, batch_size=50)


@pytest.fixture(scope="session")
def large_lab():
    """600 digits and the small network."""
    parts = (digits(range(*ends)) for ends in ((0, 600), (600, 1200), (1200, 1400)))
    return make_lab(small_network(), *parts, epochs=15, batch_size=50)


@pytest.fixture(scope="session")
def accuracy():
    """Accuracy in percent of weights on examples."""

    def of(model, variables, examples):
        from jax_unlearn.models.predict import predict_logits

        predicted = predict_logits(model, variables, examples.image).argmax(1)
        return 100.0 * float(np.mean(predicted == examples.label))

    return of


@pytest.fixture(scope="session")
def batch_of():
    """A batch of unaugmented examples, all of one role."""

    def make(examples, role=ju.FORGET, count=None):
        image = jnp.asarray(examples.image[:count], jnp.float32) / 255
        rows = len(image)
        return ju.Batch(
            image,
            jnp.asarray(examples.label[:count], jnp.int32),
            jnp.full(rows, role, jnp.int32),
            jnp.ones(rows),
        )

    return make


@pytest.fixture(scope="session")
def step_info():
    """The first of four steps of the first of two epochs."""
    return ju.StepInfo(*(jnp.int32(n) for n in (0, 4, 0, 2)), jax.random.key(3))


@pytest.fixture(scope="session")
def linear_model():
    """A linear model on 2x2 images: weights alone, without ``'params'``; takes no padding."""

    def apply(variables, images, *, train):
        del train
        logits = images.reshape(len(images), -1) @ variables["weight"] + variables["bias"][None]
        return logits, variables

    def init(key):
        return {"weight": jax.random.normal(key, (4, 5)), "bias": jnp.zeros(5)}

    return ju.Model(init, apply, "linear")


@pytest.fixture(scope="session")
def linear_problem(linear_model):
    """Twelve forget and sixty retain images of five classes for the linear model."""
    rng = np.random.default_rng(0)

    def examples(count, first):
        return ju.Examples(
            rng.integers(0, 256, (count, 2, 2, 1), np.uint8),
            (np.arange(count) % 5).astype(np.int32),
            np.arange(first, first + count),
        )

    return ju.Problem(
        model=linear_model,
        variables=linear_model.init(jax.random.key(3)),
        forget=examples(12, 0),
        retain=examples(60, 12),
        num_classes=5,
        augment=None,
    )
