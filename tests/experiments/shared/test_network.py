"""The network of an experiment: pretrained weights, enlarged images, what a bank knows of it."""

import dataclasses

import jax
import numpy as np
import pytest

import jax_unlearn as ju
from experiments.shared.network import build_network, check_network, describe_network
from experiments.shared.original import Network
from jax_unlearn.core import InputError

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of a network for 16x16 pixels and 3 classes."""
    model = ju.make_model("vit_tiny", 3, (16, 16, 1), width=4, patch=8)
    folder = tmp_path_factory.mktemp("vit")
    ju.save_pretrained(folder, model, model.init(jax.random.key(5)))
    return folder


def network(folder):
    return Network(name="vit_tiny", width=4, patch=8, image_size=16, weights=str(folder))


def build(network):
    return build_network(network, 5, SHAPE, "digits")


def test_weights_are_those_of_the_folder_but_for_the_last_layer(folder):
    model = build(network(folder))
    stored = ju.from_pretrained(folder).variables
    one, other = (model.init(jax.random.key(k)) for k in (0, 1))
    kernels = [variables["params"].pop("fc")["kernel"] for variables in (stored, one, other)]
    assert [kernel.shape for kernel in kernels] == [(4, 3), (4, 5), (4, 5)]
    assert not np.array_equal(kernels[1], kernels[2])
    for variables in (one, other):
        jax.tree.map(np.testing.assert_array_equal, variables, stored)


def test_images_are_enlarged_inside_the_network(folder):
    model = build(network(folder))
    inner = ju.make_model("vit_tiny", 5, (16, 16, 1), width=4, patch=8)
    variables = model.init(jax.random.key(0))
    images = np.random.RandomState(0).uniform(size=(2, *SHAPE)).astype(np.float32)
    enlarged = jax.image.resize(images, (2, 16, 16, 1), "bilinear")
    np.testing.assert_allclose(
        model.logits(variables, images), inner.logits(variables, enlarged), rtol=1e-6
    )
    assert (model.takes_weight, model.takes_key) == (inner.takes_weight, inner.takes_key)
    assert build(network(folder)) is model


def test_a_bank_knows_which_weights_a_network_starts_from(folder, tmp_path):
    plain = Network(name="convnet", width=4)
    # Models that were trained before there were other settings are found by these alone.
    assert describe_network(plain) == {"name": "convnet", "width": 4, "dtype": "float32"}
    told = describe_network(network(folder))
    assert (told["patch"], told["image_size"]) == (8, 16)
    model = ju.make_model("vit_tiny", 3, (16, 16, 1), width=4, patch=8)
    ju.save_pretrained(tmp_path, model, model.init(jax.random.key(6)))
    other = describe_network(network(tmp_path))
    assert told["weights_digest"] != other["weights_digest"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 5}, r"network.patch=5: expected a divisor of the images' 16x16 pixels"),
        ({"name": "convnet", "patch": 4}, "network.patch=4: convnet has no argument patch"),
        ({"weights": "no such folder"}, "network.weights='no such folder': no such folder"),
        ({"weights": "x.safetensors"}, "network.weights='x.safetensors': no such file"),
        ({"width": 6}, "not the arrays of these variables: misshapen: params.blocks_0"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_typed(change, message, folder):
    with pytest.raises(InputError, match=message) as error:
        build(dataclasses.replace(network(folder), **change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": -1}, "network.image_size=-1: expected a whole number >= 0"),
        ({"normalize": "cifar11"}, "network.normalize='cifar11': did you mean cifar10"),
    ],
)
def test_a_setting_is_checked_before_any_data_is_read(change, message):
    with pytest.raises(InputError, match=message):
        check_network(Network(**change))


def test_pixels_are_normalised_as_asked():
    models = [
        build_network(Network(width=2, normalize=name), 3, (4, 4, 3), "cifar10")
        for name in ("", "cifar10", "centred")
    ]
    assert models[0] is models[1]
    assert models[2] is ju.make_model("convnet", 3, (4, 4, 3), width=2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "ju.Model(lambda key: {'w': 1 / 0}, lambda variables, images, *, train: images)",
            "its init fails (ZeroDivisionError: division by zero)",
        ),
        (
            "ju.Model(lambda key: {}, lambda variables, images, *, train: images.nothing)",
            "apply fails on images float32[2, 8, 8, 1] with train=False (AttributeError",
        ),
    ],
)
def test_a_network_of_ones_own_is_traced_before_anything_is_written(tmp_path, body, message):
    file = tmp_path / "mine.py"
    text = f"import jax_unlearn as ju\ndef net(num_classes, image_shape):\n    return {body}\n"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        build(Network(name=f"{file}:net"))
    assert str(caught.value).startswith(f"network.name='{file}:net': ")
    assert message in str(caught.value)
