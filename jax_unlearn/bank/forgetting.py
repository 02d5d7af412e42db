"""A request resolved on a dataset: which examples it removes, and what a run watches of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jax_unlearn import data
from jax_unlearn.core import Examples, Model, Variables
from jax_unlearn.models.predict import predict_logits

FIRST_SCORING_SEED = 10_000
"""Originals of this seed and the following ones only score examples, for requests such as
``hardest:0.1``: what is hard is not judged by the models that it is tried on. Seeds of experiments
are below it."""

WATCHED = 1000
"""How many retain examples are watched while a method runs; the audit uses all of them."""


@dataclasses.dataclass(frozen=True)
class Forgetting:
    """One request, resolved.

    Attributes:
      text: as it was asked for.
      slug: short name, for folders.
      request: the ids.
      forget: the forget set.
      retain: the retain set.
      test_forgotten: bool [T], test images of a class forgotten as a whole.
    """

    text: str
    slug: str
    request: Any
    forget: Examples
    retain: Examples
    test_forgotten: np.ndarray


def resolve(
    dataset: data.Dataset, text: str, logits_of: Callable[[list[int]], list[np.ndarray]]
) -> Forgetting:
    """Choose the examples to forget.

    Args:
      dataset: the data.
      text: the request.
      logits_of: gives the logits float [N, K] on the training images of originals of the seeds
        given; asked only where the request needs margins.
    """
    spec = data.parse_request(text)
    margins = None
    if spec.kind == "hardest":
        seeds = [FIRST_SCORING_SEED + seed for seed in spec.scoring_seeds]
        label = dataset.train.label
        margins = np.mean([_margins(logits, label) for logits in logits_of(seeds)], axis=0)
    request = data.make_request(spec, dataset, margins)
    forget, retain = data.split(dataset, request)
    forgotten = data.test_forgotten(dataset, request)
    return Forgetting(text, spec.slug, request, forget, retain, forgotten)


def _margins(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, label] = -np.inf
    return logits[rows, label] - others.max(axis=1)


def watcher(
    model: Model, dataset: data.Dataset, forgetting: Forgetting
) -> Callable[[Variables], dict[str, float]]:
    """Return what takes the accuracies of a request's parts, in percent, from weights."""
    retain, test = forgetting.retain, dataset.test
    rows = np.linspace(0, len(retain.label) - 1, min(WATCHED, len(retain.label))).astype(int)
    kept = np.flatnonzero(~forgetting.test_forgotten)
    parts: dict[str, tuple[Any, np.ndarray]] = {
        "forget_accuracy": (forgetting.forget.image, forgetting.forget.label),
        "retain_accuracy": (retain.image[rows], retain.label[rows]),
        "test_accuracy": (test.image[kept], test.label[kept]),
    }
    images = np.concatenate([image for image, _ in parts.values()])
    labels = np.concatenate([label for _, label in parts.values()])
    ends = np.cumsum([len(label) for _, label in parts.values()])[:-1]

    def watch(variables: Variables) -> dict[str, float]:
        right = predict_logits(model, variables, images).argmax(axis=1) == labels
        shares = [100.0 * float(np.mean(part)) for part in np.split(right, ends)]
        return dict(zip(parts, shares, strict=True))

    return watch
