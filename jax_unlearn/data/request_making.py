"""From what a text asks for to the images that a dataset has of it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data import changes, requests, strata
from jax_unlearn.data.dataset import Dataset
from jax_unlearn.data.request import Request
from jax_unlearn.data.request_text import CHANGES, RequestSpec, parse_request


class Scores(NamedTuple):
    """What models say of the training images, where a request chooses by it.

    Attributes:
      values: a row for each training image; what it holds depends on the kind of request, see
        :data:`jax_unlearn.data.request_text.SCORED_BY`.
      arguments: how the values came about; joins those of the request.
    """

    values: np.ndarray
    arguments: Mapping[str, Any] = {}


def stand_in(spec: RequestSpec, dataset: Dataset) -> Scores:
    """Scores that choose as many images as models' would, but not the same: at random."""
    values = np.random.default_rng(0).random(len(dataset.train.label))
    return Scores(values[:, None] if spec.kind == "entangled" else values)


def changed(spec: RequestSpec, dataset: Dataset) -> Dataset:
    """The data that the original of a request learns: changed where the request changes it.

    Raises:
      InputError: if the request does not fit the dataset.
    """
    size = (spec.fraction, spec.count)
    if spec.kind == "confused":
        return changes.confuse(dataset, spec.classes, *size, spec.seed)
    if spec.kind == "backdoor":
        return changes.backdoor(dataset, spec.classes[0], *size, spec.seed, spec.patch)
    if spec.kind == "duplicated":
        return changes.duplicate(dataset, *size, spec.seed, spec.copies, spec.keep)
    return dataset


def make_request(
    spec: RequestSpec | str,
    dataset: Dataset,
    scores: Callable[[RequestSpec], Scores] | None = None,
    *,
    exact: bool = True,
) -> Request:
    """Choose the ids that a specification asks for.

    Args:
      spec: the specification or its text.
      dataset: where the images come from; see :func:`changed`.
      scores: gives what models say of the images, for kinds that choose by it.
      exact: whether the scores are those that are meant; with stand-ins the steps of a sequence may
        seem to overlap.

    Raises:
      InputError: if the request does not fit the dataset, steps of a sequence overlap, or scores
        are needed and not given.
    """
    spec = parse_request(spec) if isinstance(spec, str) else spec
    steps = [_make_step(step, dataset, scores) for step in spec.steps]
    return steps[0] if len(steps) == 1 else requests.sequence(dataset, steps, exact=exact)


def _make_step(
    spec: RequestSpec, dataset: Dataset, scores: Callable[[RequestSpec], Scores] | None
) -> Request:
    if spec.group:
        whole = _make_step(dataclasses.replace(spec, group=""), dataset, scores)
        memorized, arguments = _asked(scores, RequestSpec("memorization"))
        return strata.group_of(dataset, whole, memorized, *spec.position, arguments)
    if spec.kind == "class":
        return requests.by_class(dataset, spec.classes)
    if spec.kind == "subclass":
        return requests.by_subclass(dataset, spec.classes)
    if spec.kind == "ids":
        return requests.by_ids(dataset, spec.path)
    if spec.kind == "random":
        size = (spec.fraction, spec.count)
        return requests.random(dataset, *size, spec.seed, spec.stratified, spec.part)
    if spec.kind in CHANGES:
        return changes.by_change(dataset)
    values, arguments = _asked(scores, spec)
    given = (spec.fraction, spec.count, arguments)
    if spec.kind == "memorization":
        return strata.by_memorization(dataset, values, spec.level, *given)
    if spec.kind == "entangled":
        return strata.entangled(dataset, values, spec.level, *given)
    if spec.kind == "worst":
        return strata.worst(dataset, values, *given)
    return requests.hardest(dataset, values, *given)


def _asked(scores: Callable[[RequestSpec], Scores] | None, spec: RequestSpec) -> Scores:
    if scores is None:
        raise InputError(
            f"scores=None: {spec.slug} chooses by {spec.scored_by}: expected a function that gives "
            "Scores of a specification"
        )
    return scores(spec)
