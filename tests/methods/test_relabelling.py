"""Random labels, amnesiac unlearning and SalUn: their labels, their streams and the mask."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stepping import one_update

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.sharding import replicated, shard

KEY = jax.random.key(0)
SGD = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 0.05, "batch_size": 50}


def changed_and_mask(unlearner, problem, mesh):
    """Which parameters a run changed, and which the mask let change."""
    outcome = ju.run(unlearner, problem, KEY, mesh=mesh)
    mask = unlearner.extra(KEY, problem)
    pairs = zip(
        jax.tree.leaves(outcome.variables["params"]),
        jax.tree.leaves(problem.variables["params"]),
        strict=True,
    )
    changed = np.concatenate([np.ravel(np.asarray(a) != np.asarray(b)) for a, b in pairs])
    return changed, np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(mask)])


def test_amnesiac_labels_are_never_the_true_class_and_cover_all_others(lab):
    pool = ju.amnesiac().pool(KEY, lab.problem)
    forget = np.asarray(pool.role) == ju.FORGET
    labels = np.asarray(pool.label)[forget]
    assert len(labels) == len(lab.problem.forget.label)
    assert sorted(set(labels)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    np.testing.assert_array_equal(np.asarray(pool.label)[~forget], lab.problem.retain.label)
    np.testing.assert_array_equal(np.asarray(pool.image)[forget], lab.problem.forget.image)


def test_amnesiac_labels_are_drawn_once(lab, batch_of, step_info):
    """Two steps with different keys see the same labels; RL's steps do not."""
    batch = batch_of(lab.problem.forget)
    infos = {}
    for relabel in ("once", "every_step"):
        unlearner = ju.amnesiac(relabel=relabel, labels="any")
        state = unlearner.init(KEY, lab.problem)
        infos[relabel] = {
            float(
                one_update(
                    unlearner,
                    lab.problem.model,
                    state,
                    batch,
                    step_info._replace(key=jax.random.key(k)),
                )[1]["loss"]
            )
            for k in range(3)
        }
    assert len(infos["once"]) == 1
    assert len(infos["every_step"]) == 3


@pytest.mark.parametrize(("labels", "hit"), [("any", 0.2), ("wrong", 0.0)])
def test_fresh_labels_may_be_the_true_class_or_not_and_leave_retain_rows_alone(
    labels, hit, linear_problem, step_info
):
    """The logits are the one-hot image, so that the mean loss counts how often a label is hit."""
    rows = 4000
    image = jnp.zeros((rows, 2, 2, 1))
    far = {"weight": jnp.zeros((4, 5)), "bias": jnp.array([50.0, 0, 0, 0, 0])}
    unlearner = ju.random_label(labels=labels)
    state = unlearner.init(KEY, dataclasses.replace(linear_problem, variables=far))
    pool = unlearner.pool(KEY, linear_problem)
    assert set(pool.extra) == ({"own"} if labels == "wrong" else set())
    own = {name: jnp.zeros(rows, jnp.int32) for name in pool.extra}
    for role, share in ((ju.FORGET, hit), (ju.RETAIN, 1.0)):
        weight = jnp.ones(rows)
        # What was drawn for the pool is no true class.
        shown = jnp.full(rows, int(role == ju.FORGET) * 3)
        batch = ju.Batch(image, shown, jnp.full(rows, role), weight, own)
        _, info = one_update(unlearner, linear_problem.model, state, batch, step_info)
        assert 1 - float(info["loss"]) / 50 == pytest.approx(share, abs=0.03 if share else 1e-6)


def test_every_rows_own_label_travels_with_labels_that_are_drawn_afresh_among_wrong_ones(lab):
    pool = ju.random_label(labels="wrong").pool(KEY, lab.problem)
    forget = np.asarray(pool.role) == ju.FORGET
    np.testing.assert_array_equal(pool.extra["own"][forget], lab.problem.forget.label)
    np.testing.assert_array_equal(pool.extra["own"][~forget], pool.label[~forget])


def test_amnesiac_is_random_labels_drawn_once_among_wrong_ones_in_one_stream():
    amnesiac = ju.amnesiac()
    fields = {f.name: getattr(amnesiac, f.name) for f in dataclasses.fields(amnesiac)}
    same = ju.random_label(**fields)
    assert (same.relabel, same.labels, same.stream) == ("once", "wrong", "shuffled")
    assert isinstance(amnesiac, type(same))


def test_forget_first_shows_all_forget_rows_before_any_retain_row(lab):
    unlearner = ju.amnesiac(stream="forget_first", batch_size=20)
    pool = unlearner.pool(KEY, lab.problem)
    rows = np.asarray(unlearner.batch_indices(KEY, 0, pool))
    roles = np.where(rows < 0, -1, np.asarray(pool.role)[rows])
    first = -(-len(lab.problem.forget.label) // 20)
    assert set(roles[:first].ravel()) - {-1} == {ju.FORGET}
    assert set(roles[first:].ravel()) - {-1} == {ju.RETAIN}
    assert sorted(rows[rows >= 0]) == list(range(len(pool.label)))


def test_shuffled_mixes_both_sets_in_one_stream(lab):
    unlearner = ju.amnesiac(batch_size=50)
    pool = unlearner.pool(KEY, lab.problem)
    rows = np.asarray(unlearner.batch_indices(KEY, 0, pool))
    roles = np.asarray(pool.role)[rows[:-1]]
    assert np.all((roles == ju.FORGET).any(1) & (roles == ju.RETAIN).any(1))


# --- SalUn ---


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_unmasked_weights_keep_every_bit_despite_decay_and_momentum(optimizer, lab):
    unlearner = ju.salun(keep=0.3, epochs=2, weight_decay=0.1, **{**SGD, "optimizer": optimizer})
    changed, mask = changed_and_mask(unlearner, lab.problem, lab.mesh)
    assert not np.any(changed & ~mask)
    assert changed[mask].mean() > 0.9
    assert mask.mean() == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_masking_the_gradient_lets_decay_move_unmasked_weights(optimizer, lab):
    unlearner = ju.salun(
        keep=0.3,
        epochs=2,
        weight_decay=0.1,
        masking="gradient",
        **{**SGD, "optimizer": optimizer},
    )
    changed, mask = changed_and_mask(unlearner, lab.problem, lab.mesh)
    assert changed[~mask].mean() > 0.9


def test_masking_the_gradient_without_decay_keeps_unmasked_weights(lab):
    unlearner = ju.salun(keep=0.3, epochs=1, weight_decay=0.0, masking="gradient", **SGD)
    changed, mask = changed_and_mask(unlearner, lab.problem, lab.mesh)
    assert not np.any(changed & ~mask)
    assert np.any(changed & mask)


def test_keeping_everything_is_amnesiac_with_the_same_settings(lab):
    labels = {"relabel": "once", "labels": "wrong", "stream": "shuffled"}
    settings = {**SGD, **labels, "epochs": 2, "augment": False}
    every = ju.run(ju.salun(keep=1.0, **settings), lab.problem, KEY, mesh=lab.mesh)
    same = ju.run(ju.amnesiac(weight_decay=5e-4, **settings), lab.problem, KEY, mesh=lab.mesh)
    chex.assert_trees_all_close(every.variables, same.variables, rtol=1e-4, atol=1e-6)


def test_the_proximal_form_that_keeps_everything_is_random_labels(lab):
    settings = {**SGD, "epochs": 1}
    pulled = ju.salun(masking="proximal", keep=1.0, **settings)
    outcomes = [
        ju.run(unlearner, lab.problem, KEY, mesh=lab.mesh)
        for unlearner in (pulled, ju.random_label(**settings))
    ]
    chex.assert_trees_all_equal(*(outcome.variables for outcome in outcomes))


def test_the_proximal_form_returns_a_share_of_the_weights_that_falls_to_none(
    lab, batch_of, step_info
):
    unlearner = ju.salun(masking="proximal", keep=0.2, **SGD)
    problem = lab.problem
    start = problem.variables["params"]
    for step, share in ((0, 0.6), (1, 0.4), (3, 0.0)):
        state = unlearner.init(KEY, problem)
        info = step_info._replace(step=jnp.int32(step))
        state, _ = one_update(unlearner, problem.model, state, batch_of(problem.forget), info)
        pairs = zip(jax.tree.leaves(state.variables["params"]), jax.tree.leaves(start), strict=True)
        same = np.concatenate([np.ravel(np.asarray(a) == np.asarray(b)) for a, b in pairs])
        # A few weights have no gradient, and are where they were without being pulled.
        assert same.mean() == pytest.approx(share, abs=0.1 if share == 0 else 2e-3)


def test_keeping_nothing_changes_no_weight(lab):
    outcome = ju.run(ju.salun(keep=0.0, epochs=1, **SGD), lab.problem, KEY, mesh=lab.mesh)
    chex.assert_trees_all_equal(
        jax.device_get(outcome.variables["params"]),
        jax.device_get(lab.problem.variables["params"]),
    )


def test_the_mask_does_not_depend_on_the_number_of_devices(lab):
    """Though the devices do not divide a batch: the batches of the sum stay the same."""
    masks = []
    for devices in (1, 4):
        spread = shard(lab.problem.variables, replicated(ju.make_mesh(devices)))
        problem = dataclasses.replace(lab.problem, variables=spread)
        mask = ju.salun(keep=0.5, batch_size=10).extra(KEY, problem)
        masks.append(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(mask)]))
    # Rounding may swap neighbours at the boundary.
    assert np.mean(masks[0] != masks[1]) < 0.005


def test_the_mask_ranks_the_summed_batch_gradients_of_the_forget_set_in_eval_mode(lab):
    problem = lab.problem
    unlearner = ju.salun(keep=0.25, batch_size=10)
    mask = np.concatenate([np.ravel(x) for x in jax.tree.leaves(unlearner.extra(KEY, problem))])

    @jax.jit
    @jax.grad
    def slope(params, image, label):
        logits = problem.model.logits({**problem.variables, "params": params}, image)
        return jnp.mean(functional.cross_entropy(logits, label))

    images = np.float32(problem.forget.image) / 255
    total = 0
    for start in range(0, len(problem.forget.label), 10):
        rows = slice(start, start + 10)
        gradient = slope(problem.variables["params"], images[rows], problem.forget.label[rows])
        total = total + np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradient)])
    chosen = np.argsort(-np.abs(total))[: int(mask.sum())]
    assert mask.sum() == int(0.25 * mask.size)
    # Rounding may swap neighbours at the boundary.
    assert mask[chosen].mean() > 0.99
