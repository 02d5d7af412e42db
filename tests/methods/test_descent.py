"""Descent takes the steps of PyTorch's and optax's optimizers."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from stepping import one_update

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.methods.descent import Descent

RATE, DECAY = 0.05, 0.1


def clock_at(step, steps, epochs=1):
    return ju.StepInfo(*map(jnp.int32, (step, steps, 0, epochs)), jax.random.key(0))


def three_steps(unlearner, problem, batch):
    state = unlearner.init(jax.random.key(0), problem)
    course = [state.variables]
    for step in range(3):
        state, _ = one_update(unlearner, problem.model, state, batch, clock_at(step, 3))
        course.append(state.variables)
    return course


@pytest.fixture
def batch(batch_of, linear_problem):
    return batch_of(linear_problem.retain, ju.RETAIN)


@pytest.fixture
def gradient(linear_problem, batch):
    def loss(variables):
        logits, _ = linear_problem.model.apply(variables, batch.image, train=True)
        return jnp.mean(functional.cross_entropy(logits, batch.label))

    return jax.jit(jax.grad(loss))


def test_sgd_is_pytorchs_heavy_ball_with_decay_added_to_the_gradient(
    linear_problem, batch, gradient
):
    unlearner = ju.finetune(learning_rate=RATE, weight_decay=DECAY, momentum=0.8)
    expected = linear_problem.variables
    velocity = jax.tree.map(jnp.zeros_like, expected)
    for variables in three_steps(unlearner, linear_problem, batch)[1:]:
        slope = jax.tree.map(lambda g, p: g + DECAY * p, gradient(expected), expected)
        velocity = jax.tree.map(lambda v, g: 0.8 * v + g, velocity, slope)
        expected = jax.tree.map(lambda p, v: p - RATE * v, expected, velocity)
        chex.assert_trees_all_close(variables, expected, rtol=1e-5, atol=1e-6)


def test_decay_may_pull_towards_where_the_method_sets_out(linear_problem, batch, gradient):
    unlearner = ju.finetune(
        learning_rate=RATE, weight_decay=DECAY, momentum=0.0, decay_towards="start"
    )
    start = expected = linear_problem.variables
    for variables in three_steps(unlearner, linear_problem, batch)[1:]:
        slope = jax.tree.map(
            lambda g, p, s: g + DECAY * (p - s), gradient(expected), expected, start
        )
        expected = jax.tree.map(lambda p, g: p - RATE * g, expected, slope)
        chex.assert_trees_all_close(variables, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "reference"),
    [
        ("adamw", optax.adamw(RATE, weight_decay=DECAY)),
        ("adam", optax.chain(optax.add_decayed_weights(DECAY), optax.adam(RATE))),
        ("sgd", optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(RATE, momentum=0.9))),
    ],
)
def test_an_optimizer_is_the_one_of_optax(optimizer, reference, linear_problem, batch, gradient):
    unlearner = ju.finetune(learning_rate=RATE, weight_decay=DECAY, optimizer=optimizer)
    expected = linear_problem.variables
    moments = reference.init(expected)
    for variables in three_steps(unlearner, linear_problem, batch)[1:]:
        updates, moments = reference.update(gradient(expected), moments, expected)
        expected = optax.apply_updates(expected, updates)
        chex.assert_trees_all_close(variables, expected, rtol=1e-4, atol=1e-6)


def test_adamw_decays_weights_that_get_no_gradient_by_rate_times_decay(linear_problem, batch):
    unlearner = ju.finetune(learning_rate=RATE, weight_decay=DECAY, optimizer="adamw")
    dark = batch._replace(image=jnp.zeros_like(batch.image))
    before, after = three_steps(unlearner, linear_problem, dark)[:2]
    np.testing.assert_allclose(after["weight"], (1 - RATE * DECAY) * before["weight"], rtol=1e-6)


def test_a_constant_rate_stays_and_a_cosine_ends_at_zero():
    constant = ju.finetune(learning_rate=0.2)
    cosine = ju.finetune(learning_rate=0.2, schedule="cosine")
    assert float(constant.rate(clock_at(9, 10))) == pytest.approx(0.2)
    rates = [float(cosine.rate(clock_at(k, 10))) for k in range(10)]
    expected = 0.2 * (0.5 + 0.5 * np.cos(np.pi * np.arange(1, 11) / 10))
    np.testing.assert_allclose(rates, expected, atol=1e-7)
    assert rates[-1] == pytest.approx(0, abs=1e-8)


def test_the_step_schedule_warms_up_by_epochs_and_falls_twice():
    recipe = ju.retrain(learning_rate=0.1, epochs=20, warmup_epochs=2)
    rates = [float(recipe.rate(clock_at(k, 100, epochs=20))) for k in range(100)]
    np.testing.assert_allclose(rates[:11], 0.01 * np.arange(11), atol=1e-7)
    np.testing.assert_allclose(rates[10:61], 0.1, rtol=1e-6)
    np.testing.assert_allclose(rates[61:81], 0.01, rtol=1e-6)
    np.testing.assert_allclose(rates[81:], 0.001, rtol=1e-6)


def test_a_run_with_cosine_makes_no_move_in_its_last_step(linear_problem):
    watched = []

    def watch(variables):
        watched.append(np.asarray(variables["weight"]))
        return {}

    unlearner = ju.finetune(batch_size=60, epochs=3, schedule="cosine", momentum=0.0)
    ju.run(unlearner, linear_problem, jax.random.key(0), mesh=ju.make_mesh(1), watch=watch)
    assert np.abs(watched[1] - watched[0]).max() > 1e-4
    np.testing.assert_array_equal(watched[3], watched[2])


def test_train_mode_moves_batch_statistics_and_eval_mode_leaves_them(lab):
    for train_mode in (True, False):
        unlearner = ju.finetune(epochs=1, batch_size=50, train_mode=train_mode)
        outcome = ju.run(unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh)
        before, after = (v["batch_stats"]["mean"] for v in (lab.problem.variables, outcome[0]))
        assert np.array_equal(before, after) != train_mode


def test_augmentation_is_asked_for_by_a_flag(lab):
    for wanted in (True, False):
        pool = ju.neggrad_plus(augment=wanted).pool(jax.random.key(0), lab.problem)
        assert np.all(np.asarray(pool.augment) == wanted)
    assert not np.any(ju.mumis().pool(jax.random.key(0), lab.problem).augment)


def test_reinit_linear_starts_from_redrawn_linear_layers_and_the_original_is_kept(lab):
    unlearner = dataclasses.replace(ju.finetune(), reinit_linear=True)
    state = unlearner.init(jax.random.key(0), lab.problem)
    kernel = lab.problem.variables["params"]["second"]["kernel"]
    assert np.all(np.asarray(state.variables["params"]["second"]["kernel"] != kernel))


def test_adam_runs_alike_in_both_loops(lab):
    """Trainer of the loss; single weights differ where a gradient is zero but for rounding."""
    unlearner = ju.amnesiac(epochs=2, batch_size=50, learning_rate=1e-3)
    courses = [
        [
            entry["loss"]
            for entry in ju.run(
                unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh, loop=loop
            ).history[1:]
        ]
        for loop in ("python", "scan")
    ]
    np.testing.assert_allclose(courses[0], courses[1], rtol=1e-3)


def test_roles_that_no_pool_knows_are_refused_where_the_method_is_declared():
    for wrong in ((ju.HYBRID,), (7,), (), ju.FORGET):
        with pytest.raises(
            ju.InputError, match=r"^roles=.*: expected a tuple of RETAIN and FORGET"
        ):
            type("Mine", (Descent,), {"roles": wrong, "__annotations__": {}})

    class WithItsOwnPool(Descent):
        roles = (ju.HYBRID,)

        def pool(self, key, problem):
            return super().pool(key, problem)

    assert WithItsOwnPool.roles == (ju.HYBRID,)


def test_losses_of_another_shape_are_refused(linear_problem, batch):
    class Wrong(Descent):
        def losses(self, logits, batch, extra, info):
            return logits

    with pytest.raises(ju.InputError, match=r"losses=Wrong.losses: returns shape .*expected \("):
        three_steps(Wrong(epochs=1), linear_problem, batch)
