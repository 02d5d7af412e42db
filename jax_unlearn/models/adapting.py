"""What adapters of other libraries' networks share: how modes are told, and names of arrays."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from jax_unlearn.core import InputError

TRAINING = ("train", "training", "is_training")
"""Keywords by which networks are told that they are in train mode."""

EVALUATING = ("deterministic", "inference", "use_running_average")
"""Keywords by which networks are told that they are not."""


def mode_keywords(function: Callable[..., Any]) -> Callable[[bool], dict[str, bool]]:
    """How a network is told its mode: the keyword that it takes for it, none where it has none.

    Args:
      function: what is called with images; of its keywords ``TRAINING`` and ``EVALUATING`` count.

    Returns:
      A function from whether it is train mode to the keywords of the call.
    """
    names = set(inspect.signature(function).parameters)
    training, evaluating = (names.intersection(group) for group in (TRAINING, EVALUATING))

    def keywords(train: bool) -> dict[str, bool]:
        return dict.fromkeys(training, train) | dict.fromkeys(evaluating, not train)

    return keywords


class Names(NamedTuple):
    """The arrays of a pytree by name, in nested dicts as every file and method here takes them.

    Attributes:
      paths: of every leaf the names from the root.
      structure: of the pytree.
    """

    paths: tuple[tuple[str, ...], ...]
    structure: Any

    @classmethod
    def of(cls, tree: Any) -> "Names":
        """Names of a pytree's leaves; those of one that NNX boxes are the box's."""
        found, structure = jax.tree_util.tree_flatten_with_path(tree)
        paths = tuple(tuple(_word(entry) for entry in _unboxed(path)) for path, _ in found)
        return cls(paths, structure)

    def pack(self, tree: Any) -> dict[str, Any]:
        """The pytree as nested dicts."""
        nested: dict[str, Any] = {}
        for (*above, last), leaf in zip(self.paths, jax.tree.leaves(tree), strict=True):
            place = nested
            for word in above:
                place = place.setdefault(word, {})
            place[last] = leaf
        return nested

    def unpack(self, nested: Mapping[str, Any]) -> Any:
        """The pytree from nested dicts."""
        return jax.tree.unflatten(self.structure, [_at(nested, path) for path in self.paths])


def name_of(network: Any, name: str) -> str:
    """The name that was given, or that of a class, a function or an object's class."""
    own = getattr(network, "__name__", type(network).__name__)
    return name or ("network" if own == "<lambda>" else own)


def check_image_shape(image_shape: Any) -> tuple[int, int, int]:
    """Height, width and channels as whole numbers, or an InputError."""
    try:
        height, width, channels = (int(n) for n in image_shape)
    except (TypeError, ValueError):
        height = width = channels = 0
    if min(height, width, channels) < 1:
        raise InputError(
            f"image_shape={image_shape!r}: expected (height, width, channels), all at least 1"
        )
    return height, width, channels


def _unboxed(path: Sequence[Any]) -> Sequence[Any]:
    boxed = path and isinstance(path[-1], jax.tree_util.GetAttrKey) and path[-1].name == "value"
    return path[:-1] if boxed else path


def _word(entry: Any) -> str:
    return str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry))))


def _at(nested: Mapping[str, Any], path: Sequence[str]) -> Any:
    for word in path:
        nested = nested[word]
    return nested
