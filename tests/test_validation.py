"""What cannot be right is refused at every public entry, in one line, before anything runs."""

import dataclasses
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_unlearn as ju
from jax_unlearn.testing import small_problem

METHOD = ju.finetune(epochs=1, batch_size=10)
KEY = jax.random.key(0)


def examples(image=None, label=None, ids=None):
    sound = small_problem().retain
    return ju.Examples(
        sound.image if image is None else image,
        sound.label if label is None else label,
        sound.id if ids is None else ids,
    )


SOUND = small_problem().retain
BAD_EXAMPLES = {
    "float images": (
        examples(image=SOUND.image / np.float32(255)),
        r"image=float32\[60, 4, 4, 1\]: expected uint8",
    ),
    "wide images": (examples(image=SOUND.image.astype(np.int64)), "image=int64.*expected uint8"),
    "flat images": (examples(image=SOUND.image.reshape(60, -1)), r"image=uint8\[60, 16\]"),
    "negative labels": (examples(label=SOUND.label - 1), "label=-1: expected labels in"),
    "too large labels": (examples(label=SOUND.label + 1), "label=5: expected labels in"),
    "one-hot labels": (examples(label=np.eye(5)[SOUND.label]), "label=float64.*one-hot"),
    "whole one-hot labels": (examples(label=np.eye(5, dtype=int)[SOUND.label]), "one-hot"),
    "fractional labels": (examples(label=SOUND.label + 0.6), "label=float64.*whole numbers"),
    "fewer labels": (examples(label=SOUND.label[:-1]), r"label=int32\[59\]: expected .*\[60\]"),
    "equal ids": (examples(ids=np.zeros(60, int)), "id=0: 60 examples have it"),
    "fewer ids": (examples(ids=np.arange(59)), r"id=int64\[59\]"),
    "no examples": (np.zeros((60, 4, 4, 1), np.uint8), "=ndarray: expected jax_unlearn.Examples"),
}


def entries(retain):
    problem = dataclasses.replace(small_problem(), retain=retain)
    model, variables = problem.model, problem.variables
    spec = ju.RunSpec(METHOD, problem, KEY)
    none = np.zeros(len(SOUND.label), bool)
    return {
        "run": lambda: ju.run(METHOD, problem, KEY),
        "run_many": lambda: ju.run_many([spec]),
        "sweep": lambda: ju.sweep(
            ju.finetune, {"learning_rate": [0.1]}, problem, KEY, epochs=1, batch_size=10
        ),
        "train": lambda: ju.train(METHOD, model, retain, KEY, num_classes=5),
        "predict": lambda: ju.predict(
            model,
            variables,
            forget=problem.forget,
            retain=retain,
            test=SOUND,
            test_forgotten=none,
        ),
    }


@pytest.mark.parametrize("entry", entries(SOUND))
@pytest.mark.parametrize("case", BAD_EXAMPLES)
def test_examples_that_cannot_be_right_never_train(entry, case):
    retain, message = BAD_EXAMPLES[case]
    with pytest.raises(ju.InputError, match=message) as caught:
        entries(retain)[entry]()
    assert "\n" not in str(caught.value)


def refused(message, **changed):
    with pytest.raises(ju.InputError, match=message) as caught:
        ju.run(METHOD, dataclasses.replace(small_problem(), **changed), KEY)
    assert "\n" not in str(caught.value)


def test_a_retain_set_that_holds_forget_examples_is_refused():
    forget = small_problem().forget
    both = ju.Examples(*(np.concatenate(pair) for pair in zip(SOUND, forget, strict=True)))
    refused(r"^retain.id=0: 10 of the retain examples are forget examples too", retain=both)


def test_a_validation_set_that_was_trained_on_is_refused():
    sound = dataclasses.replace(small_problem(), validation=None)
    assert ju.engine.run_spec.check_spec(ju.RunSpec(METHOD, sound, KEY)) is None
    for part in ("forget", "retain"):
        trained_on = getattr(sound, part)
        message = rf"^validation.id={trained_on.id[0]}: .* are {part} examples too.* held out"
        refused(message, validation=trained_on)


@pytest.mark.parametrize("count", [4, 6])
def test_a_network_with_another_number_of_outputs_is_refused(count):
    message = r"^forget.label=4|^num_classes=6: the network 'small' has 5 outputs"
    refused(message, num_classes=count)


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda logits, v: logits, "apply returns a"),
        (lambda logits, v: {"logits": logits}, "apply returns a dict"),
        (lambda logits, v: (logits, {}, v), "apply returns a tuple of 3"),
        (lambda logits, v: (logits[0], v), r"apply returns float32\[5\] for 2 images"),
        (lambda logits, v: (logits.argmax(1), v), r"apply returns int32\[2\]"),
        (lambda logits, v: (logits, {}), "apply returns variables of another structure"),
        (lambda logits, v: 1 / 0, r"apply fails .* \(ZeroDivisionError"),
    ],
)
def test_a_network_that_returns_something_else_is_named(returns, message):
    model = small_problem().model

    def apply(variables, images, *, train):
        return returns(model.apply(variables, images, train=False)[0], variables)

    refused(f"^model='odd': {message}", model=ju.Model(model.init, apply, "odd"))


def nnx_network(*, whole, dropout=False):
    """An NNX network with batch statistics, its state given whole or split."""

    def network(key):
        rngs = nnx.Rngs(key)
        layers = [
            lambda x: x.reshape(len(x), 16),
            nnx.Linear(16, 8, rngs=rngs),
            nnx.BatchNorm(8, rngs=rngs),
            *([nnx.Dropout(0.5, rngs=rngs)] if dropout else []),
            nnx.Linear(8, 5, rngs=rngs),
        ]
        return nnx.Sequential(*layers)

    graph, _, _ = nnx.split(network(KEY), nnx.Param, ...)

    def init(key):
        _, params, rest = nnx.split(network(key), nnx.Param, ...)
        return nnx.merge_state(params, rest) if whole else {"params": params, "rest": rest}

    def apply(variables, images, *, train):
        parts = (variables,) if whole else (variables["params"], variables["rest"])
        net = nnx.merge(graph, *parts, copy=True)
        net.train() if train else net.eval()
        logits = net(images)
        _, params, rest = nnx.split(net, nnx.Param, ...)
        if not train:
            return logits, variables
        return logits, nnx.merge_state(params, rest) if whole else {"params": params, "rest": rest}

    return ju.Model(init, apply, "nnx")


@pytest.mark.parametrize("dropout", [False, True])
def test_a_whole_nnx_state_is_refused_with_the_way_to_split_it(dropout):
    model = nnx_network(whole=True, dropout=dropout)
    refused("^variables: .*nnx.split", model=model, variables=model.init(KEY), initial=None)


@pytest.mark.filterwarnings("ignore:model='nnx'")
@pytest.mark.parametrize("dropout", [False, True])
def test_statistics_and_keys_of_a_split_nnx_state_move(dropout):
    model = nnx_network(whole=False, dropout=dropout)
    variables = model.init(KEY)
    problem = dataclasses.replace(
        small_problem(), model=model, variables=variables, initial=variables
    )
    result = ju.run(METHOD, problem, KEY)
    pairs = zip(
        jax.tree.leaves(variables["rest"]), jax.tree.leaves(result.variables["rest"]), strict=True
    )
    moved = [not np.array_equal(_numbers(a), _numbers(b)) for a, b in pairs]
    # Mean, variance, and the count of a dropout's draws; its key stays.
    assert sum(moved) >= 2 + dropout


def _numbers(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_weights_give_the_same_in_a_compiled_loop_and_step_by_step(dtype):
    problem = small_problem()
    narrow = jax.tree.map(lambda x: x.astype(dtype), problem.variables)
    problem = dataclasses.replace(problem, variables=narrow, initial=narrow)
    ways = [ju.run(METHOD, problem, KEY, loop=loop).variables for loop in ("python", "scan")]
    for a, b in zip(*map(jax.tree.leaves, ways), strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(b, np.float32), rtol=0.02, atol=0.02
        )


def test_an_augmentation_that_is_no_function_is_refused():
    refused(re.escape("augment=4: expected a function (key, images)"), augment=4)


def test_keys_and_counters_beside_the_weights_are_kept_and_bring_no_warning():
    base = small_problem().model

    def init(key):
        return {"params": base.init(key)["params"], "rest": {"key": key, "count": jnp.uint32(0)}}

    def apply(variables, images, *, train):
        rest = variables["rest"]
        stats = base.init(KEY)["batch_stats"]
        logits, _ = base.apply(
            {"params": variables["params"], "batch_stats": stats}, images, train=False
        )
        if train:
            rest = {"key": jax.random.split(rest["key"])[0], "count": rest["count"] + 1}
        return logits, {"params": variables["params"], "rest": rest}

    model = ju.Model(init, apply, "keyed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = ju.train(METHOD, model, SOUND, KEY, num_classes=5, mesh=ju.make_mesh(1))
    assert int(result.variables["rest"]["count"]) == result.steps == 6


def refuses(call, message):
    with pytest.raises(ju.InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_mix_refuses_images_that_are_not_uint8():
    forget, partners = jnp.zeros((2, 4, 4, 1)), jnp.zeros((2, 4, 4, 4, 1), jnp.uint8)
    refuses(
        lambda: ju.mix(forget, partners, ju.mixing_masks(4, 4, 0.0)),
        r"^forget=float32\[2, 4, 4, 1\]: expected uint8 images",
    )


def test_mumis_loss_refuses_uint8_images_and_labels_out_of_range():
    def linear(images):
        return images.reshape(len(images), -1)

    images, labels = jnp.ones((2, 2, 2, 1)), jnp.array([0, 1])
    refuses(
        lambda: ju.mumis_loss(linear, images.astype(jnp.uint8), labels, labels + 1),
        r"^images=uint8\[2, 2, 2, 1\]: expected float images",
    )
    refuses(
        lambda: ju.mumis_loss(linear, images, labels + 3, labels),
        r"^labels=4: expected classes in \[0, 4\)",
    )
    assert ju.mumis_loss(linear, images, labels, labels + 1) == 0
