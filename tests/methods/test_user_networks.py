"""A network that is not ours needs two functions, and methods take it."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_unlearn as ju
from jax_unlearn.models.predict import predict_logits

# One of each kind, and what looks into a network.
NAMES = (
    *("finetune", "bad_teacher", "salun", "natmu", "mumis", "mumis_last_layer", "cf_k", "eu_k"),
    *("fisher_forgetting", "influence"),
)
EDITS = ("ct", "msg")
SHORT = {
    "mumis": {"batch_size": 20, "max_steps": 2, "check_every": 2},
    "mumis_last_layer": {"batch_size": 20, "max_steps": 2, "check_every": 2},
    "fisher_forgetting": {},
    "influence": {"damping": 1.0, "max_steps": 2},
}


class NnxNetwork(nnx.Module):
    """A convolution with batch normalisation and a linear layer."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.fc = nnx.Linear(4 * 64, 10, rngs=rngs)

    def __call__(self, images, *, train, mask):
        x = self.norm(self.conv(images), use_running_average=not train, mask=mask)
        return self.fc(nnx.relu(x).reshape(len(images), -1))


def nnx_model():
    """The NNX network as a pair of functions over ``params`` and ``batch_stats``."""
    graph = nnx.split(NnxNetwork(nnx.Rngs(0)), nnx.Param, nnx.BatchStat)[0]

    def init(key):
        _, params, stats = nnx.split(NnxNetwork(nnx.Rngs(key)), nnx.Param, nnx.BatchStat)
        return {"params": params, "batch_stats": stats}

    def apply(variables, images, *, train, weight=None):
        network = nnx.merge(graph, variables["params"], variables["batch_stats"], copy=True)
        mask = None if weight is None else (weight > 0).reshape(-1, 1, 1, 1)
        logits = network(images, train=train, mask=mask)
        if not train:
            return logits, variables
        _, _, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
        return logits, {**variables, "batch_stats": stats}

    return ju.Model(init, apply, "nnx")


def plain_model():
    """Two matrices in a dict; no ``params``, no batch statistics, no ``weight``."""

    def init(key):
        first, second = jax.random.split(key)
        return {
            "inner": jax.random.normal(first, (64, 16)) / 8,
            "outer": jax.random.normal(second, (16, 10)) / 4,
        }

    def apply(variables, images, *, train):
        del train
        x = jnp.tanh(images.reshape(len(images), 64) @ variables["inner"])
        return x @ variables["outer"], variables

    return ju.Model(init, apply, "plain")


@pytest.fixture(scope="module")
def problems(lab):
    made = {}
    for make in (nnx_model, plain_model):
        model = make()
        variables = model.init(jax.random.key(0))
        made[model.name] = dataclasses.replace(
            lab.problem, model=model, variables=variables, initial=variables
        )
    return made


@pytest.mark.parametrize(
    ("name", "network"),
    [*((name, "nnx") for name in (*NAMES, *EDITS)), *((name, "plain") for name in NAMES)],
)
def test_methods_run_on_it(name, network, problems, lab):
    problem = problems[network]
    settings = SHORT.get(name, {"batch_size": 50, "epochs": 1})
    method = ju.METHODS[name](**settings)
    rated = name != "retrain" and "learning_rate" in method.traced_fields
    unlearner = dataclasses.replace(method, learning_rate=1e-3) if rated else method
    outcome = ju.run(unlearner, problem, jax.random.key(1), mesh=lab.mesh)
    chex.assert_trees_all_equal_shapes_and_dtypes(outcome.variables, problem.variables)
    chex.assert_tree_all_finite(outcome.variables)
    moved = jax.tree.map(
        lambda a, b: bool(np.any(np.asarray(a) != np.asarray(b))),
        ju.split_variables(outcome.variables)[0],
        ju.split_variables(problem.variables)[0],
    )
    assert any(jax.tree.leaves(moved))


@pytest.mark.parametrize("network", ["nnx", "plain"])
def test_it_learns_and_its_predictions_are_read(network, problems, lab):
    problem = problems[network]
    recipe = ju.retrain(epochs=10, batch_size=50, learning_rate=0.1, augment=False)
    outcome = ju.run(recipe, problem, jax.random.key(0), mesh=lab.mesh)
    predicted = predict_logits(problem.model, outcome.variables, problem.retain.image).argmax(1)
    assert np.mean(predicted == problem.retain.label) > 0.9
