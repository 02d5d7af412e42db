"""The contract of methods: rows and losses, several forward passes, optimizers, further leaves."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.core import InputError
from jax_unlearn.testing import small_problem

KEY = jax.random.key(5)
PROBLEM = small_problem()
MESH = ju.make_mesh(1)


def run(method, problem=PROBLEM, **options):
    return ju.run(method, problem, KEY, mesh=MESH, **options).variables


class Tuned(ju.Descent):
    """Fine-tuning in three lines."""

    epochs: int = 2
    batch_size: int = ju.static(10)
    roles = (ju.RETAIN,)


class Ascending(Tuned):
    """Gradient ascent by the hook for losses."""

    roles = (ju.FORGET,)

    def losses(self, logits, batch, extra, info):
        return -functional.cross_entropy(logits, batch.label)


class AscendingAtLength(Tuned):
    """The same with its own forward pass and its own mean."""

    roles = (ju.FORGET,)

    def loss(self, forward, batch, extra, info):
        logits, forward.variables = forward.model.forward(
            forward.variables, batch.image, train=self.train_mode, weight=batch.weight, key=info.key
        )
        losses = functional.cross_entropy(logits, batch.label)
        return -functional.weighted_mean(losses, batch.weight), {}


@pytest.mark.parametrize("loop", ["python", "scan"])
def test_hooks_give_the_bits_of_what_is_written_out(loop):
    chex.assert_trees_all_equal(run(Ascending(), loop=loop), run(AscendingAtLength(), loop=loop))
    ours = ju.gradient_ascent(epochs=2, batch_size=10, learning_rate=0.01)
    chex.assert_trees_all_equal(run(Ascending(), loop=loop), run(ours, loop=loop))
    chex.assert_trees_all_equal(
        run(Tuned(), loop=loop), run(ju.finetune(epochs=2, batch_size=10), loop=loop)
    )


def test_roles_say_which_sets_are_needed_and_shown():
    assert (Tuned.needs_retain, Ascending.needs_retain) == (True, False)
    pool = Ascending().pool(KEY, PROBLEM)
    np.testing.assert_array_equal(pool.label, PROBLEM.forget.label)
    both = ju.Descent().pool(KEY, PROBLEM)
    np.testing.assert_array_equal(both.role, [ju.RETAIN] * 60 + [ju.FORGET] * 10)


# --- Forward passes ---


class Pair(Tuned):
    """Two passes over the same rows, one of which sees what the other did to the statistics."""

    def loss(self, forward, batch, extra, info):
        first = forward(batch)
        between = forward.variables
        forward(batch)
        seen = forward.as_function(batch)(batch.image)
        moved = jnp.abs(forward.variables["batch_stats"]["mean"] - between["batch_stats"]["mean"])
        calm = forward(batch, train=False)
        losses = functional.cross_entropy(first, batch.label)
        penalty = sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(forward.params))
        scalars = {"moved": moved.max(), "agree": jnp.abs(seen - first).max(), "calm": calm.max()}
        return functional.weighted_mean(losses, batch.weight) + 1e-3 * penalty, scalars


def test_every_pass_in_train_mode_moves_the_statistics_and_no_other_pass_does():
    method = Pair(epochs=1, batch_size=60, augment=False, learning_rate=0.0)
    result = ju.run(method, PROBLEM, KEY, mesh=MESH)
    model, images = PROBLEM.model, jnp.asarray(PROBLEM.retain.image) / 255
    twice = PROBLEM.variables
    for _ in range(2):
        _, twice = model.apply(twice, images, train=True)
    chex.assert_trees_all_close(
        result.variables["batch_stats"], twice["batch_stats"], rtol=1e-5, atol=1e-6
    )
    assert result.history[-1]["moved"] > 0
    assert result.history[-1]["agree"] < 1e-5


# --- Optimizers, schedules, transformations ---


@pytest.mark.parametrize("loop", ["python", "scan"])
def test_an_optax_optimizer_is_the_named_one(loop):
    settings = {"weight_decay": 0.0, "learning_rate": 0.01}
    named = run(Tuned(optimizer="adam", **settings), loop=loop)
    given = run(Tuned(optimizer=optax.adam, **settings), loop=loop)
    chex.assert_trees_all_close(named, given, rtol=1e-5, atol=1e-6)


def test_an_optax_schedule_multiplies_the_rate_for_names_and_factories():
    half = optax.constant_schedule(0.5)
    whole = run(Tuned(learning_rate=0.01))
    chex.assert_trees_all_equal(whole, run(Tuned(learning_rate=0.02, schedule=half)))
    settings = {"optimizer": optax.sgd, "weight_decay": 0.0, "momentum": 0.0}
    chex.assert_trees_all_close(
        run(Tuned(learning_rate=0.01, **settings)),
        run(Tuned(learning_rate=0.02, schedule=half, **settings)),
        rtol=1e-6,
    )


class Clipped(Tuned):
    """Descent with gradients of limited size, and a mask that looks at the batch."""

    limit: float = 0.1

    def transform(self, optimizer, extra):
        def update(updates, state, params=None, *, batch, info, **more):
            del params, more, info
            shown = jnp.any(batch.role == ju.RETAIN)
            return jax.tree.map(lambda x: jnp.where(shown, x, 0), updates), state

        masked = optax.GradientTransformationExtraArgs(lambda params: (), update)
        return optax.chain(masked, optax.clip_by_global_norm(self.limit), optimizer)


def test_transformations_are_composed_with_the_optimizer_and_see_the_batch():
    settings = {"weight_decay": 0.0, "momentum": 0.0, "learning_rate": 1.0, "epochs": 1}
    variables = run(Clipped(batch_size=60, limit=1e-3, **settings))
    before, after = PROBLEM.variables["params"], variables["params"]
    moved = jax.tree.map(jnp.subtract, after, before)
    assert float(optax.tree.norm(moved)) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("value", ["lion", 3, None])
def test_what_is_neither_a_name_nor_a_factory_is_refused(value):
    with pytest.raises(InputError, match=f"^optimizer={value!r}: expected one of|did you mean"):
        Tuned(optimizer=value)


# --- Further leaves per row ---


class Weighed(Tuned):
    """Every row's loss counts as much as the pool says."""

    def pool(self, key, problem):
        pool = super().pool(key, problem)
        count = len(pool.label)
        return pool._replace(extra={"worth": np.arange(count) / count, "row": np.arange(count)})

    def losses(self, logits, batch, extra, info):
        # Of the second set of labels the images are known by their row.
        return batch.extra["worth"] * functional.cross_entropy(logits, batch.label)


def test_further_leaves_reach_every_step_whatever_the_placement_and_loop():
    results = [
        run(Weighed(), loop=loop, placement=placement)
        for loop, placement in (("python", "device"), ("python", "host"), ("scan", "device"))
    ]
    chex.assert_trees_all_equal(results[0], results[1])
    chex.assert_trees_all_close(results[0], results[2], rtol=1e-4, atol=1e-5)
    unweighed = run(Tuned())["params"]
    gaps = jax.tree.map(lambda x, y: float(jnp.abs(x - y).max()), results[0]["params"], unweighed)
    assert max(jax.tree.leaves(gaps)) > 0


def test_further_leaves_belong_to_their_rows():
    from jax_unlearn.engine.steps import take_batch

    pool = Weighed().pool(KEY, PROBLEM)
    batch = take_batch(jax.tree.map(jnp.asarray, pool), jnp.array([3, 59, -1]), KEY, None)
    np.testing.assert_array_equal(batch.extra["row"][:2], [3, 59])


def test_pools_are_joined_with_their_further_leaves_or_refused():
    first = Weighed().pool(KEY, PROBLEM)
    joined = ju.concatenate_pools(first, first)
    np.testing.assert_array_equal(joined.extra["row"], [*range(60), *range(60)])
    with pytest.raises(InputError, match=r"^extra=\[\]: not every pool has the leaf 'row'"):
        ju.concatenate_pools(first, first._replace(extra={}))


# --- Augmentation ---


def darker(key, images):
    del key
    return images // 2


def test_any_function_augments_the_rows_that_are_marked():
    from jax_unlearn.engine.steps import take_batch

    pool = ju.pool_rows(PROBLEM.retain, ju.RETAIN, augment=False)
    pool = jax.tree.map(jnp.asarray, pool._replace(augment=np.arange(60) % 2 == 0))
    batch = take_batch(pool, jnp.arange(60), KEY, darker)
    expected = np.where(
        (np.arange(60) % 2 == 0)[:, None, None, None],
        PROBLEM.retain.image // 2,
        PROBLEM.retain.image,
    )
    np.testing.assert_allclose(batch.image, expected / 255, rtol=1e-6)
    none = run(Tuned(augment=False))
    chex.assert_trees_all_equal(none, run(Tuned(), dataclasses.replace(PROBLEM, augment=None)))


def test_an_augmentation_that_changes_shape_or_type_is_refused():
    problem = dataclasses.replace(PROBLEM, augment=lambda key, images: images / 255)
    with pytest.raises(InputError, match=r"^augment=.*: it makes float32\[10, 4, 4, 1\] of uint8"):
        run(Tuned(), problem)


def test_augmentations_of_the_same_settings_are_equal_and_the_default_crops_and_flips():
    assert ju.crop_and_flip(4) == ju.crop_and_flip(padding=4, flip=True) != ju.crop_and_flip(3)
    fields = {
        field: getattr(PROBLEM, field) for field in ("model", "variables", "forget", "retain")
    }
    assert ju.Problem(**fields, num_classes=5).augment == ju.crop_and_flip(padding=4, flip=True)
