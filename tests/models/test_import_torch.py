"""PyTorch's weights give PyTorch's logits.

The golden state dicts and logits were made once by PyTorch 2.13 on a CPU, from networks written
there layer by layer: a ResNet-18 of width 3 with ``shortcut`` and ``linear``, inside a wrapper that
holds it as ``net`` beside a normalisation ``data_normalize`` by CIFAR-100's statistics; a ResNet-34
of width 2 with ``downsample`` and ``fc`` in a ``DataParallel``; a plain VGG-16 with batch
normalisation of width 2. Convolutions were drawn Kaiming normal, linear weights five times the
default, scales and shifts uniform; running statistics were taken from 50 noisy passes in train mode
and then disturbed. The logits are those of IMAGES in eval mode, float32; the last two networks
were shown 2 * IMAGES - 1.
"""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jax_unlearn.core import InputError, Model
from jax_unlearn.models import CENTRED, NORMALIZATIONS, make_model
from jax_unlearn.models.torch_weights import import_torch

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
LOGITS = np.load(GOLDEN / "torch_import_logits.npz")
COARSE = np.random.RandomState(0).uniform(size=(4, 8, 8, 3)).astype(np.float32)
IMAGES = COARSE.repeat(4, axis=1).repeat(4, axis=2)
WIDTHS = {"resnet18": 3, "resnet34": 2, "vgg16_bn": 2}
CIFAR100 = NORMALIZATIONS["cifar100"]


def file_of(name):
    return GOLDEN / f"torch_{name}.safetensors"


def model_of(name, **options):
    own = {"width": WIDTHS[name], "normalize": CIFAR100 if name == "resnet18" else CENTRED}
    return make_model(name, 10, (32, 32, 3), **(own | options))


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@functools.cache
def imported(name):
    return import_torch(file_of(name), model_of(name), normalize=CIFAR100)


def error_of(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        import_torch(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.optimised
@pytest.mark.parametrize("name", WIDTHS)
def test_logits_equal_pytorchs(name):
    logits = jax.jit(model_of(name).logits)(imported(name), IMAGES)
    np.testing.assert_allclose(logits, LOGITS[name], rtol=0, atol=1e-4)
    # The images' logits differ by far more than that.
    assert LOGITS[name].std(axis=0).mean() > 0.1


@pytest.mark.parametrize("name", WIDTHS)
def test_variables_are_those_of_the_network_in_float32(name):
    blank = jax.eval_shape(model_of(name).init, jax.random.key(0))
    variables = imported(name)
    assert jax.tree.structure(variables) == jax.tree.structure(blank)
    for leaf, expected in zip(jax.tree.leaves(variables), jax.tree.leaves(blank), strict=True):
        assert (leaf.shape, leaf.dtype) == (expected.shape, jnp.float32)


def renamed(name):
    """The same state dict under each of the other usual names."""
    arrays = load_file(file_of(name))
    bare = {k.removeprefix("net.").removeprefix("module."): v for k, v in arrays.items()}
    bare = {k: v for k, v in bare.items() if not k.startswith("data_normalize")}
    yield bare
    yield {k: v for k, v in bare.items() if "num_batches_tracked" not in k}
    yield {f"module.net.{k}": v for k, v in bare.items()}
    yield {f"_orig_mod.model.{k}": v for k, v in bare.items()}
    for linear in ("fc", "linear", "classifier", "classifier.0", "classifier.1"):
        other = {k.replace("downsample", "shortcut"): v for k, v in bare.items()}
        yield {re.sub(r"^(fc|linear|classifier)\.", f"{linear}.", k): v for k, v in other.items()}
    yield {k.replace("shortcut", "downsample"): v for k, v in bare.items()}


@pytest.mark.parametrize("name", WIDTHS)
def test_all_usual_names_mean_the_same(name):
    model, variables = model_of(name), imported(name)
    for arrays in renamed(name):
        assert_equal(import_torch(arrays, model), variables)


def test_other_residual_networks_of_the_family_are_understood():
    model = make_model("resnet8", 5, (16, 16, 3), width=2)
    variables = model.init(jax.random.key(0))
    params = variables["params"]
    arrays = {"fc.weight": params["fc"]["kernel"].T, "fc.bias": params["fc"]["bias"]}

    def take(theirs, conv, norm, where, statistics):
        arrays[f"{theirs[0]}.weight"] = where[conv]["kernel"].transpose(3, 2, 0, 1)
        arrays[f"{theirs[1]}.weight"] = where[norm]["scale"]
        arrays[f"{theirs[1]}.bias"] = where[norm]["bias"]
        arrays[f"{theirs[1]}.running_mean"] = statistics[norm]["mean"]
        arrays[f"{theirs[1]}.running_var"] = statistics[norm]["var"]

    take(("conv1", "bn1"), "conv1", "bn1", params, variables["batch_stats"])
    for stage in (1, 2, 3):
        where = params[f"layer{stage}_0"], variables["batch_stats"][f"layer{stage}_0"]
        at = f"layer{stage}.0"
        for n in "12":
            take((f"{at}.conv{n}", f"{at}.bn{n}"), f"conv{n}", f"bn{n}", *where)
        if stage > 1:
            short = f"{at}.shortcut"
            take((f"{short}.0", f"{short}.1"), "downsample_conv", "downsample_bn", *where)
    assert_equal(import_torch(arrays, model), variables)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64])
def test_other_floating_types_are_cast_to_float32(dtype, tmp_path):
    arrays = {k: v.astype(dtype) for k, v in next(renamed("vgg16_bn")).items()}
    path = tmp_path / "cast.safetensors"
    save_file(arrays, path)
    variables = import_torch(path, model_of("vgg16_bn"))
    expected = jax.tree.map(
        lambda x: np.asarray(x).astype(dtype).astype(np.float32), imported("vgg16_bn")
    )
    assert_equal(variables, expected)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}


@pytest.mark.parametrize("name", ["conv1.weight", "layer1.0.bn1.running_var", "fc.bias"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_in_float32_are_named(name, bad, tmp_path):
    arrays = {k: v.astype(np.float64) for k, v in next(renamed("resnet34")).items()}
    name = name if name in arrays else next(k for k in arrays if k.startswith("linear.bias"))
    arrays[name].reshape(-1)[0] = bad
    save_file(arrays, tmp_path / "sick.safetensors")
    for source in (arrays, tmp_path / "sick.safetensors"):
        message = error_of(source, model_of("resnet34"))
        assert f": NaN or infinite numbers in {name} (1 of {arrays[name].size}): expec" in message


def test_everything_wrong_with_a_state_dict_is_listed_in_one_line():
    arrays = next(renamed("vgg16_bn"))
    del arrays["features.0.bias"], arrays["features.1.running_var"]
    arrays["features.3.weight"] = arrays["features.3.weight"][:, :1]
    arrays["features.4.bias"] = np.ones(2, np.int64)
    arrays["head.weight"] = np.ones(3)
    arrays["fc.weight"] = arrays["classifier.weight"]
    message = error_of(arrays, model_of("vgg16_bn"))
    assert message == (
        "source: not the state dict of this network: missing: features.1.running_var, "
        "features.0.bias; not expected: head.weight, fc.weight; misshapen: features.3.weight "
        "[2, 1, 3, 3] where [2, 2, 3, 3] belongs; of another type: features.4.bias int64 where "
        "float belongs; expected the same network with the same width, classes and channels, a 3x3 "
        "first convolution and one linear layer"
    )


def test_a_state_dict_of_another_network_depth_width_or_stem_is_refused():
    assert "not expected: " in error_of(file_of("resnet34"), model_of("resnet18", width=2))
    assert "missing: layer1.2.bn1.running_mean" in error_of(
        file_of("resnet18"), model_of("resnet34"), normalize=CIFAR100
    )
    wide = error_of(file_of("resnet18"), model_of("resnet18", width=4), normalize=CIFAR100)
    assert "conv1.weight [3, 3, 3, 3] where [4, 3, 3, 3] belongs" in wide
    arrays = next(renamed("resnet34"))
    arrays["conv1.weight"] = np.ones((2, 3, 7, 7), np.float32)
    stem = error_of(arrays, model_of("resnet34"))
    assert "misshapen: conv1.weight [2, 3, 7, 7] where [2, 3, 3, 3] belongs; expected" in stem


@pytest.mark.parametrize("normalize", [None, CENTRED, "cifar100", (CIFAR100[0],), (0.5, "x")])
def test_a_normalisation_of_the_state_dict_must_be_the_models(normalize):
    message = error_of(file_of("resnet18"), model_of("resnet18"), normalize=normalize)
    assert message.startswith(f"normalize={normalize!r}: source=")
    assert "mean (0.5071, 0.4865, 0.4409), std (0.2673, 0.2564, 0.2762); build" in message


def test_a_normalisation_inside_the_network_is_read_too():
    arrays = next(renamed("resnet18"))
    arrays |= {"normalize.mean": np.full(3, 0.5), "normalize.std": np.full((1, 3, 1, 1), 0.5)}
    variables = import_torch(arrays, model_of("resnet18", normalize=CENTRED), normalize=CENTRED)
    assert_equal(variables, imported("resnet18"))


def test_a_checkpoint_around_the_state_dict_is_refused_with_what_it_holds():
    message = error_of({"net": next(renamed("resnet34")), "epoch": 3}, model_of("resnet34"))
    assert "not expected: net, epoch" in message


def test_what_is_no_array_is_named():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    message = error_of({"fc.weight": Tensor()}, model_of("resnet34"))
    assert "source: fc.weight cannot be read as an array (can't convert cuda:0" in message


def test_a_pickle_is_refused_unopened(tmp_path):
    message = error_of(tmp_path / "model-last.pth", model_of("resnet18"))
    assert "model-last.pth': a pickle can run any code and is never loaded" in message


def test_a_damaged_or_missing_file_is_named(tmp_path):
    path = tmp_path / "half.safetensors"
    assert f"source={str(path)!r}: no such file" in error_of(path, model_of("resnet34"))
    path.write_bytes(file_of("resnet34").read_bytes()[:-1])
    assert "damaged, or not a .safetensors file (" in error_of(path, model_of("resnet34"))


def test_networks_of_another_kind_are_refused():
    convnet = make_model("convnet", 10, (32, 32, 3))
    own = Model(init=lambda key: jnp.zeros(3), apply=lambda *_, **__: None, name="mine")
    for model in (convnet, own):
        message = error_of({}, model)
        assert message.startswith(f"model='{model.name}': PyTorch's names are known for resnet18")
    assert error_of({}, "resnet18").startswith("model='resnet18': expected a Model; build one")
