"""What is lowered for devices that are not there is what a run calls on those that are."""

import dataclasses

import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.engine import shapes, steps
from jax_unlearn.models import predict
from jax_unlearn.sharding import Layout
from jax_unlearn.testing import small, small_problem


def described(tree):
    """Shape, type and place of every leaf, by its path."""
    return {
        jax.tree_util.keystr(path): (x.shape, str(x.dtype), places(x))
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
        if hasattr(x, "shape")
    }


def places(x):
    """Which part of an array each device holds."""
    held = x.sharding.devices_indices_map(x.shape)
    return {device.id: str(index) for device, index in held.items()}


class Recorded:
    """A jitted function that keeps the arguments that it is called with, or lowered with."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def __call__(self, *given, **static):
        self.calls.append((described(given), static))
        return self.function(*given, **static)

    def lower(self, *given, **static):
        self.calls.append((described(given), static))
        return self.function.lower(*given, **static)


@pytest.fixture
def record(monkeypatch):
    recorded = {name: Recorded(getattr(steps, name)) for name in ("step", "draw", "scan")}
    for name, stand_in in recorded.items():
        monkeypatch.setattr(steps, name, stand_in)
    return recorded


def method(**arguments):
    # Batches of 7 are divided by neither mesh, and are padded.
    return small(ju.salun, batch_size=7, epochs=1, **arguments)


@pytest.mark.parametrize(("data", "models"), [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("loop", ["python", "scan"])
def test_shapes_and_shardings_are_those_that_a_run_passes(record, data, models, loop):
    problem, mesh = small_problem(), ju.make_mesh(data, models)
    stacked = models > 1
    if stacked:
        specs = [ju.RunSpec(method(), problem, jax.random.key(seed)) for seed in range(models)]
        ju.run_many(specs, mesh=mesh, loop=loop)
    else:
        ju.run(method(), problem, jax.random.key(0), mesh=mesh, loop=loop)
    found, layout = shapes.run_shapes(method(), problem), Layout(mesh, stacked)
    for name in ("scan",) if loop == "scan" else ("draw", "step"):
        getattr(shapes, f"lower_{name}")(found, layout)
        (real, static), (lowered, same) = record[name].calls[0], record[name].calls[-1]
        assert lowered == real
        assert same == static


@pytest.mark.parametrize("models", [1, 2])
def test_a_loops_length_is_read_off_it(models):
    found, layout = shapes.run_shapes(method(), small_problem()), Layout(ju.make_mesh(1, models))
    count = len(found.batches)
    assert count > 1
    layout = dataclasses.replace(layout, stacked=models > 1)
    assert shapes.loop_length(shapes.lower_scan(found, layout)) == count


def test_an_evaluation_is_that_of_predict_logits(monkeypatch):
    problem, layout = small_problem(), Layout(ju.make_mesh(4))
    recorded = Recorded(predict.batch_logits)
    monkeypatch.setattr(predict, "batch_logits", recorded)
    monkeypatch.setattr(shapes, "batch_logits", recorded)
    variables = layout.shard([problem.variables])
    predict.predict_logits(problem.model, variables, problem.retain.image, batch_size=6)
    shapes.lower_evaluation(problem.model, (4, 4, 1), layout, batch_size=6)
    (real, _), (lowered, _) = recorded.calls[0], recorded.calls[-1]
    assert lowered == real


def test_a_method_that_looks_at_numbers_is_given_the_sample_and_keeps_the_problems_size():
    problem = small_problem()
    rows = np.arange(0, 60, 2)
    fewer = ju.Examples(*(column[rows] for column in problem.retain))
    sample = ju.Problem(problem.model, None, problem.forget, fewer, num_classes=5, augment=None)
    teacher = small(ju.bad_teacher, retain_fraction=1.0)
    found = shapes.run_shapes(teacher, problem, sample=sample)
    assert found.pool.label.shape == (70,)
    assert found.pool == shapes.run_shapes(teacher, problem).pool


@pytest.mark.parametrize("name", ["amun", "l2ul", "negmerge", "salun", "ssd", "unsir"])
def test_what_a_method_makes_of_the_original_is_not_made_for_its_shape(name):
    problem = small_problem(whole_classes=True)
    model, unlearner = problem.model, small(ju.METHODS[name])
    expected = jax.eval_shape(lambda: unlearner.init(jax.random.key(0), problem))

    def init(key):
        assert isinstance(key, jax.core.Tracer), "weights were made"
        return model.init(key)

    unseen = dataclasses.replace(problem, model=dataclasses.replace(model, init=init))
    assert shapes.state_shapes(unlearner, unseen, jax.random.key(0)) == expected
