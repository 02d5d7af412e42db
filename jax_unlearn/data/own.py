"""A dataset of the user's own, from a file or module."""

import inspect
import os

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data.dataset import Dataset, warn_absent_classes
from jax_unlearn.data.lazy import LazyImages
from jax_unlearn.data.prepared import BUILT_IN
from jax_unlearn.data.tfds_reader import one_line
from jax_unlearn.user_code import find_object, is_reference, offered_by_packages

ENTRY_POINTS = "jax_unlearn.datasets"
"""Group of entry points by which an installed package offers data sets."""


def is_own(name: str) -> bool:
    """Whether a name is of a dataset in a user's file or module, or an installed package's."""
    if is_reference(name):
        return True
    return name not in BUILT_IN and name in offered_by_packages(ENTRY_POINTS)


def load_own(text: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """Load the dataset that ``FILE.py:NAME``, ``pkg.module:NAME`` or an entry point names.

    Args:
      text: names a :class:`Dataset`, or a function (or class) that gives one.
      data_dir: passed on to a function that has an argument of this name.

    Raises:
      InputError: if it cannot be imported, fails, gives something else, or does not take the
        ``data_dir`` that is given.
    """
    source = f"dataset={text!r}"
    found = find_object(text, {}, ENTRY_POINTS, argument="dataset")
    takes_folder = callable(found) and _takes_folder(found)
    if data_dir is not None and not takes_folder:
        raise InputError(
            f"data_dir={str(data_dir)!r}: {text} has no argument data_dir: expected none; drop it, "
            "or give the function this argument"
        )
    if callable(found):
        given = {"data_dir": data_dir} if takes_folder and data_dir is not None else {}
        try:
            found = found(**given)
        except InputError:
            raise
        except Exception as error:  # the user's code may raise anything
            raise InputError(
                f"{source}: the function fails ({type(error).__name__}: {one_line(error)}): "
                "expected one with no arguments other than data_dir that returns a "
                "jax_unlearn.data.Dataset; call it in Python to see the whole error"
            ) from error
    if not isinstance(found, Dataset):
        raise InputError(
            f"{source}: gives an object of type {type(found).__name__}: expected a "
            "jax_unlearn.data.Dataset, or a function that returns one"
        )
    for split in (found.train, found.test):
        _check_lazy(source, split.image)
    warn_absent_classes(found)
    return found


def _check_lazy(source: str, images: object) -> None:
    """Read one of the images that are not in memory: nothing looks at them until they train."""
    if not isinstance(images, LazyImages):
        return
    first = images.read(np.array([0]))
    expected = (1, *images.shape[1:])
    if getattr(first, "dtype", None) != np.uint8 or first.shape != expected:
        raise InputError(
            f"{source}: reading an image gives {getattr(first, 'dtype', type(first).__name__)} "
            f"{list(np.shape(first))}: expected uint8 {list(expected)}; fix its method read"
        )


def _takes_folder(function: object) -> bool:
    try:
        return "data_dir" in inspect.signature(function).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
