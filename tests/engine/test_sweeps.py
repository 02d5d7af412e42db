"""Many settings of one method: each as if it had been run alone."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine import make_mesh
from jax_unlearn.engine.sweeps import grid_settings, sweep

KEY = jax.random.key(4)


def test_a_grid_is_run_in_order_each_setting_as_alone(problem):
    grid = {"learning_rate": [0.1, 0.01], "delta": [-0.2, 0.0, 0.2]}
    trials = sweep(ju.natmu, grid, problem, KEY, batch_size=10, epochs=1, num=2)
    assert [tuple(trial.arguments.values()) for trial in trials] == [
        (rate, delta) for rate in (0.1, 0.01) for delta in (-0.2, 0.0, 0.2)
    ]
    for trial in trials:
        method = ju.natmu(**trial.arguments, batch_size=10, epochs=1, num=2)
        assert trial.unlearner == method
        alone = ju.run(method, problem, KEY, mesh=make_mesh(1))
        chex.assert_trees_all_equal(
            jax.device_get(trial.result.variables), jax.device_get(alone.variables)
        )


def test_numbers_compile_once_whatever_their_count(counted, problem):
    model, traces = counted
    own = dataclasses.replace(problem, model=model)
    sweep(ju.finetune, {"learning_rate": [0.1]}, own, KEY, batch_size=10, epochs=1)
    once = len(traces)
    grid = {"learning_rate": [0.1, 0.2, 0.3], "momentum": [0.0, 0.9], "weight_decay": [0, 1e-4]}
    assert len(sweep(ju.finetune, grid, own, KEY, batch_size=10, epochs=1)) == 12
    assert len(traces) == once > 0


def test_each_combination_of_static_fields_compiles_once_wherever_it_stands(counted, problem):
    model, traces = counted
    statics = {"optimizer": ["sgd", "adamw"], "augment": [True, False]}

    def count(name, **grid):
        """Traces that a grid takes of a model that no one has seen, and once more."""
        fresh = dataclasses.replace(problem, model=dataclasses.replace(model, name=name))
        counts = []
        for _ in range(2):
            before = len(traces)
            sweep(ju.finetune, grid, fresh, KEY, batch_size=10, epochs=1)
            counts.append(len(traces) - before)
        return counts

    once = count("one rate", **statics)
    # Settings of one program do not stand together here.
    assert count("three rates", learning_rate=[0.1, 0.2, 0.3], **statics) == once
    assert once[0] >= 4
    assert once[1] == 0


def test_what_is_watched_is_in_the_history_of_every_trial(problem):
    def length(variables):
        return {"length": float((variables["weight"] ** 2).sum())}

    grid = {"augment": [True, False], "learning_rate": [0.1, 0.2]}
    trials = sweep(ju.finetune, grid, problem, KEY, batch_size=10, epochs=1, watch=length)
    for trial in trials:
        expected = length(trial.result.variables)["length"]
        assert trial.result.history[-1]["length"] == pytest.approx(expected, rel=1e-5)
    assert len({trial.result.history[-1]["length"] for trial in trials}) == 4


@pytest.mark.filterwarnings("ignore:.* collapsed by step")
def test_a_text_that_the_step_reads_is_part_of_the_program(problem):
    own = dataclasses.replace(problem, retain=None)
    fixed = {"batch_size": 13, "max_steps": 1}
    grid = {"learning_rate": [0.1, 0.2], "terms": ["both", "target", "irrelevant"]}
    losses: dict[str, set[float]] = {}
    for trial in sweep(ju.mumis, grid, own, KEY, **fixed):
        alone = ju.run(ju.mumis(**trial.arguments, **fixed), own, KEY, mesh=make_mesh(1))
        (loss,) = [entry["loss"] for entry in trial.result.history if "loss" in entry]
        assert loss == pytest.approx(alone.history[-1]["loss"], rel=1e-5)
        losses.setdefault(trial.arguments["terms"], set()).add(loss)
    # The only step is taken at the original, whatever the rate.
    assert [len(found) for found in losses.values()] == [1, 1, 1]
    assert len(set.union(*losses.values())) == 3


def test_a_list_of_settings_may_differ_in_structure(problem):
    settings = [{"batch_size": 5}, {"batch_size": 10, "optimizer": "adam"}, {"epochs": 2}]
    done = []
    trials = sweep(
        ju.finetune,
        [{"batch_size": 10, "epochs": 1, **setting} for setting in settings],
        problem,
        KEY,
        on_done=lambda *n: done.append(n),
    )
    assert [trial.result.steps for trial in trials] == [8, 4, 8]
    assert done[-1] == (3, 3)


def test_arrays_are_lists_of_pythons_own_numbers():
    lists = {"learning_rate": [0.5, 0.25], "num": [2, 4], "inject": [True, False]}
    arrays = {
        "learning_rate": np.array([0.5, 0.25]),
        "num": jnp.array([2, 4]),
        "inject": np.array([True, False]),
    }
    mixed = {"learning_rate": [np.float64(0.5), jnp.float32(0.25)], "num": (2, np.int32(4))}
    for grid in (arrays, {**lists, **mixed}):
        settings = grid_settings(grid)
        assert settings == grid_settings(lists)
        kinds = {type(value) for setting in settings for value in setting.values()}
        assert kinds == {float, int, bool}
    assert grid_settings([{"num": np.int64(2)}]) == [{"num": 2}]
    assert type(grid_settings([{"num": np.int64(2)}])[0]["num"]) is int
    assert grid_settings({"input_scale": [np.array([1.0, 2.0])]})[0]["input_scale"].tolist() == [
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"learning_rate": np.zeros((2, 2))}, r"^grid: learning_rate=array.*: expected a list"),
        ({"learning_rate": np.array([])}, r"^grid: learning_rate=\[\]: expected a list"),
        ({"momentum": np.array([0.1, 0.5, 0.1])}, r"^grid: momentum=0.1: comes twice"),
        ({}, r"^grid=\{\}: expected one or more settings"),
        ([], r"^grid=\[\]: expected one or more"),
        (5, r"^grid=5: expected lists of values by name, or a list of settings"),
        ([0.1], r"^grid=\[0.1\]: expected lists of values by name"),
        ({"learning_rate": []}, r"^grid: learning_rate=\[\]: expected a list"),
        ({"learning_rate": "0.1"}, r"^grid: learning_rate='0.1': expected a list"),
        ({"learning_rates": [1.0]}, r"^hyperparameter of FineTune='learning_rates': did you mean"),
        ({"learning_rate": [0.1, -1.0]}, r"^learning_rate=-1.0: expected a number >= 0"),
        ({"epochs": [1]}, r"^epochs=1: given both as fixed and in the grid"),
        ({"momentum": [0.1, 0.5, 1e-1]}, r"^grid: momentum=0.1: comes twice: expected each value"),
        ({"momentum": [1, 1.0]}, r"^grid: momentum=1.0: comes twice: expected each value"),
        ([{"momentum": 0.1}] * 2, r"^grid: {'momentum': 0.1}: comes twice: expected each setting"),
        (
            {"momentum": [k / 200 for k in range(101)], "learning_rate": list(range(100))},
            r"^grid: 10100 points: expected at most 10000; give fewer values$",
        ),
    ],
)
def test_a_bad_grid_is_refused_before_anything_runs(grid, message, problem):
    with pytest.raises(InputError, match=message):
        sweep(ju.finetune, grid, problem, KEY, batch_size=10, epochs=1)


@pytest.mark.parametrize("constructor", ["natmu", ju.natmu(), None])
def test_what_makes_no_method_is_refused(constructor, problem):
    with pytest.raises(InputError, match=r"^constructor=.*: expected a class derived from"):
        sweep(constructor, {"num": [1]}, problem, KEY)
