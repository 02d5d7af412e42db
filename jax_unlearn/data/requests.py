"""Ways to choose the training examples that a model must forget."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn.core import Examples, InputError, check_number
from jax_unlearn.data.dataset import Dataset, random_order, stratified_rows, take
from jax_unlearn.data.id_files import LARGEST, ids_from_list, read_ids
from jax_unlearn.data.request import (
    Request,
    class_numbers,
    given_size,
    request_of_rows,
    size_of,
)


def by_class(dataset: Dataset, classes: Sequence[int | str] | int | str) -> Request:
    """Forget every training image of one class or several.

    Args:
      dataset: where the images come from.
      classes: numbers or names of classes; a text of digits is a number.

    Raises:
      InputError: if a class does not exist or nothing would remain.
    """
    chosen = class_numbers("classes", classes, dataset.class_names)
    mask = np.isin(dataset.train.label, chosen)
    return request_of_rows(dataset, "class", {"classes": list(chosen)}, mask, classes=chosen)


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
    chosen = class_numbers("fine_classes", fine_classes, dataset.fine_names)
    mask = np.isin(dataset.train_fine, chosen)
    arguments = {"fine_classes": list(chosen)}
    return request_of_rows(dataset, "subclass", arguments, mask, fine_classes=chosen)


def random(
    dataset: Dataset,
    fraction: float | None = None,
    count: int | None = None,
    seed: int = 0,
    stratified: bool = True,
    part: int = 0,
) -> Request:
    """Forget random training images.

    Args:
      dataset: where the images come from.
      fraction: share of the training images, in (0, 1); give this or ``count``.
      count: number of training images.
      seed: randomness of the draw.
      stratified: whether every class gives its share, as in NatMU's forget sets.
      part: which draw of the seed: 1 is drawn from what 0 leaves, and so on, so that parts can
        follow one another in a sequence.

    Raises:
      InputError: if not exactly one of fraction and count is given, it is out of range, or
        nothing would be forgotten or remain.
    """
    check_number("seed", seed, low=0, whole=True)
    labels = dataset.train.label
    size = size_of(len(dataset.train.label), fraction, count)
    check_number("part", part, low=0, high=len(labels) // size - 1, whole=True)
    left = np.arange(len(labels))
    for _ in range(part + 1):
        order = stratified_rows(labels[left], size, seed) if stratified else None
        draw = left[random_order(len(left), seed)[:size] if order is None else order]
        left = np.setdiff1d(left, draw)
    arguments = {**given_size(fraction, count), "seed": int(seed), "stratified": bool(stratified)}
    return request_of_rows(
        dataset, "random", arguments | ({"part": int(part)} if part else {}), draw
    )


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
    size = size_of(len(dataset.train.label), fraction, count)
    order = np.argsort(margins, kind="stable")
    arguments = {**given_size(fraction, count), **(arguments or {})}
    return request_of_rows(dataset, "hardest", arguments, order[:size])


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
    return request_of_rows(dataset, "ids", {}, np.isin(dataset.train.id, values))


def sequence(dataset: Dataset, requests: Sequence[Request], *, exact: bool = True) -> Request:
    """Forget what several requests name, one after another.

    Args:
      dataset: where the images come from.
      requests: at least two, in the order in which they come.
      exact: whether the requests name the ids that are meant; stand-ins may overlap.

    Raises:
      InputError: if two requests name an image, or nothing would remain.
    """
    for number, later in enumerate(requests):
        for earlier in requests[:number]:
            both = np.intersect1d(earlier.ids, later.ids)
            if exact and both.size:
                raise InputError(
                    f"sequence: step {number + 1} ({later.name}) names {len(both)} of the images "
                    f"that an earlier step ({earlier.name}) removes, id {both[0]} the first: "
                    "expected steps that do not overlap; take those images out of one of them"
                )
    steps = tuple(request.ids for request in requests)
    rows = np.isin(dataset.train.id, np.concatenate(steps))
    if rows.all():
        raise InputError(
            f"sequence: its {len(steps)} steps forget all {len(rows)} training images of "
            f"{dataset.name}: expected some to remain; leave a step out"
        )
    arguments = {"of": [request.hash for request in requests]}
    made = request_of_rows(
        *(dataset, "sequence", arguments, rows),
        classes=tuple(sorted({label for request in requests for label in request.classes})),
        fine_classes=tuple(sorted({fine for request in requests for fine in request.fine_classes})),
    )
    return dataclasses.replace(made, steps=steps)


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
