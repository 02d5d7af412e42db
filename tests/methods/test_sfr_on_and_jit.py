"""SFR-on's two kinds of steps, and JiT's slopes."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stepping import one_update

import jax_unlearn as ju
from jax_unlearn.engine.steps import take_batch
from jax_unlearn.testing import small_problem

KEY = jax.random.key(6)
PROBLEM = small_problem()


def batches(method, problem=PROBLEM):
    """Every batch of the first epoch, with its step info."""
    pool = method.pool(KEY, problem)
    rows = method.batch_indices(KEY, 0, pool)
    for t, row in enumerate(rows):
        info = ju.StepInfo(*map(jnp.int32, (t, len(rows), 0, 1)), jax.random.fold_in(KEY, t))
        yield take_batch(pool, row, KEY, None), info


def steps(method, problem=PROBLEM):
    """The state before any step, and after each."""
    state = method.init(KEY, problem)
    step = jax.jit(method.step, static_argnums=0)
    states = [state]
    for batch, info in batches(method, problem):
        state, _ = step(problem.model, state, batch, info)
        states.append(state)
    return states


def test_every_fifth_iteration_of_sfr_on_begins_with_a_forget_batch():
    method = ju.sfr_on(iterations=57, batch_size=10)
    assert method.num_epochs == 3
    pool = method.pool(KEY, PROBLEM)
    epochs = [np.asarray(method.batch_indices(KEY, epoch, pool)) for epoch in (0, 1, 2)]
    assert [rows.shape for rows in epochs] == [(30, 10), (30, 10), (9, 10)]
    rows = np.concatenate(epochs)
    roles = np.asarray(pool.role)[rows]
    assert (roles == roles[:, :1]).all()
    expected = [ju.FORGET, *[ju.RETAIN] * 5] * 11 + [ju.FORGET, *[ju.RETAIN] * 2]
    assert roles[:, 0].tolist() == expected
    # Streams go on from one epoch to the next: every pass shows every example once.
    retain = rows[roles[:, 0] == ju.RETAIN][:54].reshape(9, -1)
    for once in retain:
        assert sorted(once) == list(np.flatnonzero(np.asarray(pool.role) == ju.RETAIN))


def test_its_ascent_moves_only_what_the_mask_marks_where_nothing_else_moves_weights():
    options = {"iterations": 1, "momentum": 0.0, "weight_decay": 0.0, "batch_size": 10}
    method = ju.sfr_on(threshold=1.5, learning_rate=0.1, **options)
    start, forgot, _ = steps(method)
    moved = jax.tree.map(lambda a, b: a != b, forgot.variables["params"], start.variables["params"])
    outside = jax.tree.map(lambda moves, inside: moves & ~inside, moved, start.extra["mask"])
    assert any(x.any() for x in jax.tree.leaves(moved))
    assert not any(x.any() for x in jax.tree.leaves(outside))
    inside = [np.asarray(x).mean() for x in jax.tree.leaves(start.extra["mask"])]
    assert 0 < np.mean(inside) < 1


def test_its_ascent_is_no_longer_than_the_largest_norm():
    options = {"iterations": 1, "momentum": 0.0, "weight_decay": 0.0, "batch_size": 10}
    start, forgot, _ = steps(ju.sfr_on(alpha=1e4, max_norm=2.0, learning_rate=0.1, **options))
    change = jax.tree.map(jnp.subtract, forgot.variables["params"], start.variables["params"])
    length = np.sqrt(sum(float((x**2).sum()) for x in jax.tree.leaves(change)))
    np.testing.assert_allclose(length, 0.2, rtol=1e-4)


@pytest.mark.parametrize("forget_every", [1, 2])
def test_an_average_of_nothing_takes_every_iteration_back(forget_every):
    method = ju.sfr_on(iterations=4, forget_every=forget_every, average=0.0, batch_size=10)
    states = steps(method)
    shown = [int(batch.role[0]) for batch, _ in batches(method)]
    for role, state in zip(shown, states[1:], strict=True):
        same = all(
            map(
                np.array_equal,
                *map(jax.tree.leaves, (state.variables["params"], states[0].variables["params"])),
            )
        )
        assert same == (role == ju.RETAIN)


def test_jit_lowers_the_slopes_around_forget_examples(lab):
    method = ju.jit(epochs=3, learning_rate=1e-3, sigma=0.2, samples=8, batch_size=20)
    result = ju.run(method, lab.problem, KEY, mesh=lab.mesh)
    losses = [entry["loss"] for entry in result.history[1:]]
    assert losses == sorted(losses, reverse=True)


def test_jits_sum_is_its_mean_times_the_number_of_examples():
    batch, info = next(batches(ju.jit(batch_size=10)))
    padded = batch._replace(weight=batch.weight.at[7:].set(0))
    of = {}
    for reduction in ("sum", "mean"):
        method = ju.jit(batch_size=10, reduction=reduction)
        state = method.init(KEY, PROBLEM)
        of[reduction] = one_update(method, PROBLEM.model, state, padded, info)[1]["loss"]
    np.testing.assert_allclose(of["sum"], 7 * of["mean"], rtol=1e-5)


@pytest.mark.parametrize("unit", [0.2, (0.2,)])
def test_jits_noise_and_distances_are_in_units_of_the_input_scale(unit):
    batch, info = next(batches(ju.jit(batch_size=10)))
    losses = []
    for scale, sigma in ((1.0, 0.06), (unit, 0.3)):
        method = ju.jit(batch_size=10, input_scale=scale, sigma=sigma)
        state = method.init(KEY, PROBLEM)
        losses.append(one_update(method, PROBLEM.model, state, batch, info)[1]["loss"])
    np.testing.assert_allclose(losses[1], 0.2 * losses[0], rtol=1e-5)


def test_jit_wants_one_scale_or_one_per_channel():
    with pytest.raises(
        ju.InputError, match=r"^input_scale=\(0.2, 0.3\): 2 numbers for images of 1 "
    ):
        ju.jit(input_scale=(0.2, 0.3)).check(PROBLEM)


def test_through_both_branches_jit_has_another_gradient_and_the_same_loss():
    batch, info = next(batches(ju.jit(batch_size=10)))
    ways = []
    for gradient in ("clean", "both"):
        method = ju.jit(batch_size=10, gradient=gradient, learning_rate=0.1)
        state, scalars = one_update(method, PROBLEM.model, method.init(KEY, PROBLEM), batch, info)
        ways.append((scalars["loss"], state.variables["params"]["second"]))
    np.testing.assert_allclose(ways[0][0], ways[1][0], rtol=1e-6)
    assert np.abs(ways[0][1] - ways[1][1]).max() > 1e-4


def test_sfr_on_needs_its_sets(lab):
    chex.assert_tree_all_finite(ju.sfr_on(batch_size=20).init(KEY, lab.problem).variables)
    with pytest.raises(ju.InputError, match=r"^forget=None: "):
        ju.sfr_on().mask(dataclasses.replace(lab.problem, forget=None))
