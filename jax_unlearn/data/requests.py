"""Forget requests: which training examples a model must forget, and how they were chosen."""

import dataclasses
import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn.core import Examples, InputError, check_choice, check_number
from jax_unlearn.data.dataset import Dataset, random_order, stratified_rows, take
from jax_unlearn.data.id_files import LARGEST, ids_from_list, read_ids


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
    try:
        margins = np.asarray(margins)
    except ValueError:
        # Lists of different lengths; as an array of lists they are refused below.
        margins = np.asarray(margins, object)
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
    source = "ids"
    if isinstance(ids, (str, os.PathLike)):
        source = f"ids={str(ids)!r}"
        numbers = read_ids(ids)
    else:
        try:
            numbers = np.asarray(ids) if hasattr(ids, "dtype") else ids_from_list(ids)
            if numbers.dtype == object:
                numbers = ids_from_list(numbers.tolist())
        except ValueError as error:
            raise InputError(f"{source}: {error}: expected a list of whole numbers") from error
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise InputError(
            f"{source}: {numbers.dtype} {list(numbers.shape)}: expected a list of whole numbers"
        )
    if numbers.size and numbers.max() > LARGEST:
        raise InputError(f"{source}: {numbers.max()} is too large: expected ids below 2**63")
    numbers = numbers.astype(np.int64)
    values, counts = np.unique(numbers, return_counts=True)
    if len(values) < len(numbers):
        raise InputError(
            f"{source}: {values[counts > 1][0]} occurs {counts.max()} times: expected each id once"
        )
    unknown = np.setdiff1d(values, dataset.train.id)
    if len(unknown):
        raise InputError(
            f"{source}: {len(unknown)} of {len(values)} are not training ids of {dataset.name}, "
            f"{unknown[0]} the first: expected ids from {dataset.train.id.min()} to "
            f"{dataset.train.id.max()} that the dataset holds"
        )
    return _request(dataset, "ids", {}, np.isin(dataset.train.id, values))


def split(dataset: Dataset, request: Request) -> tuple[Examples, Examples]:
    """Split the training examples into forget and retain examples, both in the data's order.

    Raises:
      InputError: if the request names ids that the dataset does not have.
    """
    mask = np.isin(dataset.train.id, request.ids)
    if mask.sum() != len(request.ids):
        raise InputError(
            f"request={request.name!r}: {len(request.ids) - mask.sum()} of {len(request.ids)} ids "
            f"are not training ids of {dataset.name}: expected the dataset it was made for"
        )
    return take(dataset.train, mask), take(dataset.train, ~mask)


def test_forgotten(dataset: Dataset, request: Request) -> np.ndarray:
    """Mark the test images of classes and sub-classes forgotten as a whole: bool [T]."""
    mask = np.isin(dataset.test.label, request.classes)
    if dataset.test_fine is not None:
        mask |= np.isin(dataset.test_fine, request.fine_classes)
    return mask


# Its name starts as pytest's tests do.
test_forgotten.__test__ = False  # type: ignore[attr-defined]


def _size(dataset: Dataset, fraction: float | None, count: int | None) -> int:
    """Return the number of images that a fraction or a count stands for."""
    total = len(dataset.train.label)
    if count is not None and fraction is None:
        check_number("count", count, low=1, high=total - 1, whole=True)
        return int(count)
    if fraction is None or count is not None:
        raise InputError(
            f"fraction={fraction!r}, count={count!r}: expected exactly one of them; drop the other"
        )
    check_number("fraction", fraction, above=0, high=1)
    if not 1 <= round(fraction * total) <= total - 1:
        raise InputError(
            f"fraction={fraction!r}: is {round(fraction * total)} of {total} training images: "
            f"expected 1 to {total - 1}, so that some are forgotten and some remain"
        )
    return round(fraction * total)


def _given(fraction: float | None, count: int | None) -> dict[str, float | int]:
    if fraction is not None:
        return {"fraction": float(fraction)}
    return {} if count is None else {"count": int(count)}


def _numbers(
    argument: str, classes: Sequence[int | str] | int | str, names: tuple[str, ...]
) -> tuple[int, ...]:
    """Class numbers, distinct and increasing, of numbers and names."""
    single = isinstance(classes, str) or getattr(classes, "ndim", 1) == 0
    given = [*classes] if isinstance(classes, Iterable) and not single else [classes]
    numbers = set()
    for value in given:
        number: Any = _number(argument, value, names) if isinstance(value, str) else value
        check_number(argument, number, low=0, high=len(names) - 1, whole=True)
        numbers.add(int(number))
    return tuple(sorted(numbers))


def _number(argument: str, text: str, names: tuple[str, ...]) -> int:
    """The number of a class that is given as text: its digits or its name."""
    if not re.fullmatch(r"[0-9]+", text):
        try:
            check_choice(argument, text, names)
        except InputError as error:
            raise InputError(f"{error}{_by_number(text, names)}") from error
        return names.index(text)
    # So many digits are out of range in any case.
    number = int(text[-18:] if not text[:-18].strip("0") else "9" * 18)
    if number < len(names) and text in names and names[number] != text:
        warnings.warn(
            f"{argument}={text!r}: digits are a class number, so this is the class named "
            f"{names[number]!r}; for the class named {text!r} give its number, "
            f"{names.index(text)}",
            stacklevel=2,
        )
    return number


def _by_number(text: str, names: tuple[str, ...]) -> str:
    """How to ask for the classes that a command cannot name, if one of them may be meant."""
    meant = [
        f"{name!r} is {number}"
        for number, name in enumerate(names)
        if ("," in name or "=" in name or name != name.strip()) and text.strip() in name
    ]
    if not meant:
        return ""
    return (
        "; on the command line, refer to a class whose name has a comma, an equals sign or outer "
        f"spaces by its number: {', '.join(meant[:3])}"
    )


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
