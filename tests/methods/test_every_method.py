"""What holds for every method in METHODS."""

import dataclasses

import chex
import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.methods import Paired
from jax_unlearn.testing import check_method
from jax_unlearn.testing.battery import Battery, floats

# Longer where a shorter run would show too little.
SHORT = {
    "retrain": {"learning_rate": 0.05, "warmup_epochs": 0.0},
    "finetune": {},
    "l1_sparse": {},
    "gradient_ascent": {"epochs": 4},
    "neggrad_plus": {},
    "ugradsl": {"epochs": 4},
    "ugradsl_plus": {},
    "random_label": {},
    "amnesiac": {"learning_rate": 0.01},
    "bad_teacher": {"learning_rate": 0.01},
    "salun": {},
    "scrub": {"forget_batch_size": 5},
    # At a smaller rate it is wound back to where it started.
    "scrub_r": {"forget_batch_size": 5, "learning_rate": 0.1},
    "delete": {"epochs": 4, "learning_rate": 0.01},
    "msg": {"learning_rate": 0.01},
    "ct": {"learning_rate": 0.01},
    "cf_k": {"k": 1},
    "eu_k": {},
    "natmu": {"learning_rate": 0.01},
    "mumis": {"max_steps": 6, "check_every": 3, "stop_ratio": 100.0},
    "mumis_last_layer": {
        **{"max_steps": 6, "check_every": 3, "stop_ratio": 100.0},
        # The network is at chance from the start.
        "learning_rate": 1e-3,
    },
    "ssd": {"alpha": 1.0},
    "lfssd": {"alpha": 1.0},
    "fisher_forgetting": {},
    "influence": {"damping": 1.0},
    "sfr_on": {},
    "jit": {"learning_rate": 0.01, "samples": 3, "sigma": 0.1, "epochs": 4},
    "boundary_shrink": {},
    "boundary_expand": {},
    "amun": {"attack_steps": 10},
    "unsir": {
        **{"noise_images": 4, "noise_steps": 2, "copies": 2, "retain_per_class": 5},
        "learning_rate": 0.01,
    },
    "l2ul": {
        **{"adversarial_batch_size": 8, "adversaries": 2, "attack_steps": 2, "radius": 0.5},
        **{"max_steps": 6, "check_every": 3},
    },
    "negmerge": {"models": 2},
}
NEED_NO_FORGET = {"retrain", "finetune", "l1_sparse", "ct", "cf_k", "eu_k"}
NEED_NO_RETAIN = {
    "delete",
    "gradient_ascent",
    "jit",
    "mumis",
    "mumis_last_layer",
    "boundary_shrink",
    "boundary_expand",
    "l2ul",
    "negmerge",
}
ONE_SHOT = {name for name in ju.METHODS if not ju.METHODS[name]().num_epochs}
pytestmark = pytest.mark.filterwarnings("ignore:sensitivity_ratio=")
EVERY_METHOD = pytest.mark.parametrize("name", ju.METHODS)


def short(name, **options):
    return ju.METHODS[name](**{"batch_size": 20, **SHORT[name], **options})


def test_the_battery_covers_every_method():
    assert set(SHORT) == set(ju.METHODS)


@EVERY_METHOD
def test_the_battery(name):
    # Asked of every method is that its step mixes no types; whole runs of ours mix none either.
    with jax.numpy_dtype_promotion("strict"):
        check_method(ju.METHODS[name], **SHORT[name])


# Op by op a step takes as long to compile as half a battery: one method for each way of taking it.
@pytest.mark.parametrize("name", ["finetune", "bad_teacher", "salun", "natmu", "mumis"])
def test_a_step_that_is_not_compiled_gives_what_a_compiled_one_gives(name):
    battery = Battery.of(ju.METHODS[name], SHORT[name])
    model, (state, batch, info) = battery.problem.model, battery.first
    compiled, reported = battery.step(battery.unlearner, state, batch, info)
    plain, scalars = battery.unlearner.step(model, state, batch, info)
    chex.assert_trees_all_close(*map(floats, (plain, compiled)), rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(dict(scalars), dict(reported), rtol=1e-4, atol=1e-6)


def test_the_battery_of_forms_that_keep_the_original_beside_the_weights():
    check_method(ju.salun, masking="proximal", decay_towards="start", labels="wrong")


@EVERY_METHOD
def test_a_method_needs_retain_examples_or_says_that_it_does_not(name):
    assert short(name).needs_retain == (name not in NEED_NO_RETAIN)


@pytest.mark.parametrize("name", sorted(set(ju.METHODS) - NEED_NO_FORGET))
def test_without_forget_examples_a_method_is_refused(name, lab):
    problem = dataclasses.replace(lab.problem, forget=None)
    with pytest.raises(InputError, match=r"^forget=None: this method needs forget examples"):
        ju.run(short(name), problem, jax.random.key(0), mesh=lab.mesh)


@pytest.mark.parametrize("name", sorted(set(ju.METHODS) - ONE_SHOT))
def test_every_row_of_an_epoch_comes_from_the_pool_once(name, lab):
    unlearner = short(name)
    pool = unlearner.pool(jax.random.key(0), lab.problem)
    rows = np.asarray(unlearner.batch_indices(jax.random.key(1), 0, pool))
    total = len(pool.label)
    assert rows.dtype == np.int32
    assert rows.min() >= -1
    assert rows.max() < total
    shown = rows[rows >= 0]
    if name.startswith("mumis"):
        assert rows.shape == (3, 20)
        assert len(set(rows[0])) == 20
    elif isinstance(unlearner, Paired):
        pace = np.asarray(pool.role) == unlearner.paced_by
        assert sorted(shown[pace[shown]]) == list(np.flatnonzero(pace))
    elif name == "sfr_on":
        assert rows.shape == (5 + 25, 20)
    elif name == "unsir":
        noise = np.asarray(pool.role) == ju.FORGET
        np.testing.assert_array_equal(np.bincount(shown), np.where(noise, unlearner.copies, 1))
    elif name == "l2ul":
        assert rows.shape == (3, 8 + 20)
    elif name == "negmerge":
        np.testing.assert_array_equal(np.bincount(shown), np.full(total, unlearner.models))
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
    "l1_sparse": {
        **FRAME,
        "epochs": 10,
        "batch_size": 256,
        "learning_rate": 0.01,
        "alpha": 5e-4,
        "no_l1_epochs": 0,
    },
    "gradient_ascent": {
        **FRAME,
        "epochs": 5,
        "batch_size": 256,
        "learning_rate": 1e-4,
        "max_norm": None,
    },
    "neggrad_plus": {
        **FRAME,
        "epochs": 10,
        "learning_rate": 0.01,
        "alpha": 0.95,
        "passes": "separate",
    },
    # The smoothing is negative in the paper; the rest is left to us.
    "ugradsl": {**FRAME, "retain_weight": 0.95, "smoothing": -0.5, "passes": "separate"},
    "ugradsl_plus": {**FRAME, "retain_weight": 0.95, "smoothing": -0.5, "passes": "separate"},
    "random_label": {
        **FRAME,
        "epochs": 10,
        "batch_size": 256,
        "learning_rate": 0.013,
        "relabel": "every_step",
        "labels": "any",
        "stream": "forget_first",
    },
    "amnesiac": {
        **NATMU_FRAME,
        "learning_rate": 1.8e-5,
        "weight_decay": 4e-4,
        "augment": False,
        "relabel": "once",
        "labels": "wrong",
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
        "labels": "any",
        "stream": "forget_first",
    },
    "scrub": {
        **FRAME,
        "epochs": 3,
        "batch_size": 128,
        "forget_batch_size": 32,
        "learning_rate": 5e-4,
        "gamma": 0.99,
        "alpha": 0.001,
        "temperature": 4.0,
        "max_epochs": 2,
        "decay_epochs": (3, 5, 9),
        "decay_rate": 0.1,
        "train_mode": True,
    },
    "scrub_r": {"epochs": 3, "learning_rate": 5e-4, "gamma": 0.99, "alpha": 0.001},
    "delete": {
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "constant",
        "epochs": 20,
        "batch_size": 128,
        "learning_rate": 1e-4,
        "train_mode": True,
        "augment": True,
    },
    "msg": {
        **FRAME,
        "epochs": 5,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "schedule": "triangle_by_epoch",
        "share": 0.3,
        "scale": 0.1,
    },
    "ct": {
        **FRAME,
        "epochs": 3,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "schedule": "cosine_by_epoch",
    },
    "cf_k": {**FRAME, "epochs": 10, "learning_rate": 0.01, "k": 2, "train_mode": True},
    "eu_k": {**FRAME, "epochs": 10, "learning_rate": 0.01, "k": 2, "train_mode": True},
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
        "momentum": 0.9,
        "body_rate": 0.03,
        "stop_accuracy": None,
        "weight_decay": 0.0,
        "batch_size": 64,
        "train_mode": False,
        "augment": False,
    },
    "mumis_last_layer": {"momentum": 0.9, "body_rate": 0.0, "max_steps": 200},
    "ssd": {"alpha": 10.0, "dampening": 1.0, "importance": "exact"},
    "lfssd": {"alpha": 10.0, "dampening": 1.0, "importance": "exact"},
    "fisher_forgetting": {"alpha": 1e-6, "fisher": "expected", "batch_size": 32},
    # The solver's numbers are ours; 1,000 is the released code's.
    "influence": {"alpha": 1.0, "solver": "conjugate_gradients", "samples": 1000},
    "sfr_on": {
        **{"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4, "learning_rate": 0.01},
        **{"schedule": "cosine_by_epoch", "iterations": 1500, "forget_every": 5, "alpha": 25.0},
        **{"focus": 0.5, "threshold": 1.0, "max_norm": 7.0, "average": 1.0, "train_mode": True},
    },
    "jit": {
        **{"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 3e-4},
        **{
            "epochs": 1,
            "sigma": 0.01,
            "input_scale": 0.25,
            "samples": 25,
            "reduction": "sum",
            "gradient": "clean",
        },
        **{"clip": True, "train_mode": False, "augment": False},
    },
    "boundary_shrink": {
        **FRAME,
        "weight_decay": 0.0,
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 1e-5,
        "bound": 0.1,
    },
    "boundary_expand": {
        **FRAME,
        "weight_decay": 0.0,
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 1e-5,
        "new_weights": "xavier",
    },
    "amun": {
        **FRAME,
        "epochs": 10,
        "learning_rate": 0.01,
        "beside": "retain",
        "radius": 0.01,
        "attack_steps": 50,
    },
    "unsir": {
        "optimizer": "adam",
        "batch_size": 256,
        "learning_rate": 0.02,
        "repair_rate": 0.01,
        "noise_images": 256,
        "noise_steps": 40,
        "noise_rate": 0.1,
        "noise_penalty": 0.1,
        "copies": 20,
        "retain_per_class": 1000,
    },
    "l2ul": {
        **FRAME,
        "weight_decay": 1e-4,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "adversarial_batch_size": 256,
        "adversaries": 20,
        "radius": 4.0,
        "attack_step": 0.1,
        "attack_steps": 100,
        "pull": 1.0,
        "stop_accuracy": 0.0,
    },
    # Of how the paper fine-tuned ResNets nothing is known to us.
    "negmerge": {**FRAME, "merge_statistics": False},
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
    "decay_towards": ("origin",),
    "optimizer": ("sdg", None),
    "schedule": ("linear",),
}
RELABEL = {"relabel": ("twice",), "labels": ("right",), "stream": ("mixed",)}
UGRADSL = {"retain_weight": (NAN, -0.1, 1.1), "smoothing": (NAN, 1.1), "passes": ("one",)}
BAD = {
    "retrain": DESCENT,
    "finetune": DESCENT,
    "l1_sparse": {**DESCENT, "alpha": (NAN, -1e-3), "no_l1_epochs": (-1, 1.5, 11)},
    "gradient_ascent": {**DESCENT, "max_norm": (NAN, 0, -1)},
    "neggrad_plus": {**DESCENT, "alpha": (NAN, -0.1, 1.1), "passes": ("one",)},
    "ugradsl": UGRADSL,
    "ugradsl_plus": UGRADSL,
    "random_label": {**DESCENT, **RELABEL},
    "amnesiac": RELABEL,
    "bad_teacher": {
        **DESCENT,
        "temperature": (NAN, 0, -1),
        "retain_fraction": (NAN, 0, 1.1),
        "reduction": ("sum",),
    },
    "salun": {**RELABEL, "keep": (NAN, -0.1, 1.1), "masking": ("none",)},
    "scrub": {
        "gamma": (NAN, -0.1),
        "alpha": (NAN, -0.1),
        "temperature": (NAN, 0),
        "max_epochs": (-1, 1.5),
        "forget_batch_size": (0, 1.5),
        "decay_rate": (NAN, -0.1),
    },
    "msg": {"share": (NAN, -0.1, 1.1), "scale": (NAN, -0.1)},
    "cf_k": {"k": (0, 1.5, NAN), "max_norm": (0, NAN)},
    "natmu": {
        **DESCENT,
        "delta": (NAN, -1.1, 1.1),
        "num": (0, -1, 1.5),
        "masks": ("gradul",),
        "targets": ("bottom",),
        "hybrid_label": ("forget",),
    },
    "mumis": {
        **NUMBERS,
        "max_steps": (0, 1.5),
        "stop_ratio": (NAN, 0),
        "check_every": (0, 1.5),
        "stop_accuracy": (NAN, -1, 101, "low"),
        "check_examples": (-1, 1.5),
        "stop_classes": ("some", "next"),
        "body_rate": (NAN, -0.1),
        "input_scale": (0, NAN),
        "differentiate": ("backward",),
        "terms": ("none",),
    },
    "ssd": {
        **{"alpha": (NAN, -1), "dampening": (NAN, -1), "importance": ("sum",)},
        **{"batch_size": (0, 1.5), "forget_batch_size": (0, 1.5)},
    },
    "fisher_forgetting": {"alpha": (NAN, -1e-6), "fisher": ("exact",)},
    "influence": {
        **{"alpha": (NAN, -1), "solver": ("cg",), "damping": (NAN, -1), "tolerance": (NAN, -1)},
        **{"max_steps": (0, 1.5), "samples": (0, 1.5)},
    },
    "sfr_on": {
        **NUMBERS,
        **{"iterations": (0, 1.5), "forget_every": (0, 1.5), "alpha": (NAN, -1)},
        **{
            "focus": (NAN, -1),
            "threshold": (NAN, -1),
            "max_norm": (NAN, 0),
            "average": (-0.1, 1.1),
        },
    },
    "jit": {
        **DESCENT,
        **{"sigma": (NAN, 0), "samples": (0, 1.5), "reduction": ("max",), "gradient": ("noisy",)},
        **{"input_scale": (NAN, 0)},
    },
    "boundary_shrink": {"bound": (NAN, -0.1)},
    "boundary_expand": {"new_weights": ("normal",)},
    "amun": {
        "beside": ("all",),
        "radius": (NAN, 0),
        "attack_steps": (0, 1.5),
        "doublings": (-1, 1.5),
    },
    "unsir": {
        **dict.fromkeys(("noise_images", "noise_steps", "copies"), (0, 1.5)),
        **dict.fromkeys(("repair_rate", "noise_rate", "noise_penalty"), (NAN, -0.1)),
        "retain_per_class": (0, 1.5),
    },
    "l2ul": {
        **dict.fromkeys(("adversarial_batch_size", "adversaries", "attack_steps"), (0, 1.5)),
        **dict.fromkeys(("radius", "attack_step"), (NAN, 0)),
        **dict.fromkeys(("max_steps", "check_every"), (0, 1.5)),
        "pull": (NAN, -1),
        "stop_accuracy": (NAN, -1, 101),
    },
    "negmerge": {"models": (0, 1.5), "spread": (NAN, 0.9), "coefficient": (NAN, -0.1)},
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


@pytest.mark.parametrize("name", ju.METHODS)
def test_what_is_on_or_off_is_true_or_false(name):
    flags = [f.name for f in dataclasses.fields(ju.METHODS[name]()) if f.type is bool]
    for flag in flags:
        with pytest.raises(InputError, match=rf"^{flag}='False': expected True or False$"):
            ju.METHODS[name](**{flag: "False"})
        assert getattr(ju.METHODS[name](**{flag: np.bool_(True)}), flag)


def test_a_misspelt_choice_is_answered_with_the_near_name():
    with pytest.raises(InputError, match="did you mean gradual"):
        ju.natmu(masks="gradul")


def test_an_unknown_loop_is_refused(lab):
    with pytest.raises(InputError, match=r"^loop='scna': did you mean scan"):
        ju.run(ju.finetune(), lab.problem, jax.random.key(0), loop="scna")
