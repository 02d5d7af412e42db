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


def assert_lowered_as_called(record, loop, found, layout):
    """A run's programs are lowered with the arguments with which it called them."""
    for name in ("scan",) if loop == "scan" else ("draw", "step"):
        getattr(shapes, f"lower_{name}")(found, layout)
        (real, static), (lowered, same) = record[name].calls[0], record[name].calls[-1]
        assert lowered == real
        assert same == static


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
    assert_lowered_as_called(record, loop, found, layout)


@pytest.mark.parametrize("loop", ["python", "scan"])
def test_so_are_those_of_a_pool_that_is_split(record, loop):
    # Of each role as many rows as four devices do not divide.
    whole, mesh = small_problem(), ju.make_mesh(4)
    forget, retain = (
        jax.tree.map(lambda x, n=n: x[:n], part)
        for part, n in ((whole.forget, 9), (whole.retain, 57))
    )
    problem = dataclasses.replace(whole, forget=forget, retain=retain)
    salun = small(ju.salun, batch_size=8, epochs=1)
    ju.run(salun, problem, jax.random.key(0), mesh=mesh, loop=loop, placement="sharded")
    layout = Layout(mesh, splits_pool=True)
    assert_lowered_as_called(record, loop, shapes.run_shapes(salun, problem), layout)


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


@pytest.mark.parametrize("name", ["bad_teacher", "natmu"])
def test_a_pool_is_shaped_without_a_pass_through_the_network(name):
    problem = small_problem()
    model, unlearner = problem.model, small(ju.METHODS[name])
    key = jax.random.key(0)
    given = dataclasses.replace(problem, variables=model.init(key), initial=model.init(key))
    expected = unlearner.pool(key, given)

    def apply(variables, images, *, train, weight=None):
        raise AssertionError("the network was asked")

    unseen = dataclasses.replace(problem, model=dataclasses.replace(model, apply=apply))
    found = shapes.bare_pool(unlearner, unseen, key, sample=problem)
    for mine, theirs in ((found.label, expected.label), (found.role, expected.role)):
        np.testing.assert_array_equal(np.shape(mine), np.shape(theirs))
    assert jax.tree.map(lambda x: (np.shape(x), str(x.dtype)), found.extra) == jax.tree.map(
        lambda x: (np.shape(x), str(x.dtype)), expected.extra
    )


def test_a_pool_that_a_layer_alone_does_not_give_is_made_with_the_network():
    class OfKernels(ju.Descent):
        roles = (ju.RETAIN,)

        def pool(self, key, problem):
            pool = super().pool(key, problem)
            kernel = problem.variables["params"]["second"]
            return pool._replace(extra={"of": np.full(len(pool.label), kernel.shape[0])})

    problem = small_problem()
    found = shapes.bare_pool(small(OfKernels), problem, jax.random.key(0), sample=problem)
    assert set(found.extra["of"].tolist()) == {8}
