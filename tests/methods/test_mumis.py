"""MU-Mis: its loss and steps in closed form, its stop rule, and its collapses."""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import InputError

RATE = 0.01


def one_step(unlearner, problem, batch, step_info, key):
    state = unlearner.init(key, problem)
    return unlearner.step(problem.model, state, batch, step_info._replace(key=key))


def closed_form(weight, label, irrelevant, terms):
    """Loss mean(|w_c|^2 - |w_c'|^2) and its gradient, for a linear model's weight [pixels, K]."""
    a, b = {"both": (1, -1), "target": (1, 0), "irrelevant": (0, -1)}[terms]
    norms = (weight**2).sum(0)
    loss = np.mean(a * norms[label] + b * norms[irrelevant])
    share = a * np.bincount(label, minlength=5) + b * np.bincount(irrelevant, minlength=5)
    return loss, 2 * weight * share[None] / len(label)


@pytest.mark.parametrize("differentiate", ["reverse", "forward"])
@pytest.mark.parametrize("terms", ["both", "target", "irrelevant"])
def test_a_step_on_a_linear_model_is_the_closed_form(
    terms, differentiate, linear_problem, batch_of, step_info
):
    key = jax.random.key(5)
    batch = batch_of(linear_problem.forget)
    unlearner = ju.mumis(learning_rate=RATE, terms=terms, differentiate=differentiate)
    state, info = one_step(unlearner, linear_problem, batch, step_info, key)
    irrelevant = np.asarray(functional.draw_irrelevant(key, batch.label, 5))
    weight = np.asarray(linear_problem.variables["weight"], np.float64)
    loss, gradient = closed_form(weight, np.asarray(batch.label), irrelevant, terms)
    assert float(info["loss"]) == pytest.approx(loss, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(state.variables["weight"], weight - RATE * gradient, rtol=1e-5)
    np.testing.assert_array_equal(state.variables["bias"], linear_problem.variables["bias"])


def test_momentum_is_that_of_a_heavy_ball(linear_problem, batch_of, step_info):
    unlearner = ju.mumis(learning_rate=RATE, momentum=0.5, terms="target")
    batch = batch_of(linear_problem.forget)
    state = unlearner.init(jax.random.key(0), linear_problem)
    expected = np.asarray(linear_problem.variables["weight"], np.float64)
    velocity = 0
    for _ in range(3):
        state, _ = unlearner.step(linear_problem.model, state, batch, step_info)
        label = np.asarray(batch.label)
        velocity = 0.5 * velocity + closed_form(expected, label, label, "target")[1]
        expected = expected - RATE * velocity
    np.testing.assert_allclose(state.variables["weight"], expected, rtol=1e-5)


def test_both_ways_of_differentiating_take_the_same_step(lab, batch_of, step_info):
    batch = batch_of(lab.problem.forget)
    new = [
        one_step(
            ju.mumis(differentiate=way, learning_rate=1e-3),
            lab.problem,
            batch,
            step_info,
            jax.random.key(1),
        )[0].variables
        for way in ("reverse", "forward")
    ]
    chex.assert_trees_all_close(*new, rtol=1e-5, atol=1e-6)
    assert np.any(
        new[0]["params"]["first"]["kernel"] != lab.problem.variables["params"]["first"]["kernel"]
    )


def test_irrelevant_classes_are_drawn_afresh_at_every_step(linear_problem, batch_of, step_info):
    batch = batch_of(linear_problem.forget)
    unlearner = ju.mumis(terms="irrelevant")
    losses = {
        float(one_step(unlearner, linear_problem, batch, step_info, jax.random.key(k))[1]["loss"])
        for k in range(4)
    }
    assert len(losses) == 4


def test_batch_statistics_are_untouched(lab):
    unlearner = ju.mumis(batch_size=20, max_steps=4, learning_rate=1e-3)
    outcome = ju.run(unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh)
    before = lab.problem.variables["batch_stats"]
    chex.assert_trees_all_equal(outcome.variables["batch_stats"], before)


def test_the_measured_sensitivity_is_the_mean_over_all_other_classes(linear_problem):
    unlearner = ju.mumis(batch_size=5)
    state = unlearner.init(jax.random.key(0), linear_problem)
    measured = unlearner.measure(linear_problem.model, state, linear_problem)
    norms = (np.asarray(linear_problem.variables["weight"], np.float64) ** 2).sum(0)
    label = linear_problem.forget.label
    assert measured["sensitivity_label"] == pytest.approx(norms[label].mean(), rel=1e-5)
    others = np.mean([(norms.sum() - norms[k]) / 4 for k in label])
    assert measured["sensitivity_irrelevant"] == pytest.approx(others, rel=1e-5)


def test_the_rule_reads_as_many_evenly_spaced_examples_as_asked(linear_problem):
    state = ju.mumis().init(jax.random.key(0), linear_problem)
    few = ju.mumis(check_examples=3).measure(linear_problem.model, state, linear_problem)
    norms = (np.asarray(linear_problem.variables["weight"]) ** 2).sum(0)
    assert few["sensitivity_label"] == pytest.approx(
        norms[linear_problem.forget.label[[0, 5, 11]]].mean(), rel=1e-5
    )


def test_the_rule_may_read_the_next_class_alone(linear_problem):
    unlearner = ju.mumis(stop_classes="next", check_examples=0)
    state = unlearner.init(jax.random.key(0), linear_problem)
    measured = unlearner.measure(linear_problem.model, state, linear_problem)
    norms = (np.asarray(linear_problem.variables["weight"]) ** 2).sum(0)
    following = (linear_problem.forget.label + 1) % 5
    assert measured["sensitivity_irrelevant"] == pytest.approx(norms[following].mean(), rel=1e-5)


@pytest.mark.parametrize("scale", [0.5, (0.5,)])
def test_in_units_of_half_the_pixel_range_squared_gradients_are_a_quarter(
    scale, linear_problem, batch_of, step_info
):
    batch = batch_of(linear_problem.forget)
    losses, measured = [], []
    for unlearner in (ju.mumis(terms="target"), ju.mumis(terms="target", input_scale=scale)):
        key = jax.random.key(0)
        _, info = one_step(unlearner, linear_problem, batch, step_info, key)
        losses.append(float(info["loss"]))
        start = unlearner.init(key, linear_problem)
        measured.append(unlearner.measure(linear_problem.model, start, linear_problem))
    assert losses[1] == pytest.approx(losses[0] / 4, rel=1e-5)
    for name in ("sensitivity_label", "sensitivity_irrelevant"):
        assert measured[1][name] == pytest.approx(measured[0][name] / 4, rel=1e-5)


def test_rows_come_round_in_passes_over_the_whole_forget_set(lab):
    unlearner = ju.mumis(batch_size=10, check_every=2, max_steps=7)
    pool = unlearner.pool(jax.random.key(0), lab.problem)
    rows = [
        np.asarray(unlearner.batch_indices(jax.random.key(1), epoch, pool)) for epoch in range(4)
    ]
    assert [len(stretch) for stretch in rows] == [2, 2, 2, 1]
    count = len(lab.problem.forget.label)
    steps = -(-count // 10)
    first = np.concatenate(rows)[:steps].ravel()
    assert sorted(first[first >= 0]) == list(range(count))


# --- The stop rule, on courses written by hand. ---


@pytest.mark.parametrize(
    ("course", "stops"),
    [
        ([1.0], False),
        ([1.0, 0.8, 0.5], False),
        ([1.0, 0.8, 1.4], False),
        ([1.0, 0.8, 1.5], True),
        ([1.0, 1.2, 1.6], True),
        ([1.0, 1.0], False),
        ([1.0, 2.0, 1.4], False),
    ],
)
def test_the_rule_stops_above_the_minimum_once_the_ratio_is_reached(course, stops):
    history = [{"sensitivity_irrelevant": value} for value in course]
    assert ju.mumis(stop_ratio=1.5).stop(history, None) == stops


@pytest.mark.parametrize(("course", "stops"), [([1.0, 0.6], False), ([1.0, 0.6, 0.7], True)])
def test_with_a_ratio_below_one_the_rule_still_waits_for_the_rise(course, stops):
    history = [{"sensitivity_irrelevant": value} for value in course]
    assert ju.mumis(stop_ratio=0.5).stop(history, None) == stops


def test_a_run_stops_by_the_rule_at_a_look(lab):
    unlearner = ju.mumis(
        batch_size=20, check_every=4, max_steps=400, learning_rate=1e-3, stop_ratio=1.2
    )
    outcome = ju.run(unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh)
    course = [entry["sensitivity_irrelevant"] for entry in outcome.history]
    assert outcome.status == "stopped"
    assert outcome.steps % 4 == 0
    assert course[-1] >= 1.2 * course[0] > course[-2] > 0
    assert outcome.steps == 4 * (len(course) - 1) < 400


@pytest.mark.parametrize(("max_steps", "check_every"), [(7, 3), (6, 3), (2, 5)])
def test_the_limit_on_steps_is_kept(max_steps, check_every, lab):
    unlearner = ju.mumis(
        batch_size=20, max_steps=max_steps, check_every=check_every, learning_rate=0, stop_ratio=9
    )
    outcome = ju.run(unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh)
    assert outcome.steps == max_steps == outcome.history[-1]["step"]
    assert len(outcome.history) == 1 + math.ceil(max_steps / check_every)


# --- Collapses. ---


def test_a_collapse_to_nan_keeps_the_last_good_weights(lab):
    unlearner = ju.mumis(batch_size=20, check_every=3, learning_rate=1e4, stop_ratio=1e30)
    with pytest.warns(UserWarning, match="MUMis collapsed by step"):
        outcome = ju.run(unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh)
    assert outcome.status == "collapsed"
    assert not all(np.isfinite(v) for v in outcome.history[-1].values())
    chex.assert_tree_all_finite(outcome.variables)
    good = len(outcome.history) - 2
    again = ju.run(
        dataclasses.replace(unlearner, max_steps=max(1, 3 * good)),
        lab.problem,
        jax.random.key(0),
        mesh=lab.mesh,
    )
    expected = again.variables if good else lab.problem.variables
    chex.assert_trees_all_equal(outcome.variables, jax.device_get(expected))


def test_a_watched_retain_accuracy_at_chance_is_a_collapse(lab):
    accuracies = iter([100.0, 90.0, 10.9, 10.0])
    unlearner = ju.mumis(batch_size=20, check_every=2, learning_rate=1e-5, stop_ratio=1e9)
    seen = []

    def watch(variables):
        seen.append(jax.tree.map(np.asarray, variables))
        return {"retain_accuracy": next(accuracies)}

    with pytest.warns(UserWarning, match="the weights of step 2 are kept"):
        outcome = ju.run(unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh, watch=watch)
    assert (outcome.status, outcome.steps) == ("collapsed", 4)
    chex.assert_trees_all_equal(jax.device_get(outcome.variables), seen[1])


def test_unwatched_chance_accuracy_is_a_collapse_only_for_a_forget_set_of_every_class(lab):
    # The problem "random" forgets images of all ten classes, the other one of a single class.
    entry = {"checked_accuracy": 5.0, "sensitivity_irrelevant": 1.0}
    assert ju.mumis().collapsed([entry], lab.random)
    assert not ju.mumis().collapsed([entry], lab.problem)
    assert not ju.mumis().collapsed([{**entry, "checked_accuracy": 12.0}], lab.random)


def test_a_forget_set_is_needed(lab):
    with pytest.raises(InputError, match=r"^forget=None"):
        ju.mumis().pool(jax.random.key(0), dataclasses.replace(lab.problem, forget=None))


def test_the_pool_holds_the_forget_rows_alone_without_augmentation(lab):
    pool = ju.mumis().pool(jax.random.key(0), lab.problem)
    np.testing.assert_array_equal(pool.image, lab.problem.forget.image)
    assert np.all(np.asarray(pool.role) == ju.FORGET)
    assert not np.any(np.asarray(pool.augment))
    assert jnp.asarray(pool.label).dtype == jnp.int32


def test_looking_more_often_changes_no_step(linear_problem):
    # One class only: a random network is at chance, which several classes would show as collapse.
    forget = linear_problem.forget._replace(label=np.zeros(12, np.int32))
    problem = dataclasses.replace(linear_problem, forget=forget)

    def weights(check_every):
        method = ju.mumis(
            max_steps=11, check_every=check_every, batch_size=5, stop_ratio=1e9, learning_rate=1e-5
        )
        outcome = ju.run(method, problem, jax.random.key(5), mesh=ju.make_mesh(1))
        assert outcome.steps == 11
        return outcome.variables

    jax.tree.map(np.testing.assert_array_equal, weights(11), weights(2))


def test_a_pass_shows_every_forget_example_whatever_the_looks(linear_problem):
    method = ju.mumis(max_steps=3, check_every=2, batch_size=5)
    pool = method.pool(jax.random.key(0), linear_problem)
    rows = [method.batch_indices(jax.random.key(1), epoch, pool) for epoch in range(2)]
    shown = np.concatenate([np.asarray(r).ravel() for r in rows])
    np.testing.assert_array_equal(np.sort(shown[shown >= 0]), np.arange(12))


def test_the_unit_of_the_input_scales_sensitivities_by_its_square(linear_problem):
    state = ju.mumis().init(jax.random.key(0), linear_problem)
    one, half = (
        ju.mumis(input_scale=scale).measure(linear_problem.model, state, linear_problem)
        for scale in (1.0, 0.5)
    )
    for name in ("sensitivity_label", "sensitivity_irrelevant"):
        assert half[name] == pytest.approx(0.25 * one[name], rel=1e-5)


def test_the_next_class_stands_for_all_others_when_asked(linear_problem):
    state = ju.mumis().init(jax.random.key(0), linear_problem)
    method = ju.mumis(stop_classes="next", check_examples=0)
    measured = method.measure(linear_problem.model, state, linear_problem)
    norms = (np.asarray(linear_problem.variables["weight"]) ** 2).sum(0)
    following = (linear_problem.forget.label + 1) % 5
    assert measured["sensitivity_irrelevant"] == pytest.approx(norms[following].mean(), rel=1e-5)
