from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_unlearn.functional import (
    constant,
    cosine,
    cosine_by_epoch,
    step_decay,
    triangle_by_epoch,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def _course(schedule, steps, *args):
    rates = jax.jit(jax.vmap(lambda step: schedule(step, steps, *args)))
    return np.asarray(rates(jnp.arange(steps)))


def _optax_course(schedule, start, stop):
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers and floats
        return np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(start, stop)))


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "schedules.npz") as arrays:
        return dict(arrays)


def test_cosine_equals_golden(golden):
    course = _course(cosine, int(golden["epochs"] * golden["steps_per_epoch"]))
    np.testing.assert_allclose(course, golden["cosine"], rtol=0, atol=1e-7)


def test_step_decay_equals_golden(golden):
    per_epoch = int(golden["steps_per_epoch"])
    steps = int(golden["step_epochs"]) * per_epoch
    course = _course(step_decay, steps, int(golden["step_warmup_epochs"]) * per_epoch)
    np.testing.assert_allclose(course, golden["step"], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 35, 1000])
def test_cosine_equals_optax_one_update_on_and_ends_at_zero(steps):
    course = _course(cosine, steps)
    expected = _optax_course(optax.cosine_decay_schedule(1.0, steps), 1, steps + 1)
    np.testing.assert_allclose(course, expected, rtol=0, atol=2e-7)
    assert course[-1] == 0
    assert (np.diff(course) < 0).all()


@pytest.mark.parametrize(("steps", "warmup"), [(140, 14), (140, 0), (97, 3), (1000, 100)])
def test_step_decay_equals_optax_with_boundaries_counted_by_hand(steps, warmup):
    # optax lowers at its boundary, the rule after m * steps: one update later.
    drops = [int(np.floor(steps * tenths / 10)) + 1 - warmup for tenths in (6, 8)]
    flat = optax.piecewise_constant_schedule(1.0, dict.fromkeys(drops, 0.1))
    rising = optax.linear_schedule(0.0, 1.0, max(warmup, 1))
    expected = optax.join_schedules([rising, flat], [warmup])
    course = _course(step_decay, steps, warmup)
    np.testing.assert_allclose(course, _optax_course(expected, 0, steps), rtol=1e-6)


@pytest.mark.parametrize("steps", [5, 10, 140, 999, 39_100, 2_000_000_000])
def test_milestones_fall_after_the_exact_share_of_any_run(steps):
    around = np.array([steps * 6 // 10 + k for k in (0, 1)] + [steps * 8 // 10 + k for k in (0, 1)])
    rates = jax.jit(jax.vmap(lambda step: step_decay(step, steps, 0)))(around)
    np.testing.assert_allclose(rates, [1, 0.1, 0.1, 0.01], rtol=1e-6)


def test_milestones_and_factor_are_arguments():
    course = _course(step_decay, 8, 0, (0.25, 0.5), 0.5)
    np.testing.assert_array_equal(course, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25])


def test_constant_is_one():
    np.testing.assert_array_equal(_course(constant, 5), 1)


@pytest.mark.parametrize(
    "schedule", [constant, cosine, lambda step, steps: step_decay(step, steps, steps // 10)]
)
def test_a_run_of_another_length_compiles_nothing(schedule):
    compiled = []

    @jax.jit
    def rate(step, steps):
        compiled.append(1)
        return schedule(step, steps)

    for step, steps in ((0, 10), (7, 10), (90, 100)):
        rated = rate(jnp.int32(step), jnp.int32(steps))
        assert rated.dtype == jnp.float32
        np.testing.assert_allclose(rated, schedule(step, steps), rtol=1e-6)
    assert len(compiled) == 1


def test_cosine_by_epoch_starts_at_one_and_never_ends_at_zero():
    course = [float(cosine_by_epoch(epoch, 3)) for epoch in range(3)]
    np.testing.assert_allclose(course, [1, 0.75, 0.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("epochs", "course"),
    [
        (1, [1]),
        (2, [1, 1 / 2]),
        (4, [1 / 2, 1, 2 / 3, 1 / 3]),
        (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]),
    ],
)
def test_triangle_by_epoch_rises_to_one_in_the_middle_and_never_reaches_zero(epochs, course):
    values = [float(triangle_by_epoch(epoch, epochs)) for epoch in range(epochs)]
    np.testing.assert_allclose(values, course, rtol=1e-6)
