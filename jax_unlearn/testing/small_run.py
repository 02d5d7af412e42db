"""A network, a problem and hyperparameters with which a run compiles and ends in a moment."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import Examples, Model, Problem, Unlearner
from jax_unlearn.data.augment import crop_and_flip
from jax_unlearn.methods.constructors import checked, method_class

SMALL = {
    **{"batch_size": 10, "epochs": 2, "optimizer": "sgd"},
    **{"iterations": 6, "forget_every": 1},
}
"""What a method with these fields gets where the caller says nothing. SGD, since Adam divides a
gradient by its size: where one is zero but for rounding, no two ways to compute agree."""

CLASSES, SIDE, HIDDEN = 5, 4, 8


def small_model(*, classes: int = CLASSES, side: int = SIDE, hidden: int = HIDDEN) -> Model:
    """Convolution, batch normalisation, ReLU, linear, by hand: it compiles in a moment.

    The convolution's kernel is as large as the image, so it is computed as the product that it is.

    Args:
      classes: number of logits.
      side: height and width of the images, which have one channel.
      hidden: channels of the convolution.
    """

    def init(key: jax.Array) -> dict[str, Any]:
        first, second = jax.random.split(key)
        return {
            "params": {
                "first": jax.random.normal(first, (side, side, 1, hidden)) / side,
                "scale": jnp.ones(hidden),
                "shift": jnp.zeros(hidden),
                "second": jax.random.normal(second, (hidden, classes)) * hidden**-0.5,
                "bias": jnp.zeros(classes),
            },
            "batch_stats": {"mean": jnp.zeros(hidden), "var": jnp.ones(hidden)},
        }

    def apply(
        variables: Any, images: jax.Array, *, train: bool, weight: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        params, stats = variables["params"], variables["batch_stats"]
        x = (2 * images.reshape(len(images), -1) - 1) @ params["first"].reshape(-1, hidden)
        mean, var = stats["mean"], stats["var"]
        if train:
            weight = jnp.ones(len(images), x.dtype) if weight is None else weight
            weight = (weight / weight.sum())[:, None]
            mean = (weight * x).sum(0)
            var = (weight * (x - mean[None]) ** 2).sum(0)
            stats = {
                "mean": 0.9 * stats["mean"] + 0.1 * mean,
                "var": 0.9 * stats["var"] + 0.1 * var,
            }
        x = (x - mean[None]) * jax.lax.rsqrt(var + 1e-5)[None]
        x = jax.nn.relu(x * params["scale"][None] + params["shift"][None])
        return x @ params["second"] + params["bias"][None], {**variables, "batch_stats": stats}

    return Model(init, apply, "small")


def small_problem(*, whole_classes: bool = False) -> Problem:
    """Ten forget and sixty retain images of five classes for :func:`small_model`, untrained.

    Twenty more are held out for validation.

    Args:
      whole_classes: whether the forget set is all of two classes, and the retain set of the others.
    """
    rng = np.random.default_rng(0)
    model = small_model()

    def examples(count: int, first: int) -> Examples:
        label = (np.arange(count) % CLASSES).astype(np.int32)
        if whole_classes and first < 70:
            label = label % 2 if first == 0 else 2 + label % 3
        image = rng.integers(0, 128, (count, SIDE, SIDE, 1), np.uint8)
        image[np.arange(count), label % SIDE] += 100
        return Examples(image, label, np.arange(first, first + count))

    return Problem(
        model=model,
        variables=model.init(jax.random.key(0)),
        forget=examples(10, 0),
        retain=examples(60, 10),
        num_classes=CLASSES,
        initial=model.init(jax.random.key(1)),
        augment=crop_and_flip(padding=1, flip=False),
        validation=examples(20, 70),
    )


def small(constructor: Callable[..., Unlearner], **arguments: Any) -> Unlearner:
    """A method with hyperparameters for a short run: those of ``SMALL`` that it has.

    Args:
      constructor: the method's class or constructor, or a function that returns the method.
      **arguments: further hyperparameters, or others in their place.
    """
    constructor = checked(constructor, "constructor")
    names = {field.name for field in dataclasses.fields(method_class(constructor))}
    given = {name: value for name, value in SMALL.items() if name in names}
    return constructor(**{**given, **arguments})
