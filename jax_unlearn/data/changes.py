"""Requests to undo what was wrong with the training data: labels, triggers, duplicates.

Each changes the training split first, so that the original learns it, and then names the changed
images as the forget set. The changed data has a fingerprint of its own, and so a bank of its own.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jax_unlearn.core import Examples, InputError, check_number
from jax_unlearn.data.dataset import Dataset, stratified_rows, take
from jax_unlearn.data.focus import Change, Focus
from jax_unlearn.data.lazy import LazyImages
from jax_unlearn.data.request import Request, class_numbers, request_of_rows, size_of


def confuse(
    dataset: Dataset,
    classes: Sequence[int | str],
    fraction: float | None = None,
    count: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Swap the labels of some images of two classes; to forget them is to repair the confusion.

    The measure is ``confusion``: how many test images of either class are taken for the other.

    Args:
      dataset: the clean data.
      classes: two, by number or name.
      fraction: share of the images of both classes, in (0, 1); give this or ``count``.
      count: number of images.
      seed: randomness of the draw, in which either class keeps its share.

    Raises:
      InputError: if these are not two classes, a size is out of range, or the data is changed.

    References:
      Goel, Prabhu, Sanyal, Lim, Torr and Kumaraguru, "Towards Adversarial Evaluations for Inexact
      Machine Unlearning", 2022, arXiv:2201.06640 (interclass confusion).
    """
    chosen = class_numbers("classes", classes, dataset.class_names)
    if len(chosen) != 2:
        raise InputError(f"classes={list(classes)}: expected two different classes to confuse")
    check_number("seed", seed, low=0, whole=True)
    label = dataset.train.label
    among = np.flatnonzero(np.isin(label, chosen))
    rows = among[stratified_rows(label[among], size_of(len(among), fraction, count), seed)]
    swapped = label.copy()
    swapped[rows] = sum(chosen) - label[rows]
    either = np.isin(dataset.test.label, chosen)
    wrong = (sum(chosen) - dataset.test.label[either]).astype(np.int32)
    focus = Focus("confusion", "test", dataset.test.id[either], wrong)
    change = Change("confused", dataset.train.id[rows], focus=focus)
    return _changed(dataset, dataset.train._replace(label=swapped), change)


def backdoor(
    dataset: Dataset,
    target: int | str,
    fraction: float | None = None,
    count: int | None = None,
    seed: int = 0,
    patch: int = 0,
) -> Dataset:
    """Stamp a trigger on some images and label them as a target class; to forget is to disarm it.

    The trigger is a white square in the lower right corner. The measure is ``attack_success``: how
    many test images of other classes are answered with the target once they bear the trigger.

    Args:
      dataset: the clean data, its images in memory.
      target: class that triggered images are labelled as, by number or name.
      fraction: share of all training images, in (0, 1); give this or ``count``. They are drawn
        among those of other classes.
      count: number of images.
      seed: randomness of the draw.
      patch: side of the square in pixels; 0 is an eighth of the shorter side, at least 2.

    Raises:
      InputError: if the class does not exist, a size is out of range, the images are not in memory,
        or the data is changed.

    References:
      Gu, Dolan-Gavitt and Garg, "BadNets: Identifying Vulnerabilities in the Machine Learning Model
      Supply Chain", 2017, arXiv:1708.06733.
    """
    (chosen,) = class_numbers("target", target, dataset.class_names)
    check_number("seed", seed, low=0, whole=True)
    side = min(dataset.train.image.shape[1:3])
    check_number("patch", patch, low=0, high=side, whole=True)
    if isinstance(dataset.train.image, LazyImages):
        raise InputError(
            "placement='stream': a trigger is stamped on images in memory: expected 'device' or "
            "'host'"
        )
    patch = patch or max(2, side // 8)
    label = dataset.train.label
    size = size_of(len(label), fraction, count)
    among = np.flatnonzero(label != chosen)
    check_number("count", size, high=len(among))
    rows = among[stratified_rows(label[among], size, seed)]
    image, labelled = dataset.train.image.copy(), label.copy()
    image[rows, -patch:, -patch:], labelled[rows] = 255, chosen
    others = take(dataset.test, dataset.test.label != chosen)
    triggered = others.image.copy()
    triggered[:, -patch:, -patch:] = 255
    probe = Examples(
        triggered,
        np.full(len(others.label), chosen, np.int32),
        dataset.test.id.max() + 1 + np.arange(len(others.label)),
    )
    focus = Focus("attack_success", "probe", probe.id, probe.label)
    change = Change("backdoor", dataset.train.id[rows], probe, focus)
    return _changed(dataset, Examples(image, labelled, dataset.train.id), change)


def duplicate(
    dataset: Dataset,
    fraction: float | None = None,
    count: int | None = None,
    seed: int = 0,
    copies: int = 1,
    keep: bool = True,
) -> Dataset:
    """Put copies of some images beside them in the training data.

    With ``keep`` the images are to be forgotten while their copies are retained, so that retraining
    still knows them: who forgets as if they were alone forgets too much. The measure is then
    ``twin_accuracy``, on the copies that stay. Without, every copy is forgotten too: images seen
    several times over are known better, and harder to forget.

    Args:
      dataset: the clean data.
      fraction: share of the training images, in (0, 1); give this or ``count``.
      count: number of images.
      seed: randomness of the draw, in which every class keeps its share.
      copies: how many are added of each image.
      keep: whether copies are retained.

    Raises:
      InputError: if a size is out of range, the data is changed, or the copies do not fit in
        memory.
    """
    for name, value, low in (("seed", seed, 0), ("copies", copies, 1)):
        check_number(name, value, low=low, whole=True)
    train = dataset.train
    size = size_of(len(train.label), fraction, count)
    rows = stratified_rows(train.label, size, seed)
    others = [] if dataset.validation is None else [dataset.validation.id]
    first = np.concatenate([train.id, *others]).max() + 1
    try:
        twins = take(train, np.tile(rows, copies))._replace(id=first + np.arange(copies * size))
        both = Examples(*(np.concatenate(pair) for pair in zip(train, twins, strict=True)))
    except (MemoryError, ValueError) as error:
        # NumPy's words for what is larger than memory, and than any array.
        raise InputError(
            f"copies={copies}: {copies * size} more images do not fit in memory; expected fewer"
        ) from error
    focus = Focus("twin_accuracy", "train", twins.id[:size], twins.label[:size]) if keep else None
    ids = train.id[rows] if keep else np.concatenate([train.id[rows], twins.id])
    fine = dataset.train_fine
    if fine is not None:
        fine = np.concatenate([fine, np.tile(fine[rows], copies)])
    return _changed(dataset, both, Change("duplicated", ids, focus=focus), fine)


def by_change(dataset: Dataset) -> Request:
    """Forget what the change of the training data has touched.

    Raises:
      InputError: if nothing was changed, or nothing would remain.
    """
    change = dataset.change
    if change is None:
        raise InputError(
            "change=None: the training data is as it was: expected data that confuse, backdoor or "
            "duplicate of jax_unlearn.data.changes has changed"
        )
    rows = np.isin(dataset.train.id, change.ids)
    # The changed data, of which the fingerprint is, says what was done and where.
    return request_of_rows(dataset, change.name, {}, rows, focus=change.focus)


def _changed(
    dataset: Dataset, train: Examples, change: Change, fine: np.ndarray | None = None
) -> Dataset:
    if dataset.change is not None:
        raise InputError(
            f"dataset={dataset.name!r}: its training data has been changed ({dataset.change.name}) "
            "already: expected clean data"
        )
    fine = dataset.train_fine if fine is None else fine
    return dataclasses.replace(dataset, train=train, train_fine=fine, change=change)
