"""Weights of PyTorch's CIFAR ResNets and VGG-16 for the same networks here."""

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import InputError, Model, Variables
from jax_unlearn.models.safetensors_io import (
    Spec,
    check_finite,
    differences,
    open_safetensors,
    read_specs,
    tensor_name,
)

if TYPE_CHECKING:
    from jax_unlearn.models.linen import Normalization

_WRAPPERS = re.compile(r"^((module|net|model|_orig_mod)\.)+")
_NORMALIZATION = re.compile(r"(?:data_)?normalize\.(mean|std)")
_LINEAR = re.compile(r"(fc|linear|classifier(\.\d+)?)\.(?=weight$|bias$)")
_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def import_torch(
    source: str | os.PathLike | Mapping[str, Any],
    model: Model,
    *,
    normalize: "Normalization | None" = None,
) -> Variables:
    """Turn a PyTorch state dict into the variables of a ResNet or VGG of this library.

    It understands the names of torchvision's ResNet and VGG with batch normalisation
    (``layer1.0.downsample.0``, ``features.0``, ``fc`` or ``classifier``), those that CIFAR code
    often has instead (``shortcut`` for ``downsample``, ``linear`` for ``fc``), and any of the
    prefixes ``module.`` (DataParallel), ``_orig_mod.`` (torch.compile), ``net.`` (the wrapper in
    the code of Zhengbao He, Tao Li, Xinwen Cheng, Zhehao Huang, Xiaolin Huang, "Towards Natural
    Machine Unlearning", 2024, arXiv 2405.15495) and ``model.``. The ResNet has the CIFAR stem, one
    3x3 convolution, and the VGG one linear layer. ``num_batches_tracked`` is ignored. No pickle is
    ever loaded.

    Args:
      source: a ``.safetensors`` file, or arrays by name. Any floating type; convolution weights
        [out, in, height, width], linear weights [out, in].
      model: the network, of the same width, classes and channels, such as
        ``make_model('resnet18', 100, (32, 32, 3), normalize=NORMALIZATIONS['cifar100'])``.
      normalize: mean and standard deviation that ``model`` was made with. Needed where the state
        dict carries its own (``data_normalize.mean`` and ``.std``), and must then equal them.

    Returns:
      ``{'params': ..., 'batch_stats': ...}``, float32.

    Raises:
      InputError: the file is missing, damaged or a pickle; the network is of another kind; arrays
        are missing, not expected, misshapen, not floating or not finite (all are named); or the
        state dict normalises images differently.
    """
    if not isinstance(model, Model):
        raise InputError(f"model={model!r}: expected a Model; build one with make_model(...)")
    blank = jax.eval_shape(model.init, jax.random.key(0))
    theirs = _torch_names(model, blank)
    if isinstance(source, Mapping):
        arrays = {name: _array(name, value) for name, value in source.items()}
        specs = {name: Spec(array.shape, array.dtype.name) for name, array in arrays.items()}
        return _convert("source", specs, arrays.__getitem__, blank, theirs, normalize)
    with open_safetensors("source", source) as file:
        label = f"source={str(source)!r}"
        return _convert(label, read_specs(file), file.get_tensor, blank, theirs, normalize)


def _convert(
    label: str,
    specs: Mapping[str, Spec],
    read: Any,
    blank: Variables,
    theirs: Mapping[str, str],
    normalize: Any,
) -> Variables:
    """Check the state dict's arrays against ``theirs`` (our names to PyTorch's) and read them."""
    linear = "classifier" if "classifier.weight" in theirs.values() else "fc"
    usual_names = set(theirs.values())
    found, names, normalization = {}, {}, {}
    # Usual names first: where an array comes twice it is the other one that is not expected.
    for original in sorted(specs, key=lambda name: name not in usual_names):
        spec, name = specs[original], _WRAPPERS.sub("", original)
        buffer = _NORMALIZATION.fullmatch(name)
        if buffer:
            normalization[buffer[1]] = read(original)
        elif not name.endswith("num_batches_tracked"):
            usual = _LINEAR.sub(f"{linear}.", name.replace(".shortcut.", ".downsample."))
            name = usual if usual in usual_names and usual not in found else original
            # All floating types do: they are cast.
            found[name] = spec._replace(dtype="float") if spec.dtype in _FLOATS else spec
            names[name] = original
    leaves = jax.tree_util.tree_flatten_with_path(blank)[0]
    expected = {
        theirs[tensor_name(path)]: Spec(_torch_shape(leaf.shape), "float") for path, leaf in leaves
    }
    wrong = differences(found, expected)
    if wrong:
        raise InputError(
            f"{label}: not the state dict of this network: {wrong}; expected the same network with "
            "the same width, classes and channels, a 3x3 first convolution and one linear layer"
        )
    _check_normalization(label, normalization, normalize)
    arrays = {}
    for path, leaf in leaves:
        usual = theirs[tensor_name(path)]
        with np.errstate(over="ignore"):  # what overflows float32 is found infinite below
            arrays[usual] = np.asarray(read(names[usual])).astype(leaf.dtype)
    check_finite(label, {names[usual]: array for usual, array in arrays.items()})
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jnp.asarray(_our_layout(arrays[theirs[tensor_name(path)]])), blank
    )


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"source: {name} cannot be read as an array ({reason}); expected arrays by name on the "
            "CPU, in a type that NumPy has; value.float().cpu().numpy() converts a tensor"
        ) from error


def _torch_names(model: Model, blank: Variables) -> dict[str, str]:
    """PyTorch's name for each of ours: torchvision's, with the linear layer of its family."""
    ours = [tensor_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(blank)[0]]
    layers = sorted(set(re.findall(r"^params\.conv(\d)_(\d)\.", "\n".join(ours), re.MULTILINE)))
    if not layers and not any(name.startswith("params.layer1_0.") for name in ours):
        raise InputError(
            f"model={model.name!r}: PyTorch's names are known for resnet18, resnet34, vgg16_bn "
            "and similar networks only; rename the arrays after our own and use load_safetensors"
        )

    def vgg(module: str) -> str:
        place = re.fullmatch(r"(conv|bn)(\d)_(\d)", module)
        if place is None:
            return "classifier"
        # PyTorch counts convolution, normalisation and ReLU of each layer, and each stage's pool.
        kind, stage, _ = place.groups()
        index = 3 * layers.index(place.groups()[1:]) + int(stage) - 1 + (kind == "bn")
        return f"features.{index}"

    def resnet(module: str) -> str:
        module = re.sub(r"^layer(\d)_(\d+)", r"layer\1.\2", module)
        return module.replace("downsample_conv", "downsample.0").replace(
            "downsample_bn", "downsample.1"
        )

    rename = vgg if layers else resnet
    names = {}
    for name in ours:
        _, *modules, leaf = name.split(".")
        names[name] = f"{rename('.'.join(modules))}.{_LEAVES.get(leaf, leaf)}"
    return names


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == 4:
        height, width, before, after = shape
        return after, before, height, width
    return shape[::-1]


def _our_layout(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _check_normalization(label: str, stored: Mapping[str, np.ndarray], given: Any) -> None:
    if not stored:
        return
    stored = {key: np.ravel(value).astype(float) for key, value in stored.items()}
    try:
        mean, std = (np.ravel(part).astype(float) for part in given)
        own = {"mean": mean, "std": std}
        same = all(np.allclose(own[key], value, rtol=1e-5) for key, value in stored.items())
    except (TypeError, ValueError):
        same = False
    if not same:
        wanted = ", ".join(
            f"{key} ({', '.join(f'{x:.6g}' for x in value)})" for key, value in stored.items()
        )
        raise InputError(
            f"normalize={given!r}: {label} normalises images by {wanted}; build the model with "
            "these as normalize=(mean, std) and pass the same here"
        )
