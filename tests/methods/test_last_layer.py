"""The last linear layer is found by what the network computes, whatever its parts are called."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.methods.last_layer import last_linear_layer, scale_outside

IMAGE = (8, 8, 3)


def problem_of(model, *, weights=True):
    examples = ju.Examples(
        np.zeros((2, *IMAGE), np.uint8), np.array([0, 1], np.int32), np.arange(2)
    )
    variables = model.init(jax.random.key(0)) if weights else None
    return ju.Problem(
        model=model, variables=variables, forget=examples, retain=None, num_classes=10
    )


def found(model, name="", *, weights=True):
    """Paths of the parameters that are said to be the last layer's."""
    layer = last_linear_layer(problem_of(model, weights=weights), name)
    paths = jax.tree_util.tree_leaves_with_path(layer)
    return {jax.tree_util.keystr(path, simple=True, separator="/") for path, on in paths if on}


def plain(function, **params):
    """A network of plain functions: ``function(params, pixels [B, P]) -> logits``."""

    def init(key):
        del key
        return jax.tree.map(jnp.ones, params, is_leaf=lambda x: isinstance(x, tuple))

    def apply(variables, images, *, train):
        del train
        return function(variables, images.reshape(len(images), -1)), variables

    return ju.Model(init, apply, "plain")


def linen(network):
    def apply(variables, images, *, train):
        del train
        return network.apply(variables, images), variables

    return ju.Model(lambda key: network.init(key, jnp.zeros((1, *IMAGE))), apply, "mine")


@pytest.mark.parametrize("name", ["convnet", "resnet10", "vgg16_bn"])
@pytest.mark.parametrize("weights", [True, False])
def test_of_this_librarys_networks_it_is_fc(name, weights):
    model = ju.make_model(name, 10, IMAGE if name == "convnet" else (32, 32, 3), width=2)
    problem = dataclasses.replace(problem_of(model, weights=weights))
    if name != "convnet":
        image = np.zeros((2, 32, 32, 3), np.uint8)
        problem = dataclasses.replace(problem, forget=problem.forget._replace(image=image))
    layer = last_linear_layer(problem)
    paths = {path[0].key for path, on in jax.tree_util.tree_leaves_with_path(layer) if on}
    assert paths == {"fc"}
    assert sum(jax.tree.leaves(layer)) == 2


class AutoNamed(nn.Module):
    """Names as linen gives them: the last layer, written first, is Dense_0."""

    @nn.compact
    def __call__(self, images):
        head = nn.Dense(10)
        body = nn.Dense(6)
        x = nn.relu(body(images.reshape(len(images), -1)))
        return head(nn.LayerNorm()(x))


class Pooled(nn.Module):
    """A 1x1 convolution is the last layer, averaged over places afterwards."""

    @nn.compact
    def __call__(self, images):
        x = nn.gelu(nn.Conv(4, (3, 3), name="body")(images))
        return nn.Conv(10, (1, 1), name="classes")(x).mean((1, 2)) / 0.1


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (AutoNamed(), {"params/Dense_0/kernel", "params/Dense_0/bias"}),
        (Pooled(), {"params/classes/kernel", "params/classes/bias"}),
    ],
)
def test_of_linen_networks_it_is_what_makes_the_logits(network, layer):
    assert found(linen(network)) == {path.removeprefix("params/") for path in layer}


P = 8 * 8 * 3
HIDDEN = {"a": (P, 5), "b": (5, 10), "c": (10,), "d": (P, 10)}


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        (lambda p, x: x @ p["d"] + p["c"][None], {"d", "c"}),
        (lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"], {"b"}),
        (lambda p, x: 1000 * (jnp.tanh(x @ p["a"]) @ p["b"] + p["c"][None]), {"b", "c"}),
        (
            lambda p, x: jax.jit(lambda h: h @ p["b"])(jnp.tanh(x @ p["a"])) + p["c"][None],
            {"b", "c"},
        ),
        (lambda p, x: (x @ p["a"]) @ p["b"].astype(jnp.bfloat16), {"b"}),
        (lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"] + x @ p["d"], {"b", "d"}),
        (lambda p, x: jnp.tanh(x @ p["a"]) @ jnp.transpose(p["b"].T) - p["c"][None], {"b", "c"}),
        (lambda p, x: jax.checkpoint(lambda h: h @ p["b"])(jnp.tanh(x @ p["a"])), {"b"}),
    ],
)
def test_sums_factors_and_changes_of_shape_lead_to_the_logits(function, layer):
    assert found(plain(function, **HIDDEN)) == layer


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        # A temperature: divided by, of every class, or by its logarithm.
        (lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"] + p["c"][None]) / p["t"], {"b", "c"}),
        (lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"]) * p["c"][None], {"b"}),
        (lambda p, x: jnp.exp(p["t"]) * (jnp.tanh(x @ p["a"]) @ p["b"]), {"b"}),
        (
            lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"]) * jax.nn.softplus(p["t"]) + p["c"][None],
            {"b", "c"},
        ),
        (lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"])[:, jnp.array([3, 1, 2])], {"b"}),
        (lambda p, x: jnp.take(jnp.tanh(x @ p["a"]) @ p["b"], jnp.arange(4), axis=1), {"b"}),
        (lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"])[:, ::-1][:, :4], {"b"}),
        (
            lambda p, x: jnp.concatenate(
                [x @ p["d"][:, :6], jnp.tanh(x @ p["a"]) @ p["e"]], axis=1
            ),
            {"d", "e"},
        ),
        (lambda p, x: jnp.where(jnp.arange(10) < 7, jnp.tanh(x @ p["a"]) @ p["b"], -9.0), {"b"}),
        (lambda p, x: jnp.pad(jnp.tanh(x @ p["a"]) @ p["b"], ((0, 0), (0, 2))), {"b"}),
        (lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"]) @ jnp.eye(10), {"b"}),
    ],
)
def test_learned_factors_choices_and_joined_parts_lead_to_the_logits(function, layer):
    params = {**HIDDEN, "t": (), "e": (5, 4)}
    assert found(plain(function, **params)) == layer


def test_the_remedy_names_a_layer_of_the_users_own_network():
    class Cosine(nn.Module):
        @nn.compact
        def __call__(self, images):
            x = nn.relu(nn.Dense(6, name="trunk")(images.reshape(len(images), -1)))
            weight = self.param("prototypes", nn.initializers.ones, (6, 10))
            scores = x @ (weight / jnp.linalg.norm(weight, axis=0, keepdims=True))
            return scores * self.param("temperature", nn.initializers.ones, ())[None, None]

    model = linen(Cosine())
    with pytest.raises(InputError, match=r"one of prototypes, temperature, trunk") as error:
        found(model)
    assert "such as last_layer='prototypes'" in str(error.value)
    assert found(model, "prototypes") == {"prototypes"}


@pytest.mark.parametrize(
    "function",
    [
        # The logits go through something, or the weight does.
        lambda p, x: jax.nn.log_softmax(jnp.tanh(x @ p["a"]) @ p["b"]),
        lambda p, x: jnp.tanh(x @ p["a"]) @ (p["b"] / jnp.linalg.norm(p["b"])),
        lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"] + jnp.tanh(x @ p["d"]),
        # A factor with features in it, and one that the layer's own weight is part of.
        lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"]) * (x @ p["d"]),
        lambda p, x: (jnp.tanh(x @ p["a"]) @ p["b"]) / jnp.linalg.norm(p["b"]),
        lambda p, x: jnp.concatenate([jnp.tanh(x @ p["a"]) @ p["b"][:, :5], x[:, :5]], axis=1),
        lambda p, x: jnp.where(x[:, :1] > 0, jnp.tanh(x @ p["a"]) @ p["b"], p["c"][None]),
    ],
)
def test_where_it_cannot_be_told_one_line_says_so_before_anything_runs(function):
    model = plain(function, **HIDDEN)
    with pytest.raises(InputError, match="last linear layer of plain cannot be found") as error:
        found(model)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("; set last_layer, such as last_layer='d', or body_rate=1")
    problem = problem_of(model)
    for method in (ju.mumis(batch_size=1), ju.mumis_last_layer(batch_size=1)):
        with pytest.raises(InputError, match=r"^body_rate: .* one of a, b, c, d; set last_layer"):
            ju.run(method, problem, jax.random.key(0), watch=lambda _: pytest.fail("it ran"))
    ju.mumis(batch_size=1, body_rate=1.0).check(problem)
    ju.mumis_last_layer(batch_size=1, last_layer="b").check(problem)


def test_it_can_be_named_by_a_part_of_its_path():
    model = linen(AutoNamed())
    assert found(model, "Dense_1") == {"Dense_1/kernel", "Dense_1/bias"}
    assert found(model, "Dense_1/kernel") == {"Dense_1/kernel"}
    with pytest.raises(
        InputError, match=r"^last_layer='Dense': no .* Dense_0, Dense_1, LayerNorm_0"
    ):
        found(model, "Dense")


PIXELS = 8 * 8 * 3


def test_weights_that_make_features_too_are_not_the_last_layers():
    tied = plain(
        lambda p, x: jnp.tanh(x @ p["embed"] @ p["out"].T) @ p["out"],
        embed=(PIXELS, 10),
        out=(4, 10),
    )
    with pytest.raises(InputError, match="cannot be found"):
        found(tied)

    def flat(p, x):
        first, last = p["all"][: PIXELS * 4], p["all"][PIXELS * 4 :]
        return jnp.tanh(x @ first.reshape(PIXELS, 4)) @ last.reshape(4, 10)

    with pytest.raises(InputError, match="cannot be found"):
        found(plain(flat, all=(PIXELS * 4 + 40,)))


def test_a_name_is_looked_for_at_the_root_first_and_several_have_commas():
    def nested(variables, images, *, train):
        del train
        x = images.reshape(len(images), -1)
        for weight, bias in variables[:-1]:
            x = jnp.tanh(x @ weight + bias)
        (weight, bias) = variables[-1]
        return x @ weight + bias, variables

    sizes = [(PIXELS, 4), (4, 10)]
    model = ju.Model(
        lambda key: [[jnp.ones(size), jnp.ones(size[1])] for size in sizes], nested, "nested"
    )
    assert found(model, "1") == {"1/0", "1/1"}
    assert found(model, "0/0,1") == {"0/0", "1/0", "1/1"}


def test_a_layer_that_rests_stays_whatever_its_gradient():
    layer = {"body": jnp.array(False), "last": jnp.array(True)}
    updates = {"body": jnp.array([jnp.inf, jnp.nan]), "last": jnp.array([2.0, 3.0])}
    scaled = scale_outside(layer, 0.0, updates)
    np.testing.assert_array_equal(scaled["body"], [0.0, 0.0])
    np.testing.assert_array_equal(scaled["last"], [2.0, 3.0])
