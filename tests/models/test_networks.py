"""The networks are the CIFAR definitions that PyTorch users know, and nothing else."""

import functools
import pathlib
import re
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_unlearn.core import split_variables
from jax_unlearn.models import CENTRED, MODELS, NORMALIZATIONS, make_model

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "torch_networks.npz")
TORCH_NETWORKS = ("resnet18", "resnet34", "resnet20", "vgg16_bn")
SMALL = {"convnet": (8, 8, 1), "resnet8": (8, 8, 3)}


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def small(name, **options):
    return make_model(name, 10, SMALL[name], width=4, **options)


@functools.partial(jax.jit, static_argnames=("model", "train"))
def apply(model, variables, images, *, train):
    return model.apply(variables, images, train=train)


def images_for(model_name, batch, seed=0):
    return jax.random.uniform(jax.random.key(seed), (batch, *SMALL[model_name]))


@pytest.mark.parametrize(
    ("name", "classes", "size", "expected"),
    [
        ("resnet18", 100, 32, 11_220_132),
        ("resnet18", 10, 32, 11_173_962),
        ("resnet34", 200, 64, 21_379_592),
        ("vgg16_bn", 10, 32, 14_728_266),
    ],
)
def test_parameter_counts_are_those_of_the_cifar_definitions(name, classes, size, expected):
    model = make_model(name, classes, (size, size, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert count(variables["params"]) == expected


# --- The same weights give the same numbers as PyTorch, in double precision. ---


def torch_value(name, shape):
    """Draw the array that the golden file's networks hold under a PyTorch name."""
    draws = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        return 1 + 0.5 * np.tanh(draws)
    if len(shape) == 4:
        return draws * (2 / np.prod(shape[1:])) ** 0.5
    if len(shape) == 2:
        return draws * shape[1] ** -0.5
    return 1 + 0.2 * draws if name.endswith("weight") else 0.2 * draws


def torch_name(network, path):
    """PyTorch's name of a leaf of our variables."""
    *modules, leaf = [key.key for key in path][1:]
    leaf = {
        "kernel": "weight",
        "scale": "weight",
        "mean": "running_mean",
        "var": "running_var",
    }.get(leaf, leaf)
    where = ".".join(modules)
    if network.startswith("vgg") and where != "fc":
        kind, stage, layer = re.fullmatch(r"(conv|bn)(\d)_(\d)", where).groups()
        # PyTorch numbers convolution, norm and ReLU of each layer, and the pool of each stage.
        before = sum((2, 2, 3, 3, 3)[: int(stage) - 1]) + int(layer) - 1
        where = f"features.{3 * before + int(stage) - 1 + (kind == 'bn')}"
    for ours, theirs in [
        ("downsample_conv", "downsample.0"),
        ("downsample_bn", "downsample.1"),
        *((f"layer{s}_{b}", f"layer{s}.{b}") for s in range(1, 5) for b in range(6)),
    ]:
        where = where.replace(ours, theirs)
    return f"{where}.{leaf}"


def to_torch_layout(array):
    return array.transpose({4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, range(array.ndim)))


def from_torch_layout(array):
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))


@pytest.fixture(params=TORCH_NETWORKS)
def torch_twin(request):
    """One narrow network with PyTorch's weights: its name, apply, variables, shapes, images."""
    name = request.param
    model = make_model(name, 10, (32, 32, 3), width=2, normalize=NORMALIZATIONS["cifar10"])
    blank = jax.eval_shape(model.init, jax.random.key(0))
    shapes = {
        torch_name(name, path): to_torch_layout(np.empty(leaf.shape)).shape
        for path, leaf in jax.tree.leaves_with_path(blank)
    }
    variables = jax.tree.map_with_path(
        lambda path, leaf: jnp.asarray(
            from_torch_layout(torch_value(torch_name(name, path), shapes[torch_name(name, path)])),
            jnp.float32,
        ),
        blank,
    )
    images = np.random.RandomState(0).uniform(size=(4, 32, 32, 3)).astype(np.float32)
    return name, model, variables, shapes, images


def test_layers_have_pytorchs_names_and_shapes(torch_twin):
    name, _, _, shapes, _ = torch_twin
    expected = {
        key: tuple(int(n) for n in text.split())
        for key, text in zip(GOLDEN[f"{name}/names"], GOLDEN[f"{name}/shapes"], strict=True)
    }
    assert shapes == expected


@pytest.mark.optimised
def test_eval_logits_equal_pytorchs(torch_twin):
    name, model, variables, _, images = torch_twin
    expected = GOLDEN[f"{name}/eval_logits"]
    logits = jax.jit(model.logits)(variables, images)
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.optimised
@pytest.mark.parametrize("torch_twin", ["resnet18", "vgg16_bn"], indirect=True)
def test_training_pass_equals_pytorchs_but_for_the_biased_running_variance(torch_twin):
    name, model, variables, _, images = torch_twin
    params, state = split_variables(variables)
    labels = jnp.array([0, 3, 9, 5])

    @jax.jit
    def training_pass(params):
        def loss(params):
            logits, after = model.apply({**state, "params": params}, images, train=True)
            mean = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
            return mean, (logits, after)

        return jax.grad(loss, has_aux=True)(params)

    gradient, (logits, after) = training_pass(params)
    np.testing.assert_allclose(logits, GOLDEN[f"{name}/train_logits"], atol=3e-4)

    def by_name(tree):
        return {torch_name(name, path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}

    # The golden running variances were taken with PyTorch's biased batch variance.
    statistics = by_name({"batch_stats": after["batch_stats"]})
    names = [n for n in GOLDEN[f"{name}/names"] if "running" in n]
    ours = np.concatenate([statistics[n] for n in names])
    np.testing.assert_allclose(ours, GOLDEN[f"{name}/running"], rtol=1e-4, atol=1e-4)

    slopes = by_name({"params": gradient})
    names = [n for n in GOLDEN[f"{name}/names"] if "running" not in n]
    norms = np.array([np.linalg.norm(slopes[n]) for n in names])
    np.testing.assert_allclose(norms, GOLDEN[f"{name}/gradient_norms"], rtol=2e-3, atol=1e-4)


# --- Initial weights ---


def test_convolutions_start_kaiming_normal_fan_out():
    variables = make_model("resnet8", 10, (32, 32, 3), width=32).init(jax.random.key(0))
    kernel = np.asarray(variables["params"]["layer2_0"]["conv2"]["kernel"])
    deviation = np.sqrt(2 / (9 * 64))
    assert abs(float(kernel.std()) / deviation - 1) < 0.02
    # A normal, not a truncated one, reaches beyond three deviations.
    assert float(abs(kernel).max()) > 3.5 * deviation


def test_linear_layer_starts_uniform_within_one_over_root_fan_in():
    variables = make_model("resnet8", 100, (32, 32, 3), width=16).init(jax.random.key(0))
    kernel, bias = (np.asarray(variables["params"]["fc"][name]) for name in ("kernel", "bias"))
    for leaf in (kernel, bias):
        assert 0.9 * 64**-0.5 < float(abs(leaf).max()) <= 64**-0.5
    assert abs(float(kernel.std()) * np.sqrt(3 * 64) - 1) < 0.03


def test_vggs_linear_layer_starts_small_and_its_biases_zero():
    variables = make_model("vgg16_bn", 100, (32, 32, 3), width=8).init(jax.random.key(0))
    assert abs(np.std(variables["params"]["fc"]["kernel"]) / 0.01 - 1) < 0.05
    assert not np.any(variables["params"]["fc"]["bias"])
    assert not np.any(variables["params"]["conv1_1"]["bias"])


def test_no_two_layers_share_their_initial_numbers():
    params = make_model("resnet8", 10, (32, 32, 3)).init(jax.random.key(0))["params"]
    kernels = [np.ravel(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim == 4]
    numbers = np.concatenate([kernel / kernel.std() for kernel in kernels])
    assert len(np.unique(numbers)) > 0.99 * len(numbers)


def test_batch_normalisation_starts_as_the_identity():
    variables = make_model("convnet", 10, (8, 8, 1)).init(jax.random.key(0))
    start = {**variables["params"]["bn2"], **variables["batch_stats"]["bn2"]}
    assert {name: set(np.asarray(leaf)) for name, leaf in start.items()} == {
        "scale": {1.0},
        "bias": {0.0},
        "mean": {0.0},
        "var": {1.0},
    }


# --- What every network must keep ---


@pytest.mark.parametrize("name", SMALL)
def test_an_examples_logits_in_eval_mode_do_not_depend_on_the_others(name):
    model = small(name)
    variables = model.init(jax.random.key(0))
    a, b = images_for(name, 4, seed=1), images_for(name, 4, seed=2)
    alone, _ = apply(model, variables, a, train=False)
    mixed, _ = apply(model, variables, jnp.concatenate([a[:1], b[1:]]), train=False)
    np.testing.assert_array_equal(alone[0], mixed[0])
    assert not np.array_equal(alone[1], mixed[1])


@pytest.mark.parametrize("name", SMALL)
def test_eval_mode_returns_the_variables_unchanged(name):
    model = small(name)
    same = []

    def evaluate(variables):
        logits, after = model.apply(variables, images_for(name, 2), train=False)
        same.append(after is variables)
        return logits

    jax.eval_shape(evaluate, jax.eval_shape(model.init, jax.random.key(0)))
    assert same == [True]


@pytest.mark.parametrize("name", SMALL)
def test_train_mode_changes_the_statistics_and_nothing_else(name):
    model = small(name)
    variables = model.init(jax.random.key(0))
    _, after = apply(model, variables, images_for(name, 4), train=True)
    assert jax.tree.structure(after) == jax.tree.structure(variables)
    before_and_after = (variables["batch_stats"], after["batch_stats"])
    moved = jax.tree.map(lambda a, b: np.any(np.asarray(a) != np.asarray(b)), *before_and_after)
    assert all(jax.tree.leaves(moved))
    jax.tree.map(np.testing.assert_array_equal, variables["params"], after["params"])


@pytest.mark.parametrize("name", SMALL)
def test_padding_rows_change_neither_the_other_logits_nor_the_statistics(name):
    model = small(name)
    variables = model.init(jax.random.key(0))
    images = images_for(name, 5)
    weight = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])
    masked = jax.jit(model.apply, static_argnames="train")
    padded, after = masked(variables, images, train=True, weight=weight)
    expected, expected_after = apply(model, variables, images[:3], train=True)
    np.testing.assert_allclose(padded[:3], expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after, expected_after)
    unmasked, _ = apply(model, variables, images, train=True)
    assert float(abs(unmasked[:3] - expected).max()) > 1e-3


def test_running_statistics_move_a_tenth_of_the_way_to_the_biased_batch_statistics():
    model = small("convnet")
    variables = model.init(jax.random.key(0))
    images = images_for("convnet", 8)
    _, after = apply(model, variables, images, train=True)
    (mean,), (std,) = CENTRED
    first = jax.lax.conv_general_dilated(
        (images - mean) / std,
        variables["params"]["conv1"]["kernel"],
        (1, 1),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    statistics = after["batch_stats"]["bn1"]
    np.testing.assert_allclose(statistics["mean"], 0.1 * first.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(statistics["var"], 0.9 + 0.1 * first.var((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("train", [False, True])
def test_bfloat16_keeps_weights_statistics_and_logits_float32_and_comes_close(name, train):
    full, half = small(name), small(name, dtype="bfloat16")
    variables = half.init(jax.random.key(0))
    images = images_for(name, 8)
    expected, _ = apply(full, variables, images, train=train)
    logits, after = apply(half, variables, images, train=train)
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, logits, after))} == {
        np.dtype("float32")
    }
    difference = float(jnp.abs(logits - expected).max() / expected.std())
    assert 0 < difference < 0.1


@pytest.mark.parametrize("name", SMALL)
def test_both_ways_of_differentiating_an_input_gradient_norm_agree_and_are_finite(name):
    model = small(name)
    params, state = split_variables(model.init(jax.random.key(0)))
    images = images_for(name, 3)

    def score(params, images):
        return model.logits({**state, "params": params}, images)[:, 1].sum()

    def reverse_over_reverse(params):
        return (jax.grad(score, argnums=1)(params, images) ** 2).sum()

    def reverse_over_forward(params):
        direction = jax.lax.stop_gradient(jax.grad(score, argnums=1)(params, images))
        slope = jax.jvp(lambda x: score(params, x), (images,), (direction,))[1]
        return 2 * slope

    one = jax.jit(jax.grad(reverse_over_reverse))(params)
    other = jax.jit(jax.grad(reverse_over_forward))(params)
    assert optax.tree.norm(one) > 0
    scale = float(optax.tree.norm(one))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * scale), one, other)


def test_normalization_is_inside_the_network():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    raw = make_model("resnet8", 10, (8, 8, 3), width=4, normalize=((0.0,), (1.0,)))
    inside = make_model("resnet8", 10, (8, 8, 3), width=4, normalize=(mean, std))
    variables = raw.init(jax.random.key(0))
    images = images_for("resnet8", 4)
    by_hand = (images - jnp.array(mean).reshape(1, 1, 1, 3)) / jnp.array(std).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(
        apply(inside, variables, images, train=False)[0],
        apply(raw, variables, by_hand, train=False)[0],
        atol=1e-5,
    )


def test_every_listed_network_maps_a_batch_to_one_logit_per_class():
    for name in MODELS:
        model = make_model(name, 7, (32, 32, 3), width=2)
        variables = jax.eval_shape(model.init, jax.random.key(0))
        images = jax.ShapeDtypeStruct((5, 32, 32, 3), jnp.float32)
        logits = jax.eval_shape(model.logits, variables, images)
        assert (logits.shape, logits.dtype) == ((5, 7), jnp.float32)
