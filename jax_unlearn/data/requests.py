"""Forget requests: which training examples a model must forget, and how they were chosen."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import Examples, InputError, check_choice, check_number
from jax_unlearn.data.dataset import Dataset, random_order, stratified_rows, take


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """A forget request, in a dataset's own ids.

    Attributes:
      name: how the ids were chosen: class, subclass, random, hardest or ids.
      arguments: what the choice depended on; can be written as JSON.
      ids: int64 [F], training ids to forget, distinct and increasing.
      hash: sha256, in hex, of the name, the arguments, the ids and the dataset.
      classes: labels that are forgotten as a whole.
      fine_classes: fine labels that are forgotten as a whole.
    """

    name: str
    arguments: Mapping[str, Any]
    ids: np.ndarray
    hash: str
    classes: tuple[int, ...] = ()
    fine_classes: tuple[int, ...] = ()


def by_class(dataset: Dataset, classes: Sequence[int | str] | int | str) -> Request:
    """Forget every training image of one class or several.

    Args:
      dataset: where the images come from.
      classes: numbers or names of classes; a text of digits is a number.

    Raises:
      InputError: if a class does not exist or nothing would remain.
    """
    chosen = _numbers("classes", classes, dataset.class_names)
    mask = np.isin(dataset.train.label, chosen)
    return _request(dataset, "class", {"classes": list(chosen)}, mask, classes=chosen)


def by_subclass(dataset: Dataset, fine_classes: Sequence[int | str] | int | str) -> Request:
    """Forget every training image of one fine class or several, inside the classes learned.

    Args:
      dataset: one with fine labels, as CIFAR-20.
      fine_classes: numbers or names of fine classes; a text of digits is a number.

    Raises:
      InputError: if there are no fine labels, a class does not exist or nothing would remain.
    """
    if dataset.train_fine is None:
        raise InputError(
            f"dataset={dataset.name!r}: has no fine labels, so no sub-class can be forgotten: "
            "expected a dataset such as cifar20; ask for a class instead"
        )
    chosen = _numbers("fine_classes", fine_classes, dataset.fine_names)
    mask = np.isin(dataset.train_fine, chosen)
    arguments = {"fine_classes": list(chosen)}
    return _request(dataset, "subclass", arguments, mask, fine_classes=chosen)


def random(
    dataset: Dataset,
    fraction: float | None = None,
    count: int | None = None,
    seed: int = 0,
    stratified: bool = True,
) -> Request:
    """Forget random training images.

    Args:
      dataset: where the images come from.
      fraction: share of the training images, in (0, 1); give this or ``count``.
      count: number of training images.
      seed: randomness of the draw.
      stratified: whether every class gives its share, as in NatMU's forget sets.

    Raises:
      InputError: if not exactly one of fraction and count is given, it is out of range, or
        nothing would be forgotten or remain.
    """
    check_number("seed", seed, low=0, whole=True)
    labels = dataset.train.label
    size = _size(dataset, fraction, count)
    draw = stratified_rows(labels, size, seed) if stratified else random_order(len(labels), seed)
    arguments = {**_given(fraction, count), "seed": int(seed), "stratified": bool(stratified)}
    return _request(dataset, "random", arguments, draw[:size])


def hardest(
    dataset: Dataset,
    margins: np.ndarray,
    fraction: float | None = None,
    count: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Request:
    """Forget the training images that models find hardest: those of lowest true-class margin.

    Args:
      dataset: where the images come from.
      margins: float [N], for each training image its true-class margin, averaged over several
        models that were trained on all the data; equal margins go by the order of the data.
      fraction: share of the training images, in (0, 1); give this or ``count``.
      count: number of training images.
      arguments: how the margins came about: number of models, their seeds, their recipe.

    Raises:
      InputError: if the margins do not fit the data or are not finite, not exactly one of
        fraction and count is given, it is out of range, or nothing would be forgotten or remain.
    """
    margins = np.asarray(margins)
    total = len(dataset.train.label)
    if margins.shape != (total,) or margins.dtype.kind != "f" or not np.isfinite(margins).all():
        raise InputError(
            f"margins={margins.dtype} {list(margins.shape)}: expected {total} finite floats, one "
            "for each training image"
        )
    size = _size(dataset, fraction, count)
    order = np.argsort(margins, kind="stable")
    arguments = {**_given(fraction, count), **(arguments or {})}
    return _request(dataset, "hardest", arguments, order[:size])


def by_ids(dataset: Dataset, ids: np.ndarray | Sequence[int] | str | os.PathLike) -> Request:
    """Forget the training images with the given ids.

    Args:
      dataset: where the images come from.
      ids: whole numbers, or a file that holds them: ``.npy``, ``.json`` with a list, or ``.txt``
        with one on each line.

    Raises:
      InputError: if the file is unusable, an id is given twice or unknown, or nothing would be
        forgotten or remain.
    """
    source = f"ids={str(ids)!r}" if isinstance(ids, (str, os.PathLike)) else "ids"
    numbers = read_ids(ids) if isinstance(ids, (str, os.PathLike)) else np.asarray(ids)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise InputError(
            f"{source}: {numbers.dtype} {list(numbers.shape)}: expected a list of whole numbers"
        )
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) < len(numbers):
        raise InputError(
            f"{source}: {values[counts > 1][0]} occurs {counts.max()} times: expected each id once"
        )
    unknown = np.setdiff1d(values, dataset.train.id)
    if len(unknown):
        raise InputError(
            f"{source}: {len(unknown)} of {len(values)} are no training ids of {dataset.name}, "
            f"{unknown[0]} the first: expected ids from {dataset.train.id.min()} to "
            f"{dataset.train.id.max()} that the dataset holds"
        )
    return _request(dataset, "ids", {}, np.isin(dataset.train.id, values))


def read_ids(path: str | os.PathLike) -> np.ndarray:
    """Read ids from a ``.npy``, ``.json`` or ``.txt`` file, unchecked but for their being numbers.

    Raises:
      InputError: if the file is missing, of another kind or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"ids={str(path)!r}: no such file: expected a .npy, .json or .txt file")
    check_choice("ids: kind of file", path.suffix, (".npy", ".json", ".txt"))
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix == ".json":
            return np.asarray(json.loads(path.read_text()))
        return np.array([int(word) for word in path.read_text().split()], np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"ids={str(path)!r}: cannot be read ({error}): expected whole numbers"
        ) from error


def split(dataset: Dataset, request: Request) -> tuple[Examples, Examples]:
    """Split the training examples into forget and retain examples, both in the data's order.

    Raises:
      InputError: if the request names ids that the dataset does not have.
    """
    mask = np.isin(dataset.train.id, request.ids)
    if mask.sum() != len(request.ids):
        raise InputError(
            f"request={request.name!r}: {len(request.ids) - mask.sum()} of {len(request.ids)} ids "
            f"are no training ids of {dataset.name}: expected the dataset it was made for"
        )
    return take(dataset.train, mask), take(dataset.train, ~mask)


def test_forgotten(dataset: Dataset, request: Request) -> np.ndarray:
    """Mark the test images of classes and sub-classes forgotten as a whole: bool [T]."""
    mask = np.isin(dataset.test.label, request.classes)
    if dataset.test_fine is not None:
        mask |= np.isin(dataset.test_fine, request.fine_classes)
    return mask


# Its name starts as pytest's tests do.
test_forgotten.__test__ = False


def _size(dataset: Dataset, fraction: float | None, count: int | None) -> int:
    """Return the number of images that a fraction or a count stands for."""
    total = len(dataset.train.label)
    if (fraction is None) == (count is None):
        raise InputError(
            f"fraction={fraction!r}, count={count!r}: expected exactly one of them; drop the other"
        )
    if count is not None:
        check_number("count", count, low=1, high=total - 1, whole=True)
        return int(count)
    check_number("fraction", fraction, above=0, high=1)
    if not 1 <= round(fraction * total) <= total - 1:
        raise InputError(
            f"fraction={fraction!r}: is {round(fraction * total)} of {total} training images: "
            f"expected 1 to {total - 1}, so that some are forgotten and some remain"
        )
    return round(fraction * total)


def _given(fraction: float | None, count: int | None) -> dict[str, float | int]:
    return {"count": int(count)} if fraction is None else {"fraction": float(fraction)}


def _numbers(
    argument: str, classes: Sequence[int | str] | int | str, names: tuple[str, ...]
) -> tuple[int, ...]:
    """Class numbers, distinct and increasing, of numbers and names."""
    given = [classes] if np.ndim(classes) == 0 else [*classes]
    numbers = set()
    for value in given:
        number = value
        if isinstance(value, str):
            if value.isdecimal():
                number = int(value)
            else:
                check_choice(argument, value, names)
                number = names.index(value)
        check_number(argument, number, low=0, high=len(names) - 1, whole=True)
        numbers.add(int(number))
    return tuple(sorted(numbers))


def _request(
    dataset: Dataset,
    name: str,
    arguments: Mapping[str, Any],
    rows: np.ndarray,
    classes: tuple[int, ...] = (),
    fine_classes: tuple[int, ...] = (),
) -> Request:
    """Make the request of rows, given by position or mask, and its hash."""
    try:
        text = json.dumps([name, dict(arguments), dataset.fingerprint], sort_keys=True)
    except TypeError as error:
        raise InputError(
            f"arguments={dict(arguments)!r}: {error}: expected plain numbers, texts and lists"
        ) from error
    ids = np.sort(dataset.train.id[rows])
    total = len(dataset.train.id)
    if len(ids) in (0, total):
        raise InputError(
            f"request={name!r} {json.dumps(dict(arguments))}: forgets {len(ids)} of {total} "
            f"training images of {dataset.name}: expected 1 to {total - 1}"
        )
    digest = hashlib.sha256(text.encode() + ids.tobytes()).hexdigest()
    return Request(name, dict(arguments), ids, digest, classes, fine_classes)
