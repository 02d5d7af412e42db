"""One-shot edits: SSD, LFSSD, Fisher forgetting and influence."""

import dataclasses
import re
import warnings

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import InputError
from jax_unlearn.engine import RunSpec, run_many
from jax_unlearn.testing import small_problem

KEY = jax.random.key(4)


def edited(method, problem):
    return ju.run(method, problem, KEY, mesh=ju.make_mesh(1)).variables


# --- Dampening ---


@pytest.mark.parametrize("importance", ["exact", "batch"])
def test_ssd_shrinks_weights_above_the_threshold_and_keeps_the_bits_of_those_below(importance, lab):
    method = ju.ssd(alpha=2.0, dampening=0.5, importance=importance, batch_size=20)
    before = jax.device_get(lab.problem.variables)
    after = jax.device_get(edited(method, lab.problem))
    whole, forget = map(jax.device_get, method.importances(lab.problem))
    shares = []
    for w, a, full, own in zip(
        *map(jax.tree.leaves, (before["params"], after["params"], whole, forget)), strict=True
    ):
        chosen = own > 2.0 * full
        np.testing.assert_array_equal(a[~chosen], w[~chosen])
        np.testing.assert_allclose(
            a[chosen], (w * 0.5 * full / np.where(chosen, own, 1))[chosen], rtol=1e-6
        )
        shares.append(chosen.mean())
    assert 0 < max(shares) < 1
    chex.assert_trees_all_equal(after["batch_stats"], before["batch_stats"])


@pytest.mark.parametrize("constructor", [ju.ssd, ju.lfssd])
def test_a_part_of_the_data_so_large_that_no_weight_can_be_chosen_is_warned_of(constructor):
    problem = small_problem()  # ten of seventy
    with pytest.warns(UserWarning, match=r"^alpha=7: no weight is more than 7 times as important"):
        after = edited(constructor(alpha=7.0), problem)
    chex.assert_trees_all_equal(after, problem.variables)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edited(constructor(alpha=6.99), problem)
        # Of batches, sizes alone tell nothing.
        edited(constructor(alpha=7.0, importance="batch", batch_size=10), problem)


def test_an_edit_can_be_traced_for_its_alpha():
    problem = small_problem()
    traced = jax.jit(lambda alpha: ju.ssd(alpha=alpha).edit(KEY, problem))(1.0)
    chex.assert_trees_all_close(traced, ju.ssd(alpha=1.0).edit(KEY, problem), rtol=1e-5)


def test_the_importance_of_everything_lies_between_those_of_both_sets(lab):
    whole, forget = ju.ssd().importances(lab.problem)
    swapped = dataclasses.replace(lab.problem, forget=lab.problem.retain, retain=lab.problem.forget)
    again, retain = ju.ssd().importances(swapped)
    chex.assert_trees_all_close(whole, again, rtol=1e-5)
    share = len(lab.problem.forget.label) / 300
    mixed = jax.tree.map(lambda f, r: share * f + (1 - share) * r, forget, retain)
    chex.assert_trees_all_close(whole, mixed, rtol=1e-4, atol=1e-9)


def test_lfssd_does_not_look_at_labels(lab):
    problem = lab.problem
    other = dataclasses.replace(
        problem,
        forget=problem.forget._replace(label=np.zeros_like(problem.forget.label)),
        retain=problem.retain._replace(label=np.zeros_like(problem.retain.label)),
    )
    method = ju.lfssd(alpha=1.0)
    chex.assert_trees_all_equal(edited(method, problem), edited(method, other))
    assert not chex_equal(edited(ju.ssd(alpha=1.0), problem), edited(ju.ssd(alpha=1.0), other))


def chex_equal(a, b):
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


# --- Fisher forgetting ---


def test_fisher_forgetting_draws_a_forgotten_classs_last_weights_about_zero(lab):
    method = ju.fisher_forgetting(alpha=0.0)
    forgotten = int(lab.problem.forget.label[0])
    after, before = edited(method, lab.problem)["params"], lab.problem.variables["params"]
    moved = np.asarray(after["second"]["kernel"] != before["second"]["kernel"])
    assert moved[:, forgotten].all()
    assert not np.delete(moved, forgotten, axis=1).any()
    assert np.abs(after["second"]["kernel"][:, forgotten]).max() < 0.2
    chex.assert_trees_all_equal(after["first"], before["first"])


@pytest.mark.parametrize("outputs_first", [False, True])
def test_fisher_forgetting_finds_the_axis_of_outputs(outputs_first, lab):
    """The same edit of a network whose last weight lies the other way round."""
    problem, method = lab.problem, ju.fisher_forgetting(alpha=1e-6)

    def turned(variables):
        second = variables["params"]["second"]
        if outputs_first:
            second = {**second, "kernel": second["kernel"].T}
        return {**variables, "params": {**variables["params"], "second": second}}

    def apply(variables, images, *, train, weight=None):
        logits, after = problem.model.apply(turned(variables), images, train=train, weight=weight)
        return logits, turned(after)

    def init(key):
        return turned(problem.model.init(key))

    own = dataclasses.replace(
        problem, model=ju.Model(init, apply, "turned"), variables=turned(problem.variables)
    )
    expected = method.distribution(problem, method.information(problem))
    found = method.distribution(own, method.information(own))
    for one, other in zip(found, expected, strict=True):
        chex.assert_trees_all_close(turned({"params": one})["params"], other, rtol=1e-5)
    moved = np.asarray(expected.mean["second"]["kernel"] == 0)
    assert moved.any(axis=0).sum() == 1


@pytest.mark.parametrize("fisher", ["expected", "expected_batch", "empirical"])
def test_without_strength_and_without_a_whole_class_it_keeps_every_bit(fisher, lab):
    method = ju.fisher_forgetting(alpha=0.0, fisher=fisher)
    chex.assert_trees_all_equal(edited(method, lab.random), lab.random.variables)


def test_its_noise_is_that_of_its_key(lab):
    method = ju.fisher_forgetting()
    ways = [method.edit(jax.random.key(k), lab.random)["params"] for k in (0, 0, 1)]
    chex.assert_trees_all_equal(ways[0], ways[1])
    assert not chex_equal(ways[0], ways[2])


def test_a_network_whose_last_layer_cannot_be_told_is_refused_before_anything_runs():
    problem = small_problem()

    def apply(variables, images, *, train, weight=None):
        logits, variables = problem.model.apply(variables, images, train=train, weight=weight)
        return jnp.tanh(logits), variables

    bounded = dataclasses.replace(problem, model=ju.Model(problem.model.init, apply, "bounded"))
    with pytest.raises(InputError, match=r"the last linear layer of bounded cannot be found"):
        ju.run(ju.fisher_forgetting(), bounded, KEY)
    named = ju.fisher_forgetting(last_layer="second,bias")
    assert ju.run(named, bounded, KEY).status == "finished"


# --- Influence ---


def flat(tree):
    return np.asarray(jax.flatten_util.ravel_pytree(tree)[0])


def test_influence_is_the_damped_newton_step_that_is_solved_densely(linear_problem):
    method = ju.influence(damping=0.1, tolerance=1e-6, alpha=2.0, batch_size=7)
    problem = linear_problem
    weights, unravel = jax.flatten_util.ravel_pytree(problem.variables)

    def mean(examples):
        def loss(flat):
            logits = problem.model.logits(unravel(flat), jnp.asarray(examples.image) / 255.0)
            return functional.cross_entropy(logits, jnp.asarray(examples.label)).mean()

        return loss

    @jax.jit
    def newton(weights):
        of_forget, of_retain = map(jax.grad, map(mean, (problem.forget, problem.retain)))
        vector = 12 / 72 * (of_forget(weights) - of_retain(weights))
        hessian = jax.hessian(mean(problem.retain))(weights) + 0.1 * jnp.eye(weights.size)
        return 2.0 * jnp.linalg.solve(hessian, vector)

    step = newton(weights)
    after = flat(edited(method, problem))
    np.testing.assert_allclose(after - np.asarray(weights), step, rtol=1e-3, atol=1e-5)


def test_at_an_optimum_influence_comes_near_to_retraining(linear_problem):
    problem = linear_problem
    everything = ju.Examples(*map(np.concatenate, zip(problem.forget, problem.retain, strict=True)))

    # With a penalty the optimum is unique: Newton's steps find it.
    def optimum(examples):
        weights, unravel = jax.flatten_util.ravel_pytree(problem.variables)

        def loss(flat):
            logits = problem.model.logits(unravel(flat), jnp.asarray(examples.image) / 255.0)
            losses = functional.cross_entropy(logits, jnp.asarray(examples.label))
            return losses.mean() + 0.05 * (flat**2).sum()

        @jax.jit
        def newton(weights):
            return weights - jnp.linalg.solve(jax.hessian(loss)(weights), jax.grad(loss)(weights))

        for _ in range(8):
            weights = newton(weights)
        return unravel(weights)

    original, oracle = optimum(everything), optimum(problem.retain)
    at_optimum = dataclasses.replace(problem, variables=original)
    after = edited(ju.influence(damping=0.1, tolerance=1e-6), at_optimum)
    before = np.linalg.norm(flat(original) - flat(oracle))
    assert np.linalg.norm(flat(after) - flat(oracle)) < 0.1 * before


def test_where_the_hessian_is_not_positive_influence_warns_and_names_the_damping():
    with pytest.warns(UserWarning, match=re.escape("damping=0.0: the damped Hessian is not pos")):
        found = edited(ju.influence(damping=0.0), small_problem())
    chex.assert_tree_all_finite(found)


# --- All ---


def test_edits_side_by_side_are_those_of_one_after_another():
    methods = [ju.ssd(alpha=alpha) for alpha in (0.5, 2.0)]
    specs = [RunSpec(method, small_problem(), KEY) for method in methods]
    for result, method in zip(run_many(specs, mesh=ju.make_mesh(1, 2)), methods, strict=True):
        assert (result.status, result.steps) == ("finished", 0)
        alone = edited(method, small_problem())
        chex.assert_trees_all_close(result.variables, alone, rtol=1e-5, atol=1e-7)
