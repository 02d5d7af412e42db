"""Weights to and from ``.safetensors``: for other programs, and with no code in the file.

Every array of a pytree is stored under its path: mapping keys, attribute names and positions from
the root to the leaf, joined with dots, such as ``params.layer1_0.conv1.kernel`` or
``batch_stats.bn1.mean``. A pytree that is one bare array is stored under the empty name. Arrays
keep their layout, shape and type: convolution kernels are [height, width, in, out], linear kernels
[in, out]. The format is described at https://github.com/huggingface/safetensors.
"""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import InputError, Variables
from jax_unlearn.files import write_whole

STORABLE = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64"),
)
"""Types of arrays that a file can hold."""

_CODES = {"BOOL": "bool", "BF16": "bfloat16", "C64": "complex64"} | {
    f"{kind[0].upper()}{bits}": f"{kind}{bits}"
    for kind in ("int", "uint", "float")
    for bits in (8, 16, 32, 64)
    if f"{kind}{bits}" in STORABLE
}
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
_RESERVED = "__metadata__"


class Spec(NamedTuple):
    """Shape and type of an array, without its values.

    Attributes:
      shape: length of each axis.
      dtype: numpy's name of the type.
    """

    shape: tuple[int, ...]
    dtype: str


def tensor_name(path: tuple[Any, ...]) -> str:
    """Return the name under which the leaf at a pytree path is stored."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def save_safetensors(
    path: str | os.PathLike,
    variables: Variables,
    *,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write a pytree of arrays to one file, which appears whole or not at all.

    Args:
      path: the file, ending in ``.safetensors``; its folder is made if it is missing, a file of
        that name is replaced.
      variables: pytree of arrays of the types in ``STORABLE``; they are named as this module's
        documentation says.
      metadata: text by name, kept in the file's header: where the weights come from, say.

    Raises:
      InputError: a leaf is not an array or of a type that cannot be stored, two leaves get one
        name, ``metadata`` is not text, or ``path`` is no path, ends otherwise or is a folder.
    """
    from safetensors.numpy import save

    path = _path("path", path)
    if path.suffix != ".safetensors" or path.is_dir():
        raise InputError(f"path={str(path)!r}: expected a file name that ends in .safetensors")
    if not all(isinstance(text, str) for item in metadata.items() for text in item):
        raise InputError(f"metadata={dict(metadata)!r}: expected text by name; use str(value)")
    arrays = {name: _storable(name, leaf) for name, leaf in _named_leaves(variables).items()}
    # One string, not the package's own writing to a file: a full disk is then a plain OSError.
    content = save(arrays, dict(metadata))
    write_whole(path, content, durable=True)


def load_safetensors(path: str | os.PathLike, like: Variables, *, finite: bool = True) -> Variables:
    """Read the arrays that :func:`save_safetensors`, or any other program, stored by our names.

    Args:
      path: the file.
      like: pytree of arrays, or of their shapes and types as ``jax.eval_shape`` gives them, for
        example ``jax.eval_shape(model.init, key)``.
      finite: whether NaN and infinite numbers are refused; False reads a diverged network, to find
        out why.

    Returns:
      A pytree like ``like``: a leaf that is a NumPy array there is one here, any other is a JAX
      array, on the devices that ``like`` names.

    Raises:
      InputError: there is no such file, it is damaged or a pickle, its arrays are not exactly
        those of ``like``, or some are not finite; all that are missing, not expected, misshapen,
        of another type or not finite are named.
    """
    expected = _named_leaves(like)
    with open_safetensors("path", path) as file:
        wrong = differences(
            read_specs(file),
            {
                name: Spec(tuple(leaf.shape), np.dtype(leaf.dtype).name)
                for name, leaf in expected.items()
            },
        )
        if wrong:
            raise InputError(
                f"path={str(path)!r}: not the arrays of these variables: {wrong}; expected the "
                "weights of this very network"
            )
        arrays = {name: file.get_tensor(name) for name in expected}
    if finite:
        check_finite(f"path={str(path)!r}", arrays)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: _placed(arrays[tensor_name(path)], leaf), like
    )


def safetensors_metadata(path: str | os.PathLike) -> dict[str, str]:
    """Read the text that a ``.safetensors`` file carries beside its arrays.

    Args:
      path: the file.

    Raises:
      InputError: there is no such file, or it is damaged or a pickle.
    """
    with open_safetensors("path", path) as file:
        return dict(file.metadata() or {})


def open_safetensors(argument: str, path: str | os.PathLike) -> Any:
    """Open a file whose header and length have been found sound, as a context manager.

    Args:
      argument: name of the argument that holds the path, for the message.
      path: the file.

    Raises:
      InputError: there is no such file, or it is damaged, or its name is that of a pickle.
    """
    import safetensors

    path = _path(argument, path)
    source = f"{argument}={str(path)!r}"
    if path.suffix in _PICKLES:
        raise InputError(
            f"{source}: a pickle can run any code and is never loaded; expected a .safetensors "
            "file; where PyTorch is installed, write one with safetensors.torch.save_file("
            f"torch.load({path.name!r}, weights_only=True), {path.stem + '.safetensors'!r}), "
            "taking the state dict out first where the file holds more (as in ['net'])"
        )
    if not path.is_file():
        raise InputError(f"{source}: no such file; expected a .safetensors file; check the path")
    try:
        return safetensors.safe_open(path, "numpy")
    except safetensors.SafetensorError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{source}: damaged, or not a .safetensors file ({reason}); write or copy it again"
        ) from error


def _path(argument: str, path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{argument}={path!r}: expected the path of a .safetensors file")
    return Path(path)


def read_specs(file: Any) -> dict[str, Spec]:
    """Shape and type by name of all arrays in an open file."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    return {
        name: Spec(tuple(part.get_shape()), _CODES.get(part.get_dtype(), part.get_dtype()))
        for name, part in slices.items()
    }


def differences(found: Mapping[str, Spec], expected: Mapping[str, Spec]) -> str:
    """List in words all arrays that are missing, not expected, misshapen or of another type."""
    both = [name for name in expected if name in found]
    pairs = [(name, found[name], expected[name]) for name in both]
    groups = {
        "missing": [name for name in expected if name not in found],
        "not expected": [name for name in found if name not in expected],
        "misshapen": [
            f"{name} {list(is_.shape)} where {list(should.shape)} belongs"
            for name, is_, should in pairs
            if is_.shape != should.shape
        ],
        "of another type": [
            f"{name} {is_.dtype} where {should.dtype} belongs"
            for name, is_, should in pairs
            if is_.dtype != should.dtype
        ],
    }
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in groups.items() if names)


def check_finite(source: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise InputError if an array holds NaN or infinity, naming each that does.

    Args:
      source: what holds the arrays, for the message.
      arrays: by name, of any type.
    """
    wrong = []
    for name, array in arrays.items():
        # bfloat16 is no float to NumPy's own kinds.
        countable = array.dtype.kind in "biu"
        bad = 0 if countable else int(array.size - np.isfinite(array).sum())
        if bad:
            wrong.append(f"{name or 'the leaf'} ({bad} of {array.size})")
    if wrong:
        raise InputError(
            f"{source}: NaN or infinite numbers in {', '.join(wrong)}: expected finite weights; "
            "these come from a training that diverged, so take an earlier checkpoint"
        )


def _named_leaves(variables: Variables) -> dict[str, Any]:
    named = [
        (tensor_name(path), leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]
    ]
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice or _RESERVED in dict(named):
        raise InputError(
            f"variables: cannot use the name {', '.join(twice) or _RESERVED}: expected keys that "
            f"still differ when joined with dots, and none called {_RESERVED}; rename the keys"
        )
    return dict(named)


def _storable(name: str, leaf: Any) -> np.ndarray:
    kind = str(getattr(leaf, "dtype", type(leaf).__name__))
    if kind not in STORABLE or not hasattr(leaf, "shape"):
        raise InputError(
            f"variables: {name or 'the leaf'} is of type {kind}: expected arrays of "
            f"{', '.join(STORABLE)}; convert it (random keys: jax.random.key_data) or leave it out"
        )
    # The format stores the bytes as they lie in memory.
    return np.asarray(leaf, order="C")


def _placed(array: np.ndarray, like: Any) -> Any:
    if isinstance(like, np.ndarray | np.generic):
        return array
    if isinstance(like, jax.Array) and not like.committed:
        return jnp.asarray(array)
    return jax.device_put(array, getattr(like, "sharding", None))
