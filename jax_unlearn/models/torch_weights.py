"""Weights of PyTorch's networks for the same networks here."""

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import chex
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
from jax_unlearn.models.torch_layouts import Layout, layouts_of

if TYPE_CHECKING:
    from jax_unlearn.models.linen import Normalization

_NORMALIZATION = re.compile(r"(?:(?:module|net|model|_orig_mod)\.)*(?:data_)?normalize\.(mean|std)")
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_HEAD = "params.fc."


def import_torch(
    source: str | os.PathLike | Mapping[str, Any],
    model: Model,
    *,
    normalize: "Normalization | None" = None,
    new_head: chex.PRNGKey | None = None,
) -> Variables:
    """Turn a PyTorch state dict into the variables of a network of this library.

    It understands the names of

    - torchvision: ResNet and VGG with batch normalisation (``layer1.0.downsample.0``,
      ``features.0``, ``fc`` or ``classifier``), those that CIFAR code often has instead
      (``shortcut`` for ``downsample``, ``linear`` for ``fc``), ViT and Swin;
    - timm: ResNet (torchvision's), ViT and Swin;
    - Hugging Face's transformers: ResNet, ViT (and DeiT without a distillation token) and Swin;

    and any of the prefixes ``module.`` (DataParallel), ``_orig_mod.`` (torch.compile), ``net.``
    (the wrapper in the code of Zhengbao He, Tao Li, Xinwen Cheng, Zhehao Huang, Xiaolin Huang,
    "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495) and ``model.``. All ResNets but
    ResNet-50 have the CIFAR stem, one 3x3 convolution, and the VGG one linear layer. Counters and
    tables of indices are ignored. No pickle is ever loaded.

    Args:
      source: a ``.safetensors`` file, or arrays by name. Any floating type; convolution weights
        [out, in, height, width], linear weights [out, in].
      model: the network, of the same width, classes and channels, such as
        ``make_model('resnet18', 100, (32, 32, 3), normalize=NORMALIZATIONS['cifar100'])``.
      normalize: mean and standard deviation that ``model`` was made with. Needed where the state
        dict carries its own (``data_normalize.mean`` and ``.std``), and must then equal them.
      new_head: a key, where the last linear layer is to be drawn anew, for other classes than the
        weights know; the state dict's own is left out.

    Returns:
      ``{'params': ..., 'batch_stats': ...}``, float32; no statistics where there are none.

    Raises:
      InputError: the file is missing, damaged or a pickle; the network is of another kind; arrays
        are missing, not expected, misshapen, not floating or not finite (all are named); or the
        state dict normalises images differently.
    """
    if not isinstance(model, Model):
        raise InputError(f"model={model!r}: expected a Model; build one with make_model(...)")
    blank = jax.eval_shape(model.init, jax.random.key(0))
    leaves = jax.tree_util.tree_flatten_with_path(blank)[0]
    ours = {tensor_name(path): leaf for path, leaf in leaves}
    layouts = layouts_of(list(ours))
    if not layouts:
        raise InputError(
            f"model={model.name!r}: PyTorch's names are known for resnet18, vgg16_bn, vit_tiny, "
            "swin_tiny and networks like them; rename the arrays after our own and use "
            "load_safetensors"
        )
    if new_head is not None:
        ours = {name: leaf for name, leaf in ours.items() if not name.startswith(_HEAD)}
    if isinstance(source, Mapping):
        arrays = {name: _array(name, value) for name, value in source.items()}
        specs = {name: Spec(array.shape, array.dtype.name) for name, array in arrays.items()}
        file = _File("source", specs, arrays.__getitem__)
        found = _convert(file, ours, layouts, normalize)
    else:
        with open_safetensors("source", source) as opened:
            file = _File(f"source={str(source)!r}", read_specs(opened), opened.get_tensor)
            found = _convert(file, ours, layouts, normalize)
    if new_head is not None:
        fresh = jax.tree_util.tree_flatten_with_path(model.init(new_head))[0]
        found |= {tensor_name(path): x for path, x in fresh if tensor_name(path) not in found}
    return jax.tree_util.tree_map_with_path(lambda path, _: found[tensor_name(path)], blank)


class _File(NamedTuple):
    """A state dict that may be on disk: what it is called, what it holds, and how that is read."""

    label: str
    specs: Mapping[str, Spec]
    read: Callable[[str], np.ndarray]


class _Match(NamedTuple):
    """How a state dict goes with a network by the names of one layout.

    Attributes:
      found: what is found, by the usual names.
      names: the name in the file of each.
      expected: what the network needs, by the usual names.
      theirs: of each array of the network the usual names of what it is made of.
    """

    found: dict[str, Spec]
    names: dict[str, str]
    expected: dict[str, Spec]
    theirs: dict[str, tuple[str, ...]]


def _convert(
    file: _File, ours: Mapping[str, Any], layouts: list[Layout], normalize: Any
) -> dict[str, jax.Array]:
    """Check the state dict's arrays against a network's and read them, by the network's names."""
    matches = [_match(file.specs, ours, layout) for layout in layouts]
    # The layout is the one that most names fit; where none does, the first is compared with.
    match = max(matches, key=lambda one: len(one.found.keys() & one.expected.keys()))
    wrong = differences(match.found, match.expected)
    if wrong:
        raise InputError(
            f"{file.label}: not the state dict of this network: {wrong}; expected the same network "
            f"with the same width, classes and channels, {_alike(ours)}"
        )
    buffers = ((_NORMALIZATION.fullmatch(name), name) for name in file.specs)
    stored = {found[1]: file.read(name) for found, name in buffers if found}
    _check_normalization(file.label, stored, normalize)
    result = {}
    for name, leaf in ours.items():
        sources = [match.names[part] for part in match.theirs[name]]
        with np.errstate(over="ignore"):  # what overflows float32 is found infinite below
            parts = [np.asarray(file.read(source)).astype(leaf.dtype) for source in sources]
        check_finite(file.label, dict(zip(sources, parts, strict=True)))
        result[name] = jnp.asarray(_our_layout(name, np.concatenate(parts)))
    return result


def _alike(ours: Mapping[str, Any]) -> str:
    """What else two networks of a name must have in common."""
    if "params.layer1_0.conv3.kernel" in ours:
        return "and ImageNet's stem"
    if any(name.startswith(("params.layer1_0", "params.conv1_1")) for name in ours):
        return "a 3x3 first convolution and one linear layer"
    return "and images of the same size"


def _match(specs: Mapping[str, Spec], ours: Mapping[str, Any], layout: Layout) -> _Match:
    theirs = {name: layout.names(name) for name in ours}
    expected: dict[str, Spec] = {}
    for name, leaf in ours.items():
        first, *rest = _torch_shape(name, leaf.shape)
        spec = Spec((first // len(theirs[name]), *rest), "float")
        expected |= dict.fromkeys(theirs[name], spec)
    # A layer that is drawn anew is not expected, and left out where it is found.
    head = {part for leaf in ("kernel", "bias") for part in layout.names(_HEAD + leaf)}
    found: dict[str, Spec] = {}
    names: dict[str, str] = {}
    # Usual names first: where an array comes twice it is the other one that is not expected.
    for original in sorted(specs, key=lambda name: name not in expected):
        usual = layout.found(original)
        left_out = usual in head - expected.keys()
        if not usual or left_out or _NORMALIZATION.fullmatch(original):
            continue
        name = usual if usual in expected and usual not in found else original
        spec = specs[original]
        # All floating types do: they are cast.
        found[name] = spec._replace(dtype="float") if spec.dtype in _FLOATS else spec
        names[name] = original
    return _Match(found, names, expected, theirs)


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"source: {name} cannot be read as an array ({reason}); expected arrays by name on the "
            "CPU, in a type that NumPy has; value.float().cpu().numpy() converts a tensor"
        ) from error


def _torch_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if not name.endswith(".kernel"):
        return shape
    if len(shape) == 4:
        height, width, before, after = shape
        return after, before, height, width
    return shape[::-1]


def _our_layout(name: str, array: np.ndarray) -> np.ndarray:
    if not name.endswith(".kernel"):
        return array
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
