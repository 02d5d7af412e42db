"""Ids of training examples from files and lists, as exact whole numbers."""

import codecs
import json
import operator
import os
import re
import reprlib
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, check_choice
from jax_unlearn.data.tfds_reader import one_line

LARGEST = 2**63 - 1
"""The largest id: they are int64."""


def read_ids(path: str | os.PathLike) -> np.ndarray:
    """Read ids from a ``.npy``, ``.json`` or ``.txt`` file, checked only for being numbers.

    Text may be UTF-8, or another encoding that a byte-order mark announces.

    Raises:
      InputError: if the file is missing, of another kind or damaged.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise InputError(
            f"ids={str(path)!r}: no such file: expected a .npy, .json or .txt file; check the path"
        )
    check_choice("ids: kind of file", path.suffix, (".npy", ".json", ".txt"))
    try:
        if path.suffix == ".npy":
            return _from_npy(path)
        text = _text(path.read_bytes())
        if path.suffix == ".json":
            found = json.loads(text)
            if not isinstance(found, list):
                raise ValueError(f"it holds an object of type {type(found).__name__}")
            return ids_from_list(found)
        return ids_from_list([_whole(word) for word in text.split()])
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise InputError(
            f"ids={str(path)!r}: cannot be read ({one_line(error)}): expected "
            f"{'a list of ' if path.suffix == '.json' else ''}whole numbers"
        ) from error


def _from_npy(path: Path) -> np.ndarray:
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found
    # Whatever its name, numpy takes a zip for an .npz.
    with found:
        names = ", ".join(found.files)
    raise ValueError(f"it is an .npz with the arrays {names}; write one of them with numpy.save")


def _text(content: bytes) -> str:
    # UTF-32's mark begins with UTF-16's.
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")


def _whole(word: str) -> int:
    # Python's int() also takes 1_0 and the digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]+", word):
        raise ValueError(f"{reprlib.repr(word)} is not a whole number")
    return int(word)


def ids_from_list(values: Any) -> np.ndarray:
    """Ids int64 [F] of a list.

    Raises:
      ValueError: something in it is not a whole number, or too large.
    """
    if not isinstance(values, (Sequence, Set)) or isinstance(values, (str, bytes)):
        raise ValueError(f"an object of type {type(values).__name__}")
    numbers = []
    for value in values:
        try:
            number = operator.index(value)
        except TypeError:
            number = None
        if number is None or isinstance(value, (bool, np.bool_)):
            raise ValueError(f"{reprlib.repr(value)} is not a whole number")
        if abs(number) > LARGEST:
            raise ValueError(f"{reprlib.repr(number)} is too large; ids are below 2**63")
        numbers.append(number)
    return np.array(numbers, np.int64)
