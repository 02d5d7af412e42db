"""MU-Mis: its loss and steps in closed form, its stop rule, and its collapses."""

import dataclasses
import math
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stepping import one_update

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import InputError
from jax_unlearn.functional.sensitivity import DIFFERENTIATIONS

RATE = 0.01

pytestmark = pytest.mark.filterwarnings("ignore:sensitivity_ratio=")
"""The networks here are trained for seconds, and hard for MU-Mis; one test asks for the warning."""


def one_step(unlearner, problem, batch, step_info, key):
    state = unlearner.init(key, problem)
    return one_update(unlearner, problem.model, state, batch, step_info._replace(key=key))


def closed_form(weight, label, irrelevant, terms):
    """Loss mean(|w_c|^2 - |w_c'|^2) and its gradient, for a linear model's weight [pixels, K]."""
    a, b = {"both": (1, -1), "target": (1, 0), "irrelevant": (0, -1)}[terms]
    norms = (weight**2).sum(0)
    loss = np.mean(a * norms[label] + b * norms[irrelevant])
    share = a * np.bincount(label, minlength=5) + b * np.bincount(irrelevant, minlength=5)
    return loss, 2 * weight * share[None] / len(label)


def first_target(problem):
    """The original's mean sensitivity of the label, for a linear model."""
    norms = (np.asarray(problem.variables["weight"], np.float64) ** 2).sum(0)
    return norms[problem.forget.label].mean()


@pytest.mark.parametrize("differentiate", DIFFERENTIATIONS)
@pytest.mark.parametrize("terms", ["both", "target", "irrelevant"])
@pytest.mark.parametrize("body_rate", [1.0, 0.0])
def test_a_step_on_a_linear_model_is_the_closed_form_over_its_first_target_term(
    body_rate, terms, differentiate, linear_problem, batch_of, step_info
):
    key = jax.random.key(5)
    batch = batch_of(linear_problem.forget)
    unlearner = ju.mumis(
        learning_rate=RATE, terms=terms, differentiate=differentiate, body_rate=body_rate
    )
    state, info = one_step(unlearner, linear_problem, batch, step_info, key)
    irrelevant = np.asarray(functional.draw_irrelevant(key, batch.label, 5))
    weight = np.asarray(linear_problem.variables["weight"], np.float64)
    loss, gradient = closed_form(weight, np.asarray(batch.label), irrelevant, terms)
    unit = first_target(linear_problem)
    loss, gradient = loss / unit, gradient / unit
    assert float(info["loss"]) == pytest.approx(loss, rel=1e-5, abs=1e-6)
    norms = (weight**2).sum(0)[np.asarray(batch.label)]
    assert float(info["sensitivity_label"]) == pytest.approx(norms.mean() / unit, rel=1e-5)
    np.testing.assert_allclose(state.variables["weight"], weight - RATE * gradient, rtol=1e-5)
    np.testing.assert_array_equal(state.variables["bias"], linear_problem.variables["bias"])


def test_momentum_is_that_of_a_heavy_ball(linear_problem, batch_of, step_info):
    unlearner = ju.mumis(learning_rate=RATE, momentum=0.5, terms="target")
    batch = batch_of(linear_problem.forget)
    state = unlearner.init(jax.random.key(0), linear_problem)
    expected = np.asarray(linear_problem.variables["weight"], np.float64)
    velocity = 0
    for _ in range(3):
        state, _ = one_update(unlearner, linear_problem.model, state, batch, step_info)
        label = np.asarray(batch.label)
        gradient = closed_form(expected, label, label, "target")[1] / first_target(linear_problem)
        velocity = 0.5 * velocity + gradient
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


def measured(problem, **arguments):
    unlearner = ju.mumis(**arguments)
    state = unlearner.init(jax.random.key(0), problem)
    return unlearner.measure(problem.model, state, problem)


def test_the_rule_reads_the_mean_over_all_other_classes_by_the_originals_label(linear_problem):
    found = measured(linear_problem, batch_size=5, stop_classes="all", check_examples=0)
    norms = (np.asarray(linear_problem.variables["weight"], np.float64) ** 2).sum(0)
    label = linear_problem.forget.label
    others = np.mean([(norms.sum() - norms[k]) / 4 for k in label])
    unit = first_target(linear_problem)
    assert found["sensitivity_irrelevant"] == pytest.approx(others / unit, rel=1e-5)
    assert found["sensitivity_ratio"] == pytest.approx(unit / others, rel=1e-5)


def test_the_rule_reads_one_other_class_of_evenly_spaced_examples(linear_problem):
    norms = (np.asarray(linear_problem.variables["weight"], np.float64) ** 2).sum(0)
    for count, rows in ((3, [0, 5, 11]), (0, range(12)), (50, range(12))):
        found = measured(linear_problem, check_examples=count, batch_size=5)
        label = linear_problem.forget.label[list(rows)]
        others = norms[(label + 1 + np.arange(len(label)) % 4) % 5].mean()
        expected = others / first_target(linear_problem)
        assert found["sensitivity_irrelevant"] == pytest.approx(expected, rel=1e-5)


def test_of_many_classes_the_original_is_measured_by_a_thousand_pairs():
    # 500 examples of 11 classes have 5000 pairs: two other classes of each are read.
    rng = np.random.default_rng(0)
    label = rng.integers(0, 11, 500).astype(np.int32)
    images = rng.integers(0, 256, (500, 2, 2, 1), np.uint8)
    weight = rng.normal(size=(4, 11))

    def apply(variables, images, *, train):
        del train
        return images.reshape(len(images), -1) @ variables["weight"], variables

    problem = ju.Problem(
        model=ju.Model(lambda key: {"weight": jnp.asarray(weight, jnp.float32)}, apply, "linear"),
        variables={"weight": jnp.asarray(weight, jnp.float32)},
        forget=ju.Examples(images, label, np.arange(500)),
        retain=None,
        num_classes=11,
    )
    norms = (weight**2).sum(0)
    extra = ju.mumis().init(jax.random.key(0), problem).extra
    classes = np.asarray(functional.other_classes(label, 11, 2))
    assert classes.shape == (500, 2)
    assert float(extra["of_label"]) == pytest.approx(norms[label].mean(), rel=1e-5)
    assert float(extra["of_irrelevant"]) == pytest.approx(norms[classes].mean(), rel=1e-5)
    # Near the mean over all pairs: each class serves as often.
    every = np.mean([(norms.sum() - norms[k]) / 10 for k in label])
    assert float(extra["of_irrelevant"]) == pytest.approx(every, rel=0.02)


def linear_on_large_images(num_classes: int) -> tuple[ju.Problem, np.ndarray]:
    """Three images of 256x256, and of the linear network's weights each class's squared norm."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(256 * 256, num_classes))
    start = {"weight": jnp.asarray(weight, jnp.float32)}

    def apply(variables, images, *, train):
        del train
        return images.reshape(len(images), -1) @ variables["weight"], variables

    problem = ju.Problem(
        model=ju.Model(lambda key: start, apply, "linear"),
        variables=start,
        forget=ju.Examples(
            rng.integers(0, 256, (3, 256, 256, 1), np.uint8), np.int32([0, 5, 9]), np.arange(3)
        ),
        retain=None,
        num_classes=num_classes,
    )
    return problem, (weight**2).sum(0)


def test_many_classes_of_large_images_are_read_in_parts(monkeypatch):
    problem, norms = linear_on_large_images(num_classes=40)
    rows = []
    read = functional.class_sensitivities

    def counted(logits_fn, images, classes, *, at_once):
        rows.append(len(images) * min(at_once, classes.shape[1]))
        return read(logits_fn, images, classes, at_once=at_once)

    monkeypatch.setattr(functional, "class_sensitivities", counted)
    found = measured(problem, batch_size=8, stop_classes="all", check_examples=0)
    assert set(rows) == {16}
    label = problem.forget.label
    others = np.mean([(norms.sum() - norms[k]) / 39 for k in label])
    unit = norms[label].mean()
    assert found["sensitivity_irrelevant"] == pytest.approx(others / unit, rel=1e-4)
    assert found["sensitivity_ratio"] == pytest.approx(unit / others, rel=1e-4)


def test_what_it_carries_is_known_without_looking_at_numbers():
    problem, _ = linear_on_large_images(num_classes=40)
    method, key = ju.mumis(batch_size=8), jax.random.key(0)

    def init(variables):
        return method.init(key, dataclasses.replace(problem, variables=variables))

    shapes = jax.eval_shape(init, jax.eval_shape(problem.model.init, key))
    state = method.init(key, problem)
    assert jax.tree.structure(shapes) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(shapes)] == [
        (x.shape, x.dtype) for x in jax.tree.leaves(state)
    ]


# --- No units. ---


def rescaled(problem, *, logits=1.0, pixels=1.0):
    """The same network, of which the logits or the pixels that it sees are in another unit."""
    apply = problem.model.apply

    def changed(variables, images, *, train, **more):
        found, variables = apply(variables, pixels * images, train=train, **more)
        return logits * found, variables

    model = ju.Model(problem.model.init, changed, "rescaled")
    return dataclasses.replace(problem, model=model)


@pytest.mark.parametrize("body_rate", [1.0, 0.1])
@pytest.mark.parametrize(
    ("change", "method"),
    [
        ({"logits": 1000.0}, {}),
        ({"logits": 1e-3}, {"differentiate": "reverse"}),
        ({}, {"input_scale": 1e-3}),
        ({}, {"input_scale": 1000.0}),
    ],
)
def test_the_scale_of_logits_or_pixels_changes_no_trajectory(change, method, body_rate, lab):
    base = {"batch_size": 20, "learning_rate": 1e-3, "body_rate": body_rate, "max_steps": 12}
    plain, scaled = (
        ju.run(ju.mumis(**base, **more), problem, jax.random.key(0), mesh=lab.mesh)
        for problem, more in ((lab.problem, {}), (rescaled(lab.problem, **change), method))
    )
    assert (plain.status, plain.steps) == (scaled.status, scaled.steps)
    for one, other in zip(plain.history, scaled.history, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    moved = jax.tree.map(lambda a, b: a - b, plain.variables, lab.problem.variables)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(moved)) > 1e-2
    chex.assert_trees_all_close(plain.variables, scaled.variables, rtol=1e-4, atol=2e-5)


def test_a_network_that_sees_its_pixels_in_another_unit_takes_the_same_steps(lab):
    # Its gradients in the pixels are ten times as large; the images that it is shown a tenth.
    problem = rescaled(lab.problem, pixels=10.0)
    model = problem.model
    apply = model.apply

    def shrunk(variables, images, **more):
        return apply(variables, images / 10, **more)

    problem = dataclasses.replace(problem, model=ju.Model(model.init, shrunk, "shrunk"))
    method = ju.mumis(batch_size=20, learning_rate=1e-3, max_steps=6)
    plain, other = (
        ju.run(method, p, jax.random.key(0), mesh=lab.mesh) for p in (lab.problem, problem)
    )
    chex.assert_trees_all_close(plain.variables, other.variables, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("scale", [0.5, (0.5,)])
def test_in_units_of_half_the_pixel_range_squared_gradients_are_a_quarter(scale, linear_problem):
    one, half = (
        ju.mumis(input_scale=unit).init(jax.random.key(0), linear_problem).extra
        for unit in (1.0, scale)
    )
    for name in ("of_label", "of_irrelevant"):
        assert float(half[name]) == pytest.approx(float(one[name]) / 4, rel=1e-5)


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


# --- The stop rule, on courses of norms written by hand. ---


def looks(norms, accuracy=100.0):
    """A history as the method writes it: sensitivities are squared norms."""
    return [{"sensitivity_irrelevant": norm**2, "checked_accuracy": accuracy} for norm in norms]


@pytest.mark.parametrize(
    ("course", "stops"),
    [
        ([1.0], False),
        ([1.0, 0.8, 0.5], False),
        ([1.0, 0.8, 1.4], False),
        ([1.0, 0.8, 1.51], True),
        ([2.0, 2.4, 3.2], True),
        ([1.0, 1.0], False),
        ([1.0, 2.0, 1.4], False),
    ],
)
def test_the_rule_stops_above_the_minimum_once_norms_reach_the_ratio(course, stops):
    assert ju.mumis(stop_ratio=1.5).stop(looks(course), None) == stops


@pytest.mark.parametrize(("course", "stops"), [([1.0, 0.6], False), ([1.0, 0.6, 0.7], True)])
def test_with_a_ratio_below_one_the_rule_still_waits_for_the_rise(course, stops):
    assert ju.mumis(stop_ratio=0.5).stop(looks(course), None) == stops


@pytest.mark.parametrize(("accuracy", "stops"), [(5.1, False), (5.0, True), (0.0, True)])
def test_a_forget_accuracy_may_end_the_run_too(accuracy, stops):
    history = looks([1.0, 0.9], accuracy)
    assert ju.mumis(stop_accuracy=5.0).stop(history, None) == stops
    assert not ju.mumis().stop(history, None)


def test_a_run_stops_by_the_rule_at_a_look(lab):
    unlearner = ju.mumis(
        batch_size=20, check_every=4, max_steps=400, learning_rate=3e-3, stop_ratio=1.2
    )
    outcome = ju.run(unlearner, lab.problem, jax.random.key(0), mesh=lab.mesh)
    course = [entry["sensitivity_irrelevant"] ** 0.5 for entry in outcome.history]
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


@pytest.mark.parametrize("method", [ju.mumis(), ju.mumis_last_layer()])
def test_a_report_says_in_words_what_the_method_cannot_do(method, lab):
    for status in ("finished", "stopped"):
        assert "does not work on samples of every class" in method.note(status, lab.random)
    assert method.note("finished", lab.problem) == "ended at the step limit"
    for problem in (lab.problem, lab.random):
        assert method.note("collapsed", problem) == ""
    kept = "kept the original's features" in method.note("stopped", lab.problem)
    assert kept == (method.body_rate == 0)


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


# --- The last layer alone, and originals that are hard. ---


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_body_rate_multiplies_the_gradient_outside_the_last_layer_before_momentum(momentum, lab):
    """Against momentum written out over gradients of the plain method."""
    fields = {"batch_size": 20, "learning_rate": 1e-3, "momentum": momentum, "max_steps": 3}
    fields |= {"weight_decay": 0.1, "stop_ratio": 9.0}
    method = ju.mumis(body_rate=0.25, **fields)
    state = method.init(jax.random.key(0), lab.problem)
    plain = ju.mumis(**{**fields, "momentum": 0.0, "learning_rate": 1.0, "body_rate": 1.0})
    params = state.variables["params"]
    velocity = jax.tree.map(jnp.zeros_like, params)
    pool = method.pool(jax.random.key(0), lab.problem)
    image = jnp.asarray(pool.image[:20], jnp.float32) / 255
    batch = ju.Batch(image, jnp.asarray(pool.label[:20]), jnp.ones(20, jnp.int32), jnp.ones(20))
    for step in range(3):
        info = ju.StepInfo(*(jnp.int32(n) for n in (step, 3, 0, 1)), jax.random.key(step))
        at = plain.init(jax.random.key(0), lab.problem)
        at = at._replace(variables={**state.variables, "params": params})
        after, _ = one_update(plain, lab.problem.model, at, batch, info)
        gradient = jax.tree.map(lambda a, b: a - b, params, after.variables["params"])
        gradient["first"] = jax.tree.map(lambda g: 0.25 * g, gradient["first"])
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, gradient)
        params = jax.tree.map(lambda p, v: p - 1e-3 * v, params, velocity)
        state, _ = one_update(method, lab.problem.model, state, batch, info)
    chex.assert_trees_all_close(state.variables["params"], params, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_last_layers_method_leaves_every_other_bit_alone(optimizer, lab):
    method = ju.mumis_last_layer(
        batch_size=20, max_steps=4, weight_decay=0.1, learning_rate=1e-2, optimizer=optimizer
    )
    before = lab.problem.variables["params"]
    after = ju.run(method, lab.problem, jax.random.key(0), mesh=lab.mesh).variables["params"]
    chex.assert_trees_all_equal(jax.device_get(after["first"]), jax.device_get(before["first"]))
    for name, leaf in after["second"].items():
        assert np.any(np.asarray(leaf) != np.asarray(before["second"][name])), name


def test_at_one_rate_for_all_weights_the_last_layer_need_not_be_known(lab):
    fields = {"batch_size": 20, "max_steps": 4, "learning_rate": 1e-3, "body_rate": 1.0}
    named, plain = (
        ju.run(ju.mumis(**fields, **more), lab.problem, jax.random.key(0), mesh=lab.mesh)
        for more in ({"last_layer": "nothing"}, {})
    )
    chex.assert_trees_all_equal(named.variables, plain.variables)


@pytest.mark.filterwarnings("default:sensitivity_ratio=")
def test_an_original_whose_label_does_not_stand_out_is_called_hard(linear_problem):
    weight = np.ones((4, 5), np.float32)
    problem = dataclasses.replace(
        linear_problem, variables={"weight": jnp.asarray(weight), "bias": jnp.zeros(5)}
    )
    for body_rate, needed in ((0.03, "1.5"), (1.0, "4")):
        told = rf"^sensitivity_ratio=1: this original is hard .* at least {needed} at body[^\n]*$"
        with pytest.warns(UserWarning, match=told):
            ju.mumis(body_rate=body_rate).init(jax.random.key(0), problem)
    easy = problem.forget._replace(label=np.zeros(12, np.int32))
    weight[:, 0] *= 3
    variables = {"weight": jnp.asarray(weight), "bias": jnp.zeros(5)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ju.mumis_last_layer().init(jax.random.key(0), problem)
        problem = dataclasses.replace(problem, forget=easy, variables=variables)
        state = ju.mumis(body_rate=1.0).init(jax.random.key(0), problem)
        measured = ju.mumis().measure(problem.model, state, problem)
    assert measured["sensitivity_ratio"] == pytest.approx(9, rel=1e-5)
