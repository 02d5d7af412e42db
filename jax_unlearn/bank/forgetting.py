"""A request resolved on a dataset: which examples it removes, and what a run watches of them."""

import dataclasses
from collections.abc import Callable, Sequence
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
"""How many retain and how many test examples are watched while a method runs, beside the forget
set; the audit uses all of them. A method that is judged every other step would else spend most of
its time on being watched."""


@dataclasses.dataclass(frozen=True)
class Forgetting:
    """One request, resolved.

    Attributes:
      text: as it was asked for.
      slug: short name, for folders.
      request: the ids.
      forget: the forget set; of a sequence all that its steps remove.
      retain: the retain set.
      test_forgotten: bool [T], test images of a class forgotten as a whole.
      step: what is to be removed now: of a sequence what its last step removes, from models that
        the steps before have unlearned; otherwise the forget set.
    """

    text: str
    slug: str
    request: Any
    forget: Examples
    retain: Examples
    test_forgotten: np.ndarray
    step: Examples


def resolve(
    dataset: data.Dataset, text: str, scores: Callable[[data.RequestSpec], data.Scores]
) -> Forgetting:
    """Choose the examples to forget.

    Args:
      dataset: the data.
      text: the request.
      scores: gives what models say of the training images; asked only where the request needs it.

    Raises:
      InputError: the request does not fit the dataset, or steps of a sequence overlap.
    """
    spec = data.parse_request(text)
    request = data.make_request(spec, dataset, scores)
    forget, retain = data.split(dataset, request)
    forgotten = data.test_forgotten(dataset, request)
    step = data.take(dataset.train, np.isin(dataset.train.id, request.step_ids))
    return Forgetting(text, spec.slug, request, forget, retain, forgotten, step)


def mean_margins(logits: Sequence[np.ndarray], label: np.ndarray) -> np.ndarray:
    """True-class margins float [N], averaged over models, of their logits [N, K]."""
    return np.mean([_margins(one, label) for one in logits], axis=0)


def _margins(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, label] = -np.inf
    return logits[rows, label] - others.max(axis=1)


def watcher(
    model: Model, dataset: data.Dataset, forgetting: Forgetting
) -> Callable[[Variables], dict[str, float]]:
    """Return what takes the accuracies of a request's parts, in percent, from weights."""
    kept = data.take(dataset.test, np.flatnonzero(~forgetting.test_forgotten))
    parts: dict[str, tuple[Any, np.ndarray]] = {
        "forget_accuracy": (forgetting.forget.image, forgetting.forget.label),
        "retain_accuracy": _spread(forgetting.retain),
        "test_accuracy": _spread(kept),
    }
    images = np.concatenate([image for image, _ in parts.values()])
    labels = np.concatenate([label for _, label in parts.values()])
    ends = np.cumsum([len(label) for _, label in parts.values()])[:-1]

    def watch(variables: Variables) -> dict[str, float]:
        right = predict_logits(model, variables, images).argmax(axis=1) == labels
        shares = [100.0 * float(np.mean(part)) for part in np.split(right, ends)]
        return dict(zip(parts, shares, strict=True))

    return watch


def _spread(part: Examples) -> tuple[Any, np.ndarray]:
    """Images and labels of as many examples as are watched, evenly over a part."""
    count = len(part.label)
    rows = np.linspace(0, count - 1, min(WATCHED, count)).astype(int)
    return part.image[rows], part.label[rows]
