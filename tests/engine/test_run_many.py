"""Many runs side by side: the same results as one by one, and no talk between models."""

import dataclasses
import functools
import re

import chex
import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine import RunSpec, make_mesh, run_many, steps
from jax_unlearn.testing import small_problem

LOOPS = pytest.mark.parametrize("loop", ["python", "scan"])
COLLECTIVE = re.compile(
    r"= \S+ (all-reduce|all-gather|all-to-all|collective-permute|collective-broadcast|"
    r"reduce-scatter)(-start)?\("
)
SHORT = ju.finetune(batch_size=10, epochs=2)


@functools.cache
def random_images(name):
    """A small network with BatchNorm, by its name, and random images."""
    rng = np.random.default_rng(0)
    model = ju.make_model(name, 4, (8, 8, 1), width=4)

    def examples(count, first):
        image = rng.integers(0, 256, (count, 8, 8, 1), np.uint8)
        return ju.Examples(image, np.arange(count, dtype=np.int32) % 4, np.arange(count) + first)

    variables = model.init(jax.random.key(0))
    return ju.Problem(
        model, variables, examples(9, 0), examples(40, 9), 4, variables, ju.crop_and_flip(1)
    )


def alone(job, loop):
    return ju.run(*job, mesh=make_mesh(1), loop=loop)


def assert_same(many, one):
    chex.assert_trees_all_equal(jax.device_get(many.variables), jax.device_get(one.variables))
    assert (many.history, many.status, many.steps) == (one.history, one.status, one.steps)


# Convolutions take long to compile: each loop has them once, one with residual sums, the other
# differentiated by the images. The small network has BatchNorm.
@pytest.mark.parametrize(
    ("name", "loop", "network"),
    [
        ("retrain", "python", "convnet"),
        ("natmu", "python", "small"),
        ("mumis", "python", "small"),
        ("retrain", "scan", "resnet8"),
        ("natmu", "scan", "small"),
        ("mumis", "scan", "convnet"),
    ],
)
def test_each_of_many_runs_equals_the_same_run_alone_bit_for_bit(name, loop, network):
    problem = small_problem() if network == "small" else random_images(network)
    options = {"max_steps": 6, "check_every": 3} if name.startswith("mumis") else {"epochs": 2}
    options |= {"num": 3} if name == "natmu" else {}
    methods = [
        ju.METHODS[name](batch_size=8, learning_rate=rate, **options)
        for rate in (1e-4, 3e-4, 1e-3, 2e-3, 3e-3)
    ]
    jobs = [RunSpec(method, problem, jax.random.key(i)) for i, method in enumerate(methods)]
    one = make_mesh(1, 1)
    for job, outcome in zip(jobs, run_many(jobs, loop=loop), strict=True):
        assert_same(outcome, run_many([job], mesh=one, loop=loop)[0])
        plain = alone(job, loop)
        if name == "retrain":
            assert_same(outcome, plain)
        # The program of `run` may be fused otherwise, and then rounds otherwise.
        chex.assert_trees_all_close(
            jax.device_get(outcome.variables), jax.device_get(plain.variables), rtol=1e-5, atol=1e-6
        )


@LOOPS
def test_the_programs_of_many_models_hold_no_collective(loop):
    problem, mesh = random_images("convnet"), make_mesh(1, 4)
    texts = []

    class Spy:
        def __init__(self, fn):
            self.fn = fn

        def __call__(self, *args, **kwargs):
            texts.append(self.fn.lower(*args, **kwargs).compile().as_text())
            return self.fn(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("step", "draw", "scan"):
            patch.setattr(steps, name, Spy(getattr(steps, name)))
        jobs = [RunSpec(SHORT, problem, jax.random.key(i)) for i in range(4)]
        run_many(jobs, mesh=mesh, loop=loop)
    assert texts
    for text in texts:
        assert "HloModule" in text
        assert not COLLECTIVE.search(text)


def test_models_that_share_a_batch_among_devices_talk_only_within_a_model():
    problem, mesh = random_images("convnet"), make_mesh(2, 2)
    jobs = [RunSpec(SHORT, problem, jax.random.key(i)) for i in range(3)]
    for job, outcome in zip(jobs, run_many(jobs, mesh=mesh), strict=True):
        expected = ju.run(*job, mesh=make_mesh(2)).variables
        chex.assert_trees_all_close(
            jax.device_get(outcome.variables), jax.device_get(expected), rtol=1e-4, atol=1e-5
        )


def test_runs_of_different_structure_come_back_in_the_order_asked_for(problem):
    methods = [
        SHORT,
        ju.natmu(batch_size=10, epochs=1, num=2),
        dataclasses.replace(SHORT, epochs=3),
        ju.natmu(batch_size=10, epochs=1, num=1),
        dataclasses.replace(SHORT, batch_size=5),
    ]
    jobs = [RunSpec(method, problem, jax.random.key(i)) for i, method in enumerate(methods)]
    done = []
    outcomes = run_many(jobs, on_done=lambda *count: done.append(count))
    for job, outcome in zip(jobs, outcomes, strict=True):
        assert_same(outcome, alone(job, "auto"))
    assert done[-1] == (5, 5)


def test_seeds_and_numbers_compile_once(counted, problem):
    model, traces = counted
    own = dataclasses.replace(problem, model=model)
    run_many([RunSpec(SHORT, own, jax.random.key(i)) for i in range(4)])
    once = len(traces)
    rates = (0.1, 0.2, 0.3, 0.4, 0.5)
    run_many(
        [
            RunSpec(dataclasses.replace(SHORT, learning_rate=r), own, jax.random.key(9))
            for r in rates
        ]
    )
    assert len(traces) == once > 0


def test_one_that_collapses_or_stops_leaves_the_others_alone(problem):
    wild = dataclasses.replace(SHORT, learning_rate=1e38)
    jobs = [RunSpec(method, problem, jax.random.key(3)) for method in (SHORT, wild, SHORT)]
    with pytest.warns(UserWarning, match="FineTune collapsed"):
        outcomes = run_many(jobs)
    assert [outcome.status for outcome in outcomes] == ["finished", "collapsed", "finished"]
    assert_same(outcomes[0], alone(jobs[0], "auto"))
    chex.assert_trees_all_equal(
        jax.device_get(outcomes[1].variables), jax.device_get(problem.variables)
    )


def test_the_callers_weights_outlive_the_runs(problem):
    before = jax.device_get(problem.variables)
    run_many([RunSpec(SHORT, problem, jax.random.key(i)) for i in range(2)])
    chex.assert_trees_all_equal(before, jax.device_get(problem.variables))


def test_watching_sees_the_weights_of_each_run(problem):
    def watch(variables):
        return {"norm": float(np.linalg.norm(variables["weight"]))}

    jobs = [RunSpec(SHORT, problem, jax.random.key(i)) for i in range(3)]
    many = run_many(jobs, watch=watch)
    for job, outcome in zip(jobs, many, strict=True):
        one = ju.run(*job, mesh=make_mesh(1), watch=watch)
        assert outcome.history == one.history


def test_a_job_that_lacks_data_is_refused_before_any_starts(problem):
    bad = dataclasses.replace(problem, retain=None)
    with pytest.raises(InputError, match=r"^retain=None: FineTune needs"):
        run_many(
            [RunSpec(SHORT, problem, jax.random.key(0)), RunSpec(SHORT, bad, jax.random.key(0))]
        )
