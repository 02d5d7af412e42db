"""Forget sets by what models say of the images: how memorized, entangled or well known they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.data.dataset import Dataset
from jax_unlearn.data.focus import Focus
from jax_unlearn.data.request import Request, given_size, request_of_rows, size_of

STRATA = ("low", "mid", "high", "mix")
LEVELS = STRATA[:3]

CHUNK = 1024
"""Forget images whose distances to all others are held at a time."""


def memorization(correct: np.ndarray, in_training: np.ndarray) -> np.ndarray:
    """How much more often models are right about an image that they were trained on.

    The mean of ``correct`` over the models that have seen the image, less the mean over those that
    have not; a mean over no model is 0, as in the released code, where the audit's
    :func:`~jax_unlearn.audit.measures.memorization.memorization_scores` are undefined.

    Args:
      correct: bool [M, N], whether model m answers image n correctly.
      in_training: bool [M, N], whether image n was in model m's training set.

    Returns:
      float32 [N] in [-1, 1].

    References:
      Feldman and Zhang, "What Neural Networks Memorize and Why", NeurIPS 2020, arXiv:2008.03703.
    """

    def share(side: np.ndarray) -> np.ndarray:
        right = (correct & side).sum(axis=0) / np.maximum(side.sum(axis=0), 1)
        return right.astype(np.float32)

    return share(in_training) - share(~in_training)


def memorization_strata(memorization: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Divide images by memorization as RUM does.

    ``high`` are those of the highest scores, in falling order, ``low`` the last of that order, and
    ``mid`` those whose score is nearest to 0.5; equal scores keep the order of the data. ``mix`` is
    a third of each, the third of ``low`` rounded up, the others down. With many images for the size
    of the data ``mid`` shares some with its neighbours.

    Args:
      memorization: floating [N], scores.
      size: number of images of each stratum, at most N.

    Returns:
      By name (low, mid, high, mix) positions, int64 [size]; of ``mix`` up to one fewer.

    References:
      Zhao, Kurmanji, Barbulescu, Triantafillou and Triantafillou, "What makes unlearning hard and
      what to do about it", NeurIPS 2024, arXiv:2406.01257.
    """
    order = np.argsort(-memorization, kind="stable")
    high, low = order[:size], order[len(order) - size :]
    mid = order[np.argsort(np.abs(memorization[order] - 0.5), kind="stable")][:size]
    third, rest = size // 3, -(-size // 3)
    mix = np.concatenate([high[:third], mid[:third], low[size - rest :]])
    return {"low": low, "mid": mid, "high": high, "mix": mix}


def memorization_groups(memorization: np.ndarray, number: int = 3) -> list[np.ndarray]:
    """Refine a forget set into groups of equal size and similar memorization, as RUM unlearns it.

    Every image is in one group, where :func:`memorization_strata` chooses some of a whole data set.

    Args:
      memorization: floating [F], the score of each image of the forget set.
      number: number of groups, at most F.

    Returns:
      Positions in the forget set, ``number`` arrays int64 [about F / number], each increasing; the
      group of the lowest scores first. Equal scores keep the order of the data.

    Raises:
      InputError: there are fewer images than groups.

    References:
      Zhao, Kurmanji, Barbulescu, Triantafillou and Triantafillou, "What makes unlearning hard and
      what to do about it", NeurIPS 2024, arXiv:2406.01257.
    """
    check_number("number", number, low=1, high=len(memorization), whole=True)
    order = np.argsort(memorization, kind="stable")
    return [np.sort(group) for group in np.array_split(order, number)]


def group_of(
    dataset: Dataset,
    request: Request,
    memorization: np.ndarray,
    number: int,
    groups: int,
    arguments: Mapping[str, Any] | None = None,
) -> Request:
    """Forget one of the :func:`memorization_groups` of what a request forgets.

    Args:
      dataset: where the images come from.
      request: what is refined; it forgets single images, no classes as a whole.
      memorization: floating [N], the score of each training image.
      number: which group, from 1 on.
      groups: of how many.
      arguments: how the scores came about.

    Raises:
      InputError: if the scores do not fit the data, there are fewer images than groups, or no such
        group.
    """
    memorization = _scores("memorization", memorization, dataset, 1)
    check_number("number", number, low=1, high=groups, whole=True)
    rows = np.flatnonzero(np.isin(dataset.train.id, request.ids))
    if len(rows) < groups:
        raise InputError(
            f"group='{number}/{groups}': {len(rows)} images are refined: expected no more groups "
            "than images"
        )
    chosen = rows[memorization_groups(memorization[rows], groups)[number - 1]]
    refined = {"group": number, "groups": groups, "refined_by": dict(arguments or {})}
    return request_of_rows(dataset, request.name, {**request.arguments, **refined}, chosen)


def by_memorization(
    dataset: Dataset,
    memorization: np.ndarray,
    stratum: str,
    fraction: float | None = None,
    count: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Request:
    """Forget a stratum of :func:`memorization_strata`.

    Args:
      dataset: where the images come from.
      memorization: floating [N], the score of each training image.
      stratum: low, mid, high or mix.
      fraction: share of the training images, in (0, 1); give this or ``count``.
      count: number of training images.
      arguments: how the scores came about.

    Raises:
      InputError: if the scores do not fit the data, the stratum is none of these, or the size is
        not given or out of range.
    """
    memorization = _scores("memorization", memorization, dataset, 1)
    check_choice("stratum", stratum, STRATA)
    size = size_of(len(memorization), fraction, count)
    rows = np.unique(memorization_strata(memorization, size)[stratum])
    arguments = {"stratum": stratum, **given_size(fraction, count), **(arguments or {})}
    return request_of_rows(dataset, "memorization", arguments, rows)


def worst(
    dataset: Dataset,
    losses: np.ndarray,
    fraction: float | None = None,
    count: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Request:
    """Forget the images whose removal shows least: models that never saw them know them best.

    A worst-case forget set S minimises the sum over S of the losses of a model from which S was
    removed. Fan et al. alternate between choosing S and removing it by signed gradient steps. Here
    the model is one that was trained on a random half of the data, without the image: what removal
    by retraining leaves, estimated for each image by itself, so that a bank of such models answers
    for sets of every size.

    Args:
      dataset: where the images come from.
      losses: floating [N], mean cross-entropy of each training image over models that were not
        trained on it; equal ones go by the order of the data.
      fraction: share of the training images, in (0, 1); give this or ``count``.
      count: number of training images.
      arguments: how the losses came about.

    Raises:
      InputError: as :func:`by_memorization`.

    References:
      Fan, Liu, Hero and Liu, "Challenging Forgets: Unveiling the Worst-Case Forget Sets in Machine
      Unlearning", ECCV 2024, arXiv:2403.07362.
    """
    losses = _scores("losses", losses, dataset, 1)
    size = size_of(len(losses), fraction, count)
    rows = np.argsort(losses, kind="stable")[:size]
    arguments = {**given_size(fraction, count), **(arguments or {})}
    return request_of_rows(dataset, "worst", arguments, rows)


def entangled(
    dataset: Dataset,
    features: np.ndarray,
    level: str,
    fraction: float | None = None,
    count: int | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Request:
    """Forget images that lie among the retained ones, or apart from them.

    Images are ordered by the distance of their features to the mean of all: the nearest (``high``)
    are those whose mean a retain set cannot be told from, the farthest (``low``) stand apart, and
    :func:`entanglement` falls from one to the other. What a method does to the retained images next
    to the forget set, the nearest of each forget image, is measured as ``adjacent_accuracy``.

    Args:
      dataset: where the images come from.
      features: floating [N, D], what a model trained on all the data makes of each training image
        before its last layer.
      level: low, mid or high.
      fraction: share of the training images, in (0, 1); give this or ``count``.
      count: number of training images.
      arguments: how the features came about.

    Raises:
      InputError: as :func:`by_memorization`.

    References:
      Zhao et al., "What makes unlearning hard and what to do about it", NeurIPS 2024,
      arXiv:2406.01257, whose entanglement score this is.
    """
    features = _scores("features", features, dataset, 2)
    check_choice("level", level, LEVELS)
    total = len(features)
    size = size_of(total, fraction, count)
    distance = np.square(features - features.mean(axis=0)).sum(axis=1)
    start = {"high": 0, "mid": (total - size) // 2, "low": total - size}[level]
    rows = np.sort(np.argsort(distance, kind="stable")[start : start + size])
    next_to = _nearest_retained(features, rows)
    focus = Focus(
        "adjacent_accuracy", "train", dataset.train.id[next_to], dataset.train.label[next_to]
    )
    arguments = {"level": level, **given_size(fraction, count), **(arguments or {})}
    return request_of_rows(dataset, "entangled", arguments, rows, focus=focus)


def entanglement(features: np.ndarray, forget: np.ndarray) -> float:
    """How far forget and retain set are mixed in a model's features; larger is more entangled.

    The mean squared distance of each set's features to the set's own mean, summed over both sets,
    over half the summed squared distances of these means to the mean of all.

    Args:
      features: floating [N, D].
      forget: bool [N].

    References:
      Zhao et al., "What makes unlearning hard and what to do about it", NeurIPS 2024,
      arXiv:2406.01257, equation 2.
    """
    middle = features.mean(axis=0)
    within = between = 0.0
    for side in (features[forget], features[~forget]):
        own = side.mean(axis=0)
        within += float(np.square(side - own).sum(axis=1).mean())
        between += 0.5 * float(np.square(own - middle).sum())
    return within / between


def _nearest_retained(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Positions of the retained images that are nearest to a forget image, each once."""
    kept = np.setdiff1d(np.arange(len(features)), rows)
    norms = np.square(features[kept]).sum(axis=1)
    found = [
        kept[np.argmin(norms - 2.0 * features[some] @ features[kept].T, axis=1)]
        for some in np.array_split(rows, -(-len(rows) // CHUNK))
    ]
    return np.unique(np.concatenate(found))


def _scores(argument: str, values: np.ndarray, dataset: Dataset, ndim: int) -> np.ndarray:
    values, total = np.asarray(values), len(dataset.train.label)
    fits = values.ndim == ndim and len(values) == total and values.dtype.kind == "f"
    if not fits or not np.isfinite(values).all():
        raise InputError(
            f"{argument}={values.dtype} {list(values.shape)}: expected finite floats, one row for "
            f"each of {total} training images"
        )
    return values
