"""SCRUB with and without rewinding, and DELETE: methods whose teacher is the original."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.data.dataset import take
from jax_unlearn.methods.scrub_r import rewind_to
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.testing import small_problem

KEY = jax.random.key(0)
STILL = {"momentum": 0.0, "weight_decay": 0.0, "batch_size": 50}


def forget_loss(problem, variables):
    logits = predict_logits(problem.model, variables, problem.forget.image)
    return float(functional.cross_entropy(logits, problem.forget.label).mean())


def test_scrubs_forget_loss_rises_in_max_epochs_and_in_no_other(lab):
    losses, weights = [], []

    def watch(variables):
        losses.append(forget_loss(lab.problem, variables))
        weights.append(jax.device_get(variables["params"]))
        return {}

    # Without weights of their own the passes over retain rows move nothing.
    method = ju.scrub(
        epochs=3, max_epochs=2, gamma=0.0, alpha=0.0, learning_rate=0.05, augment=False, **STILL
    )
    ju.run(method, lab.problem, KEY, mesh=lab.mesh, watch=watch)
    start, first, second, _ = losses
    assert start < first < second
    chex.assert_trees_all_equal(weights[2], weights[3])


def test_at_the_original_nothing_draws_scrub_back_to_it(lab):
    """Nor away: in eval mode the divergence has no gradient there."""
    method = ju.scrub(epochs=1, max_epochs=1, gamma=0.0, alpha=1.0, train_mode=False, **STILL)
    after = ju.run(method, lab.problem, KEY, mesh=lab.mesh).variables
    chex.assert_trees_all_close(after, lab.problem.variables, rtol=1e-6, atol=1e-7)


def test_an_epoch_shows_the_forget_rows_in_batches_of_their_own_and_then_the_retain_rows(lab):
    method = ju.scrub(batch_size=40, forget_batch_size=7, max_epochs=1)
    pool = method.pool(KEY, lab.problem)
    roles = np.append(np.asarray(pool.role), -1)
    first, second = (np.asarray(method.batch_indices(KEY, epoch, pool)) for epoch in (0, 1))
    forget, retain = (int((roles == role).sum()) for role in (ju.FORGET, ju.RETAIN))
    passes = first[: -(-forget // 7)], first[-(-forget // 7) :]
    for rows, role, count in zip(passes, (ju.FORGET, ju.RETAIN), (forget, retain), strict=True):
        assert set(roles[rows[rows >= 0]]) == {role}
        assert len(set(rows[rows >= 0])) == (rows >= 0).sum() == count
    assert (passes[0][:, 7:] == -1).all()
    assert (second[second >= 0].size, len(second)) == (retain, -(-retain // 40))


@pytest.mark.parametrize("make", [ju.scrub, ju.delete])
def test_what_the_original_says_is_the_same_stored_and_asked_afresh(make, lab):
    problem = dataclasses.replace(lab.problem, augment=None)
    stored, asked = (
        ju.run(
            make(augment=augment, epochs=2, batch_size=20, learning_rate=0.02),
            problem,
            KEY,
            mesh=lab.mesh,
        ).variables
        for augment in (False, True)
    )
    chex.assert_trees_all_close(stored, asked, rtol=1e-4, atol=1e-6)


def test_the_rate_is_lower_from_the_fourth_sixth_and_tenth_epoch_on(step_info):
    course = [
        float(ju.scrub().multiplier(step_info._replace(epoch=jnp.int32(epoch))))
        for epoch in range(10)
    ]
    expected = [1.0] * 3 + [0.1] * 2 + [0.01] * 4 + [0.001]
    np.testing.assert_allclose(course, expected, rtol=1e-6)


# --- Rewinding ---


def test_the_nearest_error_is_chosen_and_the_first_of_equals():
    assert rewind_to([0.0, 30.0, 80.0], 20.0) == 1
    assert rewind_to([10.0, 30.0, 30.0], 20.0) == 0
    assert rewind_to([0.0, 90.0, 40.0, 40.0], 95.0) == 1


def test_a_forget_batch_of_scrub_larger_than_the_forget_set_is_the_forget_set():
    problem = small_problem()
    count = len(problem.forget.label)
    whole, larger = (
        ju.scrub(forget_batch_size=size, batch_size=5) for size in (count, 100 * count)
    )
    pool = whole.pool(KEY, problem)
    orders = [method.batch_indices(KEY, 0, pool) for method in (whole, larger)]
    np.testing.assert_array_equal(*orders)


def test_scrub_r_returns_the_weights_of_the_epoch_that_is_nearest(lab):
    seen = []

    def watch(variables):
        seen.append(jax.device_get(variables))
        return {}

    method = ju.scrub_r(
        epochs=3, max_epochs=3, learning_rate=0.02, forget_batch_size=10, batch_size=50
    )
    outcome = ju.run(method, lab.problem, KEY, mesh=lab.mesh, watch=watch)
    errors = [entry["forget_error"] for entry in outcome.history]
    reference = outcome.history[-1]["validation_error"]
    chosen = int(np.argmin(np.abs(np.array(errors) - reference)))
    assert len(set(errors)) > 1
    chex.assert_trees_all_equal(jax.device_get(outcome.variables), seen[chosen])
    held_out = lab.problem.validation
    validation = take(held_out, np.flatnonzero(held_out.label == 3))
    for variables, entry in zip(seen, outcome.history, strict=True):
        for name, examples in (("forget", lab.problem.forget), ("validation", validation)):
            logits = predict_logits(lab.problem.model, variables, examples.image)
            wrong = 100 * np.mean(logits.argmax(1) != examples.label)
            assert entry[f"{name}_error"] == pytest.approx(wrong)


def test_without_validation_examples_of_the_forget_classes_scrub_r_is_refused(lab):
    held_out = lab.problem.validation
    others = take(held_out, np.flatnonzero(held_out.label != 3))
    for validation, message in (
        (None, r"^validation=None: SCRUB\+R needs validation examples; hold"),
        (others, "^validation: none of its examples is of a class of the forget set"),
    ):
        problem = dataclasses.replace(lab.problem, validation=validation)
        with pytest.raises(ju.InputError, match=message):
            ju.run(ju.scrub_r(batch_size=50), problem, KEY, mesh=lab.mesh)


# --- DELETE ---


def test_deletes_target_is_zero_on_the_true_class_and_keeps_the_others_proportions():
    logits = jax.random.normal(KEY, (6, 5))
    labels = jnp.array([0, 1, 2, 3, 4, 2])
    target = np.asarray(jax.nn.softmax(functional.without_class(logits, labels)))
    before = np.asarray(jax.nn.softmax(logits))
    rows = np.arange(6)
    assert (target[rows, labels] == 0).all()
    np.testing.assert_allclose(target.sum(1), 1, rtol=1e-6)
    expected = before / (1 - before[rows, labels])[:, None]
    expected[rows, labels] = 0
    np.testing.assert_allclose(target, expected, rtol=1e-5)


def test_delete_ends_at_what_the_original_takes_a_forget_image_for_next(lab):
    method = ju.delete(epochs=60, learning_rate=0.05, batch_size=29, augment=False)
    problem = dataclasses.replace(lab.problem, retain=None)
    after = ju.run(method, problem, KEY, mesh=lab.mesh).variables
    images, labels = lab.problem.forget.image, lab.problem.forget.label
    ours = predict_logits(problem.model, after, images).argmax(1)
    original = predict_logits(problem.model, problem.variables, images)
    original[np.arange(len(labels)), labels] = -np.inf
    assert np.mean(ours == original.argmax(1)) > 0.9
