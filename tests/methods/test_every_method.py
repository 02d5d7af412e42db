"""What holds for every method in METHODS."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.engine.steps import run_keys, step, take_batch
from jax_unlearn.sharding import Layout

# Adam divides a gradient by its size: where one is zero but for rounding, that sign decides a whole
# step, and no two ways to compute agree. Its methods run with SGD here; test_descent has Adam.
SHORT = {
    "retrain": {"epochs": 2, "batch_size": 50, "learning_rate": 0.05, "warmup_epochs": 0.0},
    "finetune": {"epochs": 2, "batch_size": 50},
    "gradient_ascent": {"epochs": 2, "batch_size": 20},
    "neggrad_plus": {"epochs": 2, "batch_size": 50},
    "amnesiac": {"epochs": 2, "batch_size": 50, "learning_rate": 0.01, "optimizer": "sgd"},
    "bad_teacher": {"epochs": 2, "batch_size": 50, "learning_rate": 0.01, "optimizer": "sgd"},
    "salun": {"epochs": 2, "batch_size": 50},
    "natmu": {"epochs": 2, "batch_size": 50, "learning_rate": 0.01, "optimizer": "sgd"},
    "mumis": {"max_steps": 6, "check_every": 3, "batch_size": 20, "stop_ratio": 100.0},
}
NEED_NO_RETAIN = {"gradient_ascent", "mumis"}
DEVICES = [count for count in (2, 4, 8) if count <= jax.device_count()]
"""Batches of 50 and of 20 are not divided by all of them."""

EVERY_METHOD = pytest.mark.parametrize("name", ju.METHODS)


def short(name, **options):
    return ju.METHODS[name](**{**SHORT[name], **options})


def tiny(name, **options):
    """The short run with batches that the linear model's few examples can fill."""
    return short(name, batch_size=10, **options)


def distance(a, b):
    """Largest absolute difference between two pytrees."""
    gaps = jax.tree.map(lambda x, y: jnp.abs(x - y).max(), a, b)
    return max(map(float, jax.tree.leaves(gaps)))


def first_batch(unlearner, problem, key=7):
    """A state and the first batch, as the engine would make them."""
    keys = run_keys(jax.random.key(key))
    pool = unlearner.pool(keys.pool, problem)
    rows = unlearner.batch_indices(keys.batch_indices, 0, pool)[0]
    state = unlearner.init(keys.init, problem)
    return state, take_batch(pool, rows, keys.step, problem.augment)


@pytest.fixture(scope="module")
def outcomes(lab):
    """Result of each method's short run, run once."""
    done = {}

    def of(name):
        if name not in done:
            done[name] = ju.run(short(name), lab.problem, jax.random.key(0), mesh=lab.mesh)
        return done[name]

    return of


def test_the_battery_covers_every_method():
    assert set(SHORT) == set(ju.METHODS)


@EVERY_METHOD
def test_structure_shapes_and_types_are_kept_and_values_are_finite(name, lab, outcomes):
    outcome = outcomes(name)
    chex.assert_trees_all_equal_structs(outcome.variables, lab.problem.variables)
    chex.assert_trees_all_equal_shapes_and_dtypes(outcome.variables, lab.problem.variables)
    chex.assert_tree_all_finite(outcome.variables)
    assert outcome.status == "finished"
    assert distance(outcome.variables["params"], lab.problem.variables["params"]) > 0


@EVERY_METHOD
def test_the_same_key_gives_the_same_weights_bit_for_bit(name, lab, outcomes):
    again = ju.run(short(name), lab.problem, jax.random.key(0), mesh=lab.mesh)
    chex.assert_trees_all_equal(outcomes(name).variables, again.variables)
    assert outcomes(name).history == again.history


@EVERY_METHOD
def test_another_key_gives_other_weights(name, lab, outcomes):
    other = ju.run(short(name), lab.problem, jax.random.key(1), mesh=lab.mesh)
    assert distance(outcomes(name).variables["params"], other.variables["params"]) > 0


@EVERY_METHOD
def test_a_compiled_epoch_equals_the_loop_over_steps(name, lab, outcomes):
    scanned = ju.run(short(name), lab.problem, jax.random.key(0), mesh=lab.mesh, loop="scan")
    chex.assert_trees_all_close(outcomes(name).variables, scanned.variables, rtol=1e-4, atol=1e-5)
    for entry, other in zip(outcomes(name).history, scanned.history, strict=True):
        assert other == pytest.approx(entry, rel=1e-3, abs=1e-4)


@EVERY_METHOD
@pytest.mark.parametrize("devices", DEVICES)
def test_several_devices_give_the_result_of_one(devices, name, lab, outcomes):
    mesh = ju.make_mesh(devices)
    spread = ju.run(short(name), lab.problem, jax.random.key(0), mesh=mesh)
    assert {len(leaf.devices()) for leaf in jax.tree.leaves(spread.variables)} == {devices}
    chex.assert_trees_all_close(
        outcomes(name).variables, jax.device_get(spread.variables), rtol=1e-3, atol=2e-5
    )


@EVERY_METHOD
def test_the_compiled_step_equals_the_step_itself(name, linear_problem, step_info):
    unlearner = tiny(name)
    state, batch = first_batch(unlearner, linear_problem)
    step_info = step_info._replace(key=jax.random.key(3))
    plain, plain_info = unlearner.step(linear_problem.model, state, batch, step_info)
    donated = jax.tree.map(jnp.copy, state)
    layout = Layout(ju.make_mesh(1))
    jitted, info = step(
        unlearner, donated, batch, step_info, model=linear_problem.model, layout=layout
    )
    chex.assert_trees_all_close(plain.variables, jitted.variables, rtol=1e-4, atol=1e-5)
    assert set(info) == set(plain_info)
    for scalar, other in info.items():
        assert float(other) == pytest.approx(float(plain_info[scalar]), rel=1e-4)


@EVERY_METHOD
def test_padding_rows_change_nothing(name, lab, step_info):
    unlearner = short(name)
    state, batch = first_batch(unlearner, lab.problem)
    garbage = jax.random.uniform(jax.random.key(1), (6, *batch.image.shape[1:]))
    padded = ju.Batch(
        jnp.concatenate([batch.image, garbage]),
        jnp.concatenate([batch.label, jnp.full(6, 3, jnp.int32)]),
        jnp.concatenate([batch.role, jnp.full(6, batch.role[0])]),
        jnp.concatenate([batch.weight, jnp.zeros(6)]),
        {
            name: jnp.concatenate([x, jnp.ones((6, *x.shape[1:]))])
            for name, x in batch.extra.items()
        },
    )
    step = jax.jit(unlearner.step, static_argnums=0)
    new, info = step(lab.problem.model, state, batch, step_info)
    other, other_info = step(lab.problem.model, state, padded, step_info)
    chex.assert_trees_all_close(new.variables, other.variables, rtol=1e-4, atol=1e-5)
    for scalar, value in info.items():
        assert float(other_info[scalar]) == pytest.approx(float(value), rel=1e-4, abs=1e-6)


@EVERY_METHOD
def test_a_sweep_over_numbers_compiles_once(name, linear_problem, lab):
    traces = []

    def apply(variables, images, *, train):
        traces.append(train)
        return linear_problem.model.apply(variables, images, train=train)

    problem = dataclasses.replace(
        linear_problem, model=ju.Model(linear_problem.model.init, apply, "counted")
    )
    other = {
        "learning_rate": 2e-4,
        "weight_decay": 1e-4,
        "momentum": 0.5,
        "warmup_epochs": 1.0,
        "alpha": 0.8,
        "temperature": 2.0,
        "keep": 0.3,
        "delta": 0.1,
        "stop_ratio": 50.0,
    }
    unlearner = tiny(name)
    ju.run(unlearner, problem, jax.random.key(0), mesh=lab.mesh)
    once = len(traces)
    assert once > 0
    fields = {field.name: field for field in dataclasses.fields(unlearner)}
    swept = [name for name in other if name in fields]
    assert "learning_rate" in swept
    for field in swept:
        assert field in unlearner.traced_fields
        changed = dataclasses.replace(unlearner, **{field: other[field]})
        ju.run(changed, problem, jax.random.key(0), mesh=lab.mesh)
    assert len(traces) == once


@EVERY_METHOD
def test_a_method_can_be_built_from_traced_numbers(name, linear_problem, step_info):
    state, batch = first_batch(tiny(name), linear_problem)

    # The first step of a warm-up has rate zero.
    later = step_info._replace(step=jnp.int32(1))

    @jax.jit
    def after(rate):
        unlearner = tiny(name, learning_rate=rate)
        return unlearner.step(linear_problem.model, state, batch, later)[0]

    still, moved = after(0.0), after(0.01)
    chex.assert_trees_all_equal(still.variables, state.variables)
    assert distance(moved.variables, state.variables) > 0


@EVERY_METHOD
def test_without_retain_examples_a_method_works_or_is_refused_before_it_starts(name, lab):
    problem = dataclasses.replace(lab.problem, retain=None)
    calls = []
    unlearner = short(name)
    assert unlearner.needs_retain == (name not in NEED_NO_RETAIN)
    if name in NEED_NO_RETAIN:
        outcome = ju.run(unlearner, problem, jax.random.key(0), mesh=lab.mesh)
        chex.assert_tree_all_finite(outcome.variables)
        return
    with pytest.raises(InputError, match=r"^retain=None: .* needs retain examples"):
        ju.run(unlearner, problem, jax.random.key(0), mesh=lab.mesh, watch=calls.append)
    assert not calls


@pytest.mark.parametrize("name", sorted(set(ju.METHODS) - {"retrain", "finetune"}))
def test_without_forget_examples_a_method_is_refused(name, lab):
    problem = dataclasses.replace(lab.problem, forget=None)
    with pytest.raises(InputError, match=r"^forget=None: this method needs forget examples"):
        ju.run(short(name), problem, jax.random.key(0), mesh=lab.mesh)


@EVERY_METHOD
@pytest.mark.parametrize("part", ["forget", "retain"])
def test_an_empty_set_is_refused(name, part, lab):
    empty = ju.Examples(*(field[:0] for field in getattr(lab.problem, part)))
    problem = dataclasses.replace(lab.problem, **{part: empty})
    with pytest.raises(InputError, match=rf"^{part}=\[\]: expected at least one example"):
        ju.run(short(name), problem, jax.random.key(0), mesh=lab.mesh)


@EVERY_METHOD
def test_a_batch_larger_than_the_data_is_refused(name, lab):
    with pytest.raises(InputError, match=r"^batch_size=5000: .* has only \d+ examples to show"):
        ju.run(short(name, batch_size=5000), lab.problem, jax.random.key(0), mesh=lab.mesh)


@EVERY_METHOD
def test_the_state_is_a_pytree_of_arrays_with_variables(name, lab):
    state, _ = first_batch(short(name), lab.problem)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    chex.assert_trees_all_equal_shapes(state.variables, lab.problem.variables)


@EVERY_METHOD
def test_a_method_is_a_pytree_of_its_numbers(name):
    unlearner = short(name)
    leaves, treedef = jax.tree.flatten(unlearner)
    assert jax.tree.unflatten(treedef, leaves) == unlearner
    assert all(isinstance(leaf, (int, float)) for leaf in leaves)
    changed = dataclasses.replace(unlearner, learning_rate=0.5)
    assert (changed.learning_rate, type(changed)) == (0.5, type(unlearner))
    assert jax.tree.structure(changed) == treedef
    with pytest.raises(dataclasses.FrozenInstanceError):
        unlearner.learning_rate = 0.1


@EVERY_METHOD
def test_every_row_of_an_epoch_comes_from_the_pool_once(name, lab):
    unlearner = short(name)
    pool = unlearner.pool(jax.random.key(0), lab.problem)
    rows = np.asarray(unlearner.batch_indices(jax.random.key(1), 0, pool))
    total = len(pool.label)
    assert rows.dtype == np.int32
    assert rows.min() >= -1
    assert rows.max() < total
    shown = rows[rows >= 0]
    if name == "mumis":
        assert rows.shape == (3, 20)
        assert len(set(rows[0])) == 20
    elif name == "neggrad_plus":
        retain = shown[np.asarray(pool.role)[shown] == ju.RETAIN]
        assert sorted(retain) == list(np.flatnonzero(np.asarray(pool.role) == ju.RETAIN))
    else:
        assert sorted(shown) == list(range(total))


# --- Defaults are the published ones, or, where marked, ours. ---

FRAME = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4, "schedule": "constant"}
NATMU_FRAME = {"optimizer": "adamw", "schedule": "cosine", "epochs": 5, "batch_size": 128}
PUBLISHED = {
    "retrain": {
        **FRAME,
        "epochs": 100,
        "batch_size": 128,
        "learning_rate": 0.1,
        "schedule": "step",
        "warmup_epochs": 2.0,
        "train_mode": True,
        "augment": True,
    },
    "finetune": {**FRAME, "epochs": 10, "batch_size": 256, "learning_rate": 0.01},
    "gradient_ascent": {**FRAME, "epochs": 5, "batch_size": 256, "learning_rate": 1e-4},
    "neggrad_plus": {
        **FRAME,
        "epochs": 10,
        "learning_rate": 0.01,
        "alpha": 0.95,
        "train_mode": False,
    },
    "amnesiac": {
        **NATMU_FRAME,
        "learning_rate": 1.8e-5,
        "weight_decay": 4e-4,
        "augment": False,
        "relabel": "once",
        "stream": "shuffled",
    },
    "bad_teacher": {
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "epochs": 1,
        "retain_fraction": 0.3,
        "temperature": 1.0,
        "weight_decay": 0.0,
        "reduction": "batch",
    },
    "salun": {
        **FRAME,
        "epochs": 10,
        "batch_size": 256,
        "learning_rate": 0.013,
        "keep": 0.5,
        "masking": "update",
        "relabel": "every_step",
        "stream": "forget_first",
    },
    "natmu": {
        **NATMU_FRAME,
        "learning_rate": 1e-3,
        "weight_decay": 2e-3,
        "delta": -0.19,
        "num": 4,
        "masks": "gradual",
        "targets": "top",
        "hybrid_label": "retain",
        "inject": True,
        "augment": True,
        "train_mode": True,
        "reinit_linear": False,
    },
    # Of these the paper's notes give only the loss; the rest is left to us.
    "mumis": {
        "terms": "both",
        "optimizer": "sgd",
        "schedule": "constant",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "batch_size": 64,
        "train_mode": False,
        "augment": False,
    },
}


@EVERY_METHOD
def test_defaults_are_the_published_ones(name):
    unlearner = ju.METHODS[name]()
    assert {field: getattr(unlearner, field) for field in PUBLISHED[name]} == PUBLISHED[name]


# --- Bad arguments. ---

NAN = float("nan")
NUMBERS = {
    "learning_rate": (NAN, -0.1, "fast", float("inf"), True),
    "batch_size": (0, 2.5, 32.0, NAN),
    "momentum": (NAN, -0.1, 1.1),
}
DESCENT = {
    **NUMBERS,
    "epochs": (0, 1.5, 2.0, NAN),
    "weight_decay": (NAN, -1e-3),
    "warmup_epochs": (NAN, -1),
    "optimizer": ("sdg", None),
    "schedule": ("linear",),
}
RELABEL = {"relabel": ("twice",), "stream": ("mixed",)}
BAD = {
    "retrain": DESCENT,
    "finetune": DESCENT,
    "gradient_ascent": DESCENT,
    "neggrad_plus": {**DESCENT, "alpha": (NAN, -0.1, 1.1)},
    "amnesiac": {**DESCENT, **RELABEL},
    "bad_teacher": {
        **DESCENT,
        "temperature": (NAN, 0, -1),
        "retain_fraction": (NAN, 0, 1.1),
        "reduction": ("sum",),
    },
    "salun": {**DESCENT, **RELABEL, "keep": (NAN, -0.1, 1.1), "masking": ("none",)},
    "natmu": {
        **DESCENT,
        "delta": (NAN, -1.1, 1.1),
        "num": (0, 5, 1.5),
        "masks": ("gradul",),
        "targets": ("bottom",),
        "hybrid_label": ("forget",),
    },
    "mumis": {
        **NUMBERS,
        "max_steps": (0, 1.5),
        "stop_ratio": (NAN, 0),
        "check_every": (0, 1.5),
        "check_examples": (-1, 1.5),
        "stop_classes": ("some",),
        "input_scale": (0, NAN),
        "differentiate": ("backward",),
        "terms": ("none",),
    },
}


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        (name, argument, value)
        for name, arguments in BAD.items()
        for argument, values in arguments.items()
        for value in values
    ],
)
def test_a_bad_argument_is_named_with_its_value_and_what_was_expected(name, argument, value):
    with pytest.raises(InputError) as caught:
        ju.METHODS[name](**{argument: value})
    message = str(caught.value)
    assert message.startswith(f"{argument}={value!r}: ")
    assert "expected" in message
    assert "\n" not in message


def test_a_misspelt_choice_is_answered_with_the_near_name():
    with pytest.raises(InputError, match="did you mean gradual"):
        ju.natmu(masks="gradul")


def test_an_unknown_loop_is_refused(lab):
    with pytest.raises(InputError, match=r"^loop='scna': did you mean scan"):
        ju.run(ju.finetune(), lab.problem, jax.random.key(0), loop="scna")
