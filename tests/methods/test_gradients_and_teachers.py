"""Gradient ascent, NegGrad+, fine-tuning, retraining and Bad Teacher."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from stepping import one_update

import jax_unlearn as ju
from jax_unlearn import functional

KEY = jax.random.key(0)


def mean_loss(problem, variables, examples):
    return float(
        _mean_loss(problem.model, variables, np.float32(examples.image) / 255, examples.label)
    )


@functools.partial(jax.jit, static_argnames="model")
def _mean_loss(model, variables, image, label):
    return jnp.mean(functional.cross_entropy(model.logits(variables, image), label))


def step_with(unlearner, problem, batch, step_info, key=KEY):
    state = unlearner.init(key, problem)
    return one_update(unlearner, problem.model, state, batch, step_info._replace(key=key))


def both(batch_of, problem):
    """A batch of ten retain rows and ten forget rows."""
    parts = batch_of(problem.retain, ju.RETAIN, 10), batch_of(problem.forget, ju.FORGET, 10)
    return jax.tree.map(lambda *fields: jnp.concatenate(fields), *parts)


# --- Gradient ascent ---


def test_gradient_ascent_raises_the_loss_on_the_forget_set(lab):
    unlearner = ju.gradient_ascent(batch_size=10, epochs=2, learning_rate=1e-3)
    outcome = ju.run(unlearner, lab.problem, KEY, mesh=lab.mesh)
    before = mean_loss(lab.problem, lab.problem.variables, lab.problem.forget)
    after = mean_loss(lab.problem, jax.device_get(outcome.variables), lab.problem.forget)
    assert after > 2 * before


def test_gradient_ascent_takes_the_opposite_step_of_descent(lab, batch_of, step_info):
    settings = {"learning_rate": 0.01, "weight_decay": 0.0, "batch_size": 20}
    batch = batch_of(lab.problem.forget)
    up, _ = step_with(ju.gradient_ascent(**settings), lab.problem, batch, step_info)
    down, _ = step_with(ju.finetune(**settings), lab.problem, batch, step_info)
    middle = jax.tree.map(
        lambda a, b: (a + b) / 2, up.variables["params"], down.variables["params"]
    )
    chex.assert_trees_all_close(middle, lab.problem.variables["params"], atol=1e-6)


def test_gradient_ascent_shows_the_forget_rows_alone(lab):
    pool = ju.gradient_ascent().pool(KEY, lab.problem)
    np.testing.assert_array_equal(pool.image, lab.problem.forget.image)
    np.testing.assert_array_equal(pool.label, lab.problem.forget.label)


def test_a_clipped_gradient_keeps_its_direction_and_has_the_norm_that_is_allowed(
    lab, batch_of, step_info
):
    settings = {"learning_rate": 1.0, "weight_decay": 0.0, "batch_size": 20, "train_mode": False}
    batch = batch_of(lab.problem.retain)
    start = lab.problem.variables["params"]
    moves = []
    for max_norm in (None, 1e-3, 1e3):
        unlearner = ju.gradient_ascent(max_norm=max_norm, **settings)
        state, _ = step_with(unlearner, lab.problem, batch, step_info)
        moves.append(jax.tree.map(lambda a, b: a - b, state.variables["params"], start))
    free, clipped, untouched = moves
    assert float(optax.tree.norm(free)) > 1e-2
    assert float(optax.tree.norm(clipped)) == pytest.approx(1e-3, rel=1e-3)
    scale = 1e-3 / float(optax.tree.norm(free))
    chex.assert_trees_all_close(clipped, jax.tree.map(lambda x: scale * x, free), atol=3e-7)
    chex.assert_trees_all_equal(free, untouched)


# --- NegGrad+ and UGradSL ---


def test_at_alpha_one_neggrad_plus_descends_on_the_retain_rows_alone(lab, batch_of, step_info):
    settings = {"learning_rate": 0.01, "train_mode": False}
    batch = both(batch_of, lab.problem)
    pair, _ = step_with(ju.neggrad_plus(alpha=1.0, **settings), lab.problem, batch, step_info)
    alone = batch_of(lab.problem.retain, ju.RETAIN, 10)
    tuned, _ = step_with(ju.finetune(**settings), lab.problem, alone, step_info)
    chex.assert_trees_all_close(pair.variables, tuned.variables, rtol=1e-5, atol=1e-7)


def test_at_alpha_zero_neggrad_plus_is_gradient_ascent(lab, batch_of, step_info):
    settings = {"learning_rate": 0.01, "train_mode": False}
    batch = both(batch_of, lab.problem)
    pair, _ = step_with(ju.neggrad_plus(alpha=0.0, **settings), lab.problem, batch, step_info)
    alone = batch_of(lab.problem.forget, ju.FORGET, 10)
    risen, _ = step_with(ju.gradient_ascent(**settings), lab.problem, alone, step_info)
    chex.assert_trees_all_close(pair.variables, risen.variables, rtol=1e-5, atol=1e-7)


def test_the_loss_of_neggrad_plus_is_the_weighted_difference(lab, batch_of, step_info):
    batch = both(batch_of, lab.problem)
    _, info = step_with(ju.neggrad_plus(alpha=0.7, train_mode=False), lab.problem, batch, step_info)
    retain = mean_loss(
        lab.problem, lab.problem.variables, jax.tree.map(lambda x: x[:10], lab.problem.retain)
    )
    forget = mean_loss(
        lab.problem, lab.problem.variables, jax.tree.map(lambda x: x[:10], lab.problem.forget)
    )
    assert float(info["loss"]) == pytest.approx(0.7 * retain - 0.3 * forget, rel=1e-4, abs=1e-6)


def test_neggrad_plus_pairs_each_retain_batch_with_a_forget_batch_going_round(lab):
    unlearner = ju.neggrad_plus(batch_size=10)
    pool = unlearner.pool(KEY, lab.problem)
    rows = np.asarray(unlearner.batch_indices(KEY, 0, pool))
    role = np.asarray(pool.role)
    retain, forget = rows[:, ::2], rows[:, 1::2]
    count, forgotten = len(lab.problem.retain.label), len(lab.problem.forget.label)
    assert rows.shape == (-(-count // 10), 20)
    assert sorted(retain[retain >= 0]) == list(np.flatnonzero(role == ju.RETAIN))
    assert np.all(role[forget[forget >= 0]] == ju.FORGET)
    per_pass = -(-forgotten // 10)
    for start in range(0, len(rows) - per_pass + 1, per_pass):
        shown = forget[start : start + per_pass]
        assert sorted(shown[shown >= 0]) == list(np.flatnonzero(role == ju.FORGET))


def test_separate_passes_have_statistics_of_their_own_and_both_move_the_running_ones(
    lab, batch_of, step_info
):
    """Against the network's own passes, one after the other."""
    problem = lab.problem
    parts = batch_of(problem.retain, ju.RETAIN, 10), batch_of(problem.forget, ju.FORGET, 10)
    rows = jax.tree.map(lambda a, b: jnp.stack([a, b], 1).reshape(20, *a.shape[1:]), *parts)
    # What fills up a batch for the number of devices.
    padding = jax.tree.map(lambda x: x[:3], rows)._replace(weight=jnp.zeros(3))
    rows = jax.tree.map(lambda *x: jnp.concatenate(x), rows, padding)
    unlearner = ju.neggrad_plus(batch_size=10, alpha=0.7)
    state, info = step_with(unlearner, problem, rows, step_info)
    variables, losses = problem.variables, []
    for part in parts:
        logits, variables = problem.model.apply(variables, part.image, train=True)
        losses.append(float(jnp.mean(functional.cross_entropy(logits, part.label))))
    assert float(info["loss"]) == pytest.approx(0.7 * losses[0] - 0.3 * losses[1], rel=1e-5)
    chex.assert_trees_all_close(
        state.variables["batch_stats"], variables["batch_stats"], rtol=1e-5, atol=1e-6
    )


def test_ugradsl_without_smoothing_is_neggrad_plus(lab, batch_of, step_info):
    batch = both(batch_of, lab.problem)
    settings = {"passes": "joint", "train_mode": True, "learning_rate": 0.01}
    ways = (
        ju.ugradsl_plus(smoothing=0.0, retain_weight=0.7, **settings),
        ju.neggrad_plus(alpha=0.7, **settings),
    )
    states = [step_with(way, lab.problem, batch, step_info)[0].variables for way in ways]
    chex.assert_trees_all_close(*states, rtol=1e-6, atol=1e-7)


def test_ugradsl_takes_as_many_steps_as_the_forget_set_has_batches(lab):
    pool = ju.ugradsl().pool(KEY, lab.problem)
    role = np.asarray(pool.role)
    counts = {}
    for name, paced_by in (("ugradsl", ju.FORGET), ("ugradsl_plus", ju.RETAIN)):
        unlearner = ju.METHODS[name](batch_size=10)
        rows = np.asarray(unlearner.batch_indices(KEY, 0, pool))
        assert rows.shape == (-(-np.sum(role == paced_by) // 10), 20)
        counts[name] = len(rows)
        for column, expected in ((0, ju.RETAIN), (1, ju.FORGET)):
            shown = rows[:, column::2]
            assert np.all(role[shown[shown >= 0]] == expected)
    assert counts["ugradsl"] < counts["ugradsl_plus"]
    first, second = (np.asarray(ju.ugradsl().batch_indices(KEY, e, pool)) for e in (0, 1))
    assert set(first[first >= 0]) != set(second[second >= 0])


# --- l1-sparse ---


def test_l1_sparse_without_a_penalty_is_finetuning(lab, batch_of, step_info):
    batch = batch_of(lab.problem.retain, ju.RETAIN, 20)
    ways = (ju.l1_sparse(alpha=0.0), ju.finetune(), ju.l1_sparse(alpha=0.5, no_l1_epochs=2))
    states = [step_with(way, lab.problem, batch, step_info)[0].variables for way in ways]
    chex.assert_trees_all_equal(*states)


@pytest.mark.parametrize(("epoch", "no_l1_epochs", "share"), [(0, 0, 1), (1, 0, 0.5), (1, 1, 0)])
def test_the_penalty_moves_every_weight_towards_zero_by_the_same_amount(
    epoch, no_l1_epochs, share, lab, batch_of, step_info
):
    info = step_info._replace(epoch=jnp.int32(epoch))
    batch = batch_of(lab.problem.retain, ju.RETAIN, 20)
    ways = (
        ju.l1_sparse(alpha=0.01, no_l1_epochs=no_l1_epochs, learning_rate=0.1),
        ju.finetune(learning_rate=0.1),
    )
    sparse, tuned = (
        step_with(way, lab.problem, batch, info)[0].variables["params"] for way in ways
    )
    start = lab.problem.variables["params"]
    expected = jax.tree.map(lambda p, s: p - 0.1 * 0.01 * share * jnp.sign(s), tuned, start)
    chex.assert_trees_all_close(sparse, expected, atol=1e-6)


# --- Fine-tuning and retraining ---


def test_finetuning_lowers_the_loss_on_the_retain_set(linear_problem):
    unlearner = ju.finetune(batch_size=20, epochs=3, learning_rate=0.1)
    outcome = ju.run(unlearner, linear_problem, KEY, mesh=ju.make_mesh(1))
    retain = linear_problem.retain
    before = mean_loss(linear_problem, linear_problem.variables, retain)
    assert mean_loss(linear_problem, jax.device_get(outcome.variables), retain) < before


@pytest.mark.parametrize("method", [ju.finetune, ju.retrain])
def test_the_forget_set_is_never_shown(method, lab):
    pool = method().pool(KEY, lab.problem)
    np.testing.assert_array_equal(pool.image, lab.problem.retain.image)
    np.testing.assert_array_equal(pool.label, lab.problem.retain.label)


def test_retraining_starts_from_the_originals_initial_weights(lab):
    state = ju.retrain().init(KEY, lab.problem)
    chex.assert_trees_all_equal(state.variables, lab.problem.initial)
    fresh = ju.retrain().init(KEY, dataclasses.replace(lab.problem, initial=None))
    kernels = [s.variables["params"]["first"]["kernel"] for s in (state, fresh)]
    assert np.all(np.asarray(kernels[0] != kernels[1]))


def test_retraining_is_training_on_the_retain_set(lab):
    recipe = ju.retrain(epochs=2, batch_size=50, learning_rate=0.05)
    problem = lab.problem
    trained = ju.train(
        recipe,
        problem.model,
        problem.retain,
        KEY,
        num_classes=10,
        initial=problem.initial,
        augment=problem.augment,
        mesh=lab.mesh,
    )
    run_key = jax.random.split(KEY)[1]
    retrained = ju.run(recipe, problem, run_key, mesh=lab.mesh)
    chex.assert_trees_all_equal(trained.variables, retrained.variables)


# --- Bad Teacher ---


def test_the_loss_and_the_step_are_zero_where_student_and_teacher_agree(lab, batch_of, step_info):
    unlearner = ju.bad_teacher(train_mode=False, optimizer="sgd", learning_rate=1.0, augment=True)
    batch = batch_of(lab.problem.retain, ju.RETAIN, 20)
    state, info = step_with(unlearner, lab.problem, batch, step_info)
    assert float(info["loss"]) == 0
    chex.assert_trees_all_equal(state.variables, lab.problem.variables)


def test_forget_rows_follow_the_random_network(lab, batch_of, step_info):
    unlearner = ju.bad_teacher(
        train_mode=False, optimizer="sgd", learning_rate=0.0, temperature=2.0, augment=True
    )
    batch = both(batch_of, lab.problem)
    state, info = step_with(unlearner, lab.problem, batch, step_info)
    model = lab.problem.model
    student = model.logits(lab.problem.variables, batch.image)
    bad = model.logits(state.extra["bad"], batch.image)
    p, q = (np.asarray(jax.nn.softmax(x / 2.0), np.float64) for x in (bad, student))
    divergence = (p * np.log(p / q)).sum(1)
    # Retain rows add nothing: there the student still is its teacher.
    assert float(info["loss"]) == pytest.approx(divergence[10:].sum() / 20, rel=1e-4)


def test_averaging_over_classes_too_divides_by_their_number(lab, batch_of, step_info):
    batch = batch_of(lab.problem.forget)
    losses = [
        float(
            step_with(
                ju.bad_teacher(reduction=reduction, train_mode=False, augment=True),
                lab.problem,
                batch,
                step_info,
            )[1]["loss"]
        )
        for reduction in ("batch", "batch_and_classes")
    ]
    assert losses[0] == pytest.approx(10 * losses[1], rel=1e-5)


def test_the_teachers_are_the_original_and_a_fresh_network_and_stay_so(lab, batch_of, step_info):
    unlearner = ju.bad_teacher(reinit_linear=True, augment=True)
    before = unlearner.init(KEY, lab.problem)
    chex.assert_trees_all_equal(before.extra["good"], lab.problem.variables)
    after, _ = step_with(unlearner, lab.problem, both(batch_of, lab.problem), step_info)
    chex.assert_trees_all_equal(after.extra, before.extra)
    kernels = [before.extra[name]["params"]["first"]["kernel"] for name in ("good", "bad")]
    assert np.all(np.asarray(kernels[0] != kernels[1]))


def test_targets_laid_out_once_teach_what_the_teachers_say_at_every_step(lab):
    """One network of fixed weights as the random teacher, so that both ways have the same one."""
    fixed = dataclasses.replace(
        lab.problem.model, init=lambda key: lab.problem.model.init(jax.random.key(9))
    )
    problem = dataclasses.replace(lab.problem, model=fixed, augment=None)
    settings = {"epochs": 2, "batch_size": 50, "learning_rate": 0.01, "optimizer": "sgd"}
    ways = [ju.bad_teacher(augment=way, **settings) for way in (False, True)]
    pool = ways[0].pool(KEY, problem)
    assert pool.extra["teacher"].shape == (len(pool.label), 10)
    assert ways[1].pool(KEY, problem).extra == {}
    once, every_step = (ju.run(way, problem, KEY, mesh=lab.mesh) for way in ways)
    chex.assert_trees_all_close(once.variables, every_step.variables, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_a_share_of_the_retain_set_is_shown_drawn_without_repetition(fraction, lab):
    pool = ju.bad_teacher(retain_fraction=fraction).pool(KEY, lab.problem)
    role = np.asarray(pool.role)
    count = len(lab.problem.retain.label)
    assert (role == ju.RETAIN).sum() == round(fraction * count)
    assert (role == ju.FORGET).sum() == len(lab.problem.forget.label)
    images = {image.tobytes() for image in lab.problem.retain.image}
    shown = [image.tobytes() for image in np.asarray(pool.image)[role == ju.RETAIN]]
    assert set(shown) <= images
    assert len(set(shown)) >= len(shown) - (count - len(images))
