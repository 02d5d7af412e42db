"""Networks of NNX, linen, Haiku and Equinox are Models: modes, statistics, padding and dropout.

Each network here is a linear layer, a normalisation, two layers of dropout of one shape, and
another linear layer, written as its own library has it.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jax_unlearn as ju
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
from jax_unlearn.engine.signals import Interrupted

# Haiku and Equinox rely on implicit type promotion, as optax's Adam does.
pytestmark = pytest.mark.adam

WIDTH, CLASSES = 6, 5
SHAPE = (4, 4, 1)
NORMS = ("batch", "layer", "group")
LIBRARIES = ("nnx", "linen", "haiku", "equinox")
MASKING = ("nnx", "linen")
DROPPED = 0.5


class NnxNetwork(nnx.Module):
    """Takes no word of modes: NNX sets them."""

    def __init__(self, norm, rngs):
        made = {
            "batch": functools.partial(nnx.BatchNorm, momentum=0.9),
            "layer": nnx.LayerNorm,
            "group": functools.partial(nnx.GroupNorm, num_groups=2),
        }[norm]
        self.first = nnx.Linear(16, WIDTH, rngs=rngs)
        self.norm = made(WIDTH, rngs=rngs)
        self.drops = nnx.List([nnx.Dropout(DROPPED, rngs=rngs) for _ in range(2)])
        self.last = nnx.Linear(WIDTH, CLASSES, rngs=rngs)
        self.scale = jnp.full(CLASSES, 2.0)

    def __call__(self, images):
        x = nnx.relu(self.norm(self.first(images.reshape(len(images), -1))))
        for drop in self.drops:
            x = drop(x)
        return self.scale[None] * self.last(x)


class LinenNetwork(nn.Module):
    """Told its mode by a keyword; its second dropout has a stream of its own."""

    norm: str

    @nn.compact
    def __call__(self, images, *, train):
        norm = {
            "batch": nn.BatchNorm(use_running_average=not train, momentum=0.9),
            "layer": nn.LayerNorm(),
            "group": nn.GroupNorm(num_groups=2),
        }[self.norm]
        x = nn.relu(norm(nn.Dense(WIDTH)(images.reshape(len(images), -1))))
        for stream in ("dropout", "noise"):
            x = nn.Dropout(DROPPED, rng_collection=stream, deterministic=not train)(x)
        return nn.Dense(CLASSES)(x)


def haiku_network(norm):
    hk = pytest.importorskip("haiku")

    def network(images, is_training):
        x = hk.Linear(WIDTH)(images.reshape(len(images), -1))
        if norm == "batch":
            x = hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.9)(x, is_training)
        elif norm == "layer":
            x = hk.LayerNorm(axis=-1, create_scale=True, create_offset=True)(x)
        else:
            x = hk.GroupNorm(2)(x)
        x = jax.nn.relu(x)
        for _ in range(2 if is_training else 0):
            x = hk.dropout(hk.next_rng_key(), DROPPED, x)
        return hk.Linear(CLASSES)(x)

    return network


def equinox_network(norm):
    eqx = pytest.importorskip("equinox")

    class Network(eqx.Module):
        first: eqx.nn.Linear
        norm: eqx.Module
        drop: eqx.nn.Dropout
        last: eqx.nn.Linear

        def __init__(self, key):
            keys = jax.random.split(key)
            self.first = eqx.nn.Linear(16, WIDTH, key=keys[0])
            self.norm = {
                "batch": lambda: eqx.nn.BatchNorm(WIDTH, "batch", momentum=0.9, mode="batch"),
                "layer": lambda: eqx.nn.LayerNorm(WIDTH),
                "group": lambda: eqx.nn.GroupNorm(2, WIDTH),
            }[norm]()
            self.drop = eqx.nn.Dropout(DROPPED)
            self.last = eqx.nn.Linear(WIDTH, CLASSES, key=keys[1])

        def __call__(self, image, *state, key=None):
            x = self.first(image.ravel())
            x, *state = self.norm(x, *state) if state else (self.norm(x),)
            x = jax.nn.relu(x)
            for one in (None, None) if key is None else jax.random.split(key):
                x = self.drop(x, key=one)
            x = self.last(x)
            return (x, *state) if state else x

    return eqx.nn.make_with_state(Network) if norm == "batch" else Network


@functools.cache
def model_of(library, norm="batch"):
    if library == "nnx":
        return ju.from_nnx(NnxNetwork, norm=norm)
    if library == "linen":
        return ju.from_linen(LinenNetwork(norm), SHAPE)
    if library == "haiku":
        return ju.from_haiku(haiku_network(norm), SHAPE)
    return ju.from_equinox(equinox_network(norm))


def images_of(count, seed=0):
    return np.random.RandomState(seed).uniform(size=(count, *SHAPE)).astype(np.float32)


def averages_of(variables):
    """Running values: what is no parameter, of floating point."""
    rest = ju.split_variables(variables)[1]
    return [x for x in jax.tree.leaves(rest) if jnp.issubdtype(x.dtype, jnp.floating)]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_eval_mode_is_one_function_of_each_image_and_changes_nothing(library, norm):
    model = model_of(library, norm)
    variables = model.init(jax.random.key(0))
    images = images_of(4)
    logits, after = model.apply(variables, images, train=False)
    assert after is variables
    assert logits.shape == (4, CLASSES)
    other = model.logits(variables, np.concatenate([images[:1], images_of(3, seed=1)]))
    np.testing.assert_allclose(other[0], logits[0], rtol=1e-5)
    assert not np.allclose(other[1], logits[1])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_train_mode_keeps_structure_and_moves_running_values_alone(library, norm):
    model = model_of(library, norm)
    variables = model.init(jax.random.key(0))
    key = jax.random.key(1)
    _, after = model.apply(variables, images_of(8), train=True, key=key)
    assert jax.tree.structure(after) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, variables["params"], after["params"])
    pairs = list(zip(averages_of(variables), averages_of(after), strict=True))
    assert bool(pairs) == (norm == "batch")
    assert all(np.any(np.asarray(one) != np.asarray(other)) for one, other in pairs)


@pytest.mark.parametrize("library", LIBRARIES)
def test_dropout_follows_the_key_of_the_pass_and_layers_drop_apart(library):
    model = model_of(library, "layer")
    variables = model.init(jax.random.key(0))
    images = images_of(4)
    one, same, other = (
        model.apply(variables, images, train=True, key=jax.random.key(k))[0] for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    # A unit is kept by both layers a quarter of the time and then weighs 4, so on average nothing
    # changes; layers that shared a mask would double it.
    keys = jax.random.split(jax.random.key(2), 2000)
    drawn = jax.vmap(lambda k: model.apply(variables, images, train=True, key=k)[0])(keys)
    error = np.mean(drawn, axis=0) - model.logits(variables, images)
    deviation = np.std(drawn, axis=0) / np.sqrt(len(keys))
    assert np.all(deviation > 0)
    assert np.max(np.abs(error) / deviation) < 5


@pytest.mark.parametrize("library", MASKING)
def test_rows_that_pad_a_batch_change_neither_logits_nor_running_values(library):
    model = model_of(library, "batch")
    variables = model.init(jax.random.key(0))
    images, key = images_of(5), jax.random.key(3)
    weight = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])
    padded, after = model.apply(variables, images, train=True, weight=weight, key=key)
    alone, expected = model.apply(variables, images[:3], train=True, key=key)
    np.testing.assert_allclose(padded[:3], alone, atol=1e-5)
    for one, other in zip(averages_of(after), averages_of(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_nnx_module_and_its_model_agree_in_both_modes_and_weights_go_back():
    module = NnxNetwork("batch", nnx.Rngs(5))
    for drop in module.drops:
        drop.rate = 0.0
    model, variables, images = ju.from_nnx(module), ju.nnx_variables(module), images_of(8)
    module.eval()
    np.testing.assert_allclose(model.logits(variables, images), module(images), rtol=1e-6)
    logits, after = model.apply(variables, images, train=True, key=jax.random.key(0))
    module.train()
    np.testing.assert_allclose(logits, module(images), rtol=1e-6)
    moved = ju.nnx_variables(module)
    np.testing.assert_allclose(
        after["batch_stats"]["norm"]["mean"], moved["batch_stats"]["norm"]["mean"]
    )
    other = ju.from_nnx(NnxNetwork, norm="batch").init(jax.random.key(9))
    ju.update_nnx(module, other)
    module.eval()
    np.testing.assert_allclose(model.logits(other, images), module(images), rtol=1e-6)


def test_a_built_nnx_module_has_no_fresh_weights_to_give():
    model = ju.from_nnx(NnxNetwork("layer", nnx.Rngs(0)))
    with pytest.raises(ju.InputError, match="model='NnxNetwork': fresh weights are asked for"):
        model.init(jax.random.key(0))
    with pytest.raises(ju.InputError, match="an object of type int: expected an nnx"):
        ju.from_nnx(lambda rngs: 3)


def test_equal_arguments_give_the_same_model():
    assert model_of("nnx") is ju.from_nnx(NnxNetwork, norm="batch")
    assert model_of("linen") is ju.from_linen(LinenNetwork("batch"), SHAPE)
    assert model_of("nnx").name == "NnxNetwork"


def test_a_transformed_haiku_function_is_the_function():
    hk = pytest.importorskip("haiku")
    images = images_of(3)
    plain = model_of("haiku", "batch")
    transformed = hk.transform_with_state(haiku_network("batch"))
    model = ju.from_haiku(transformed, SHAPE, mode="is_training")
    variables = plain.init(jax.random.key(0))
    np.testing.assert_array_equal(model.logits(variables, images), plain.logits(variables, images))
    # Haiku's scales are [1, channels], which would pass for a linear layer's weight.
    assert variables["params"]["batch_norm"]["scale"].shape == (WIDTH,)


def test_equinox_weights_lie_as_everywhere_here():
    eqx = pytest.importorskip("equinox")

    class Network(eqx.Module):
        conv: eqx.nn.Conv2d
        wide: eqx.nn.Conv3d
        back: eqx.nn.ConvTranspose1d
        parts: list

        def __call__(self, image):
            x = self.wide(self.conv(image)[None]).mean(axis=(1, 2))
            return self.parts[0](self.back(x).ravel())

    keys = jax.random.split(jax.random.key(0), 4)
    module = Network(
        eqx.nn.Conv2d(1, 7, (2, 3), key=keys[0]),
        eqx.nn.Conv3d(1, 2, (1, 2, 1), key=keys[1]),
        eqx.nn.ConvTranspose1d(2, 3, 2, key=keys[2]),
        [eqx.nn.Linear(9, CLASSES, key=keys[3])],
    )
    model = ju.from_equinox(lambda key: module)
    variables = model.init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, variables["params"]) == {
        "conv": {"weight": (2, 3, 1, 7), "bias": (7,)},
        "wide": {"weight": (1, 2, 1, 1, 2), "bias": (2,)},
        "back": {"weight": (2, 2, 3), "bias": (3,)},
        "parts": {"0": {"weight": (9, CLASSES), "bias": (CLASSES,)}},
    }
    images = images_of(2)
    expected = jax.vmap(module)(images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(model.logits(variables, images), expected, rtol=1e-6)
    with pytest.raises(ju.InputError, match="object of type float: expected an eqx"):
        ju.from_equinox(lambda key: 1.0)


def problem_of(library, problem):
    model = model_of(library, "batch")
    variables = model.init(jax.random.key(0))
    return dataclasses.replace(problem, model=model, variables=variables, initial=variables)


@pytest.mark.filterwarnings("ignore:model=.*it updates a state but apply takes no weight")
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_run_that_was_cut_off_drops_what_it_would_have_dropped(library, problem, tmp_path):
    given = problem_of(library, problem)
    method = ju.finetune(batch_size=10, epochs=2)
    options = {"mesh": ju.make_mesh(1), "loop": "python"}
    whole = ju.run(method, given, jax.random.key(7), **options)
    asked = []

    def interrupted():
        asked.append(None)
        return 15 if len(asked) == 3 else None

    with pytest.raises(Interrupted), Checkpoints(tmp_path, {}) as saved:
        ju.run(
            method, given, jax.random.key(7), checkpoints=saved, interrupted=interrupted, **options
        )
    with Checkpoints(tmp_path, {}) as saved:
        resumed = ju.run(method, given, jax.random.key(7), checkpoints=saved, **options)
    jax.tree.map(np.testing.assert_array_equal, resumed.variables, whole.variables)
    other = ju.run(method, given, jax.random.key(8), **options)
    assert not np.array_equal(*(jax.tree.leaves(x.variables["params"])[-1] for x in (other, whole)))


def test_several_devices_drop_what_one_drops(problem):
    given = problem_of("nnx", problem)
    one, four = (
        ju.run(
            ju.finetune(batch_size=10, epochs=1), given, jax.random.key(7), mesh=ju.make_mesh(n)
        ).variables
        for n in (1, 4)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, four)


@pytest.mark.parametrize(
    "method",
    [
        ju.jit(batch_size=10, epochs=1, samples=2, train_mode=True),
        ju.boundary_expand(batch_size=10, epochs=1),
        ju.neggrad_plus(batch_size=10, epochs=1),
        ju.negmerge(batch_size=10, epochs=1, models=2),
    ],
    ids=lambda method: type(method).__name__,
)
def test_methods_of_several_passes_give_each_a_key(method, problem):
    given = problem_of("nnx", problem)
    one, same, other = (
        ju.run(method, given, jax.random.key(k), mesh=ju.make_mesh(1)).variables for k in (0, 0, 1)
    )
    jax.tree.map(np.testing.assert_array_equal, one, same)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), one["params"], other["params"])
    assert any(jax.tree.leaves(moved))


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("nnx", "key=None: NnxNetwork draws random numbers in train mode: expected a key"),
        ("linen", "needs PRNG for"),
        ("haiku", "must be called with an RNG|non-None"),
        ("equinox", "requires a key"),
    ],
)
def test_a_pass_that_draws_without_a_key_fails(library, told):
    model = model_of(library, "layer")
    variables = model.init(jax.random.key(0))
    with pytest.raises(Exception, match=told):
        model.apply(variables, images_of(2), train=True)
