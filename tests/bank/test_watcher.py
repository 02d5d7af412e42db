"""What is watched of a method while it runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.bank import forgetting


def reads_a_pixel():
    """A network that says the class that an image's first pixel has written on it."""

    def apply(variables, images, *, train):
        return jax.nn.one_hot(jnp.round(255 * images[:, 0, 0, 0]).astype(int), 10), variables

    return ju.Model(lambda key: {"params": {}}, apply, "reader")


def test_all_of_the_forget_set_and_as_many_of_the_others_as_are_watched(monkeypatch):
    digits = data.load("digits")
    told = {"train": digits.train, "test": digits.test}
    for name, examples in told.items():
        # Every fourth image says its class, the others another one.
        wrong = (examples.label + 1) % 10
        said = np.where(np.arange(len(wrong)) % 4 == 0, examples.label, wrong)
        image = np.zeros_like(examples.image)
        image[:, 0, 0, 0] = said
        told[name] = examples._replace(image=image)
    dataset = dataclasses.replace(digits, **told)
    found = forgetting.resolve(dataset, "class:3", lambda spec: None)
    model = reads_a_pixel()
    parts = {
        "forget_accuracy": found.forget,
        "retain_accuracy": found.retain,
        "test_accuracy": data.take(dataset.test, ~found.test_forgotten),
    }
    exact = {
        name: 100.0 * np.mean(part.image[:, 0, 0, 0] == part.label) for name, part in parts.items()
    }
    monkeypatch.setattr(forgetting, "WATCHED", 2000)
    watched = forgetting.watcher(model, dataset, found)({"params": {}})
    assert watched == exact
    monkeypatch.setattr(forgetting, "WATCHED", 40)
    few = forgetting.watcher(model, dataset, found)({"params": {}})
    assert few["forget_accuracy"] == exact["forget_accuracy"]
    for name in ("retain_accuracy", "test_accuracy"):
        assert few[name] % 2.5 == 0
        assert abs(few[name] - exact[name]) < 20
