"""Accuracies on the retain, forget and test sets, always of un-augmented images in eval mode."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jax_unlearn.audit.measures.measure import (
    KNOWN,
    Evidence,
    Measure,
    Resolution,
    forget_step,
    percent,
)
from jax_unlearn.core import InputError, Outputs, Predictions


def accuracy(outputs: Outputs) -> float:
    """Return the percentage of examples whose largest logit is the label's, in [0, 100].

    Args:
      outputs: logits [N, K] and labels [N]. Any NaN or infinite logit gives NaN: a collapsed
        model has no accuracy, and must not pass for one that forgot.

    Raises:
      InputError: if there are no examples.
    """
    logits = np.asarray(outputs.logits)
    if not len(logits):
        raise InputError("outputs=0 examples: expected at least one; check how the set was chosen")
    if not np.isfinite(logits).all():
        return float("nan")
    return 100.0 * float(np.mean(np.argmax(logits, axis=1) == outputs.label))


def select(outputs: Outputs, mask: np.ndarray) -> Outputs:
    """Return the rows of outputs [N] where ``mask``, bool [N], is True."""
    return Outputs(*(np.asarray(array)[mask] for array in outputs))


def is_class_wise(predictions: Predictions) -> bool:
    """Return whether the request forgets a class or sub-class, so that test images are marked."""
    return bool(np.any(predictions.test_forgotten))


def accuracies(predictions: Predictions) -> dict[str, float]:
    """Return RA, FA and TA, and for a class-wise request ``FA_test``, in percent.

    RA: on retain training images. FA: on forget training images. TA: on test images, in a
    class-wise request only those of the remaining classes. FA_test: on test images of the
    forgotten classes.
    """
    forgotten = np.asarray(predictions.test_forgotten)
    measures = {
        "RA": accuracy(predictions.retain),
        "FA": accuracy(predictions.forget),
        "TA": accuracy(select(predictions.test, ~forgotten)),
    }
    if is_class_wise(predictions):
        measures["FA_test"] = accuracy(select(predictions.test, forgotten))
    return measures


def _percent(
    name: str, title: str, does: str, higher: str, step: Resolution, place: int, **more: Any
) -> Measure:
    """An entry whose value is one of :func:`accuracies`."""

    def function(evidence: Evidence) -> float:
        return accuracies(evidence.predictions)[name]

    return percent(
        name,
        title,
        function,
        does=does,
        higher=higher,
        source="common to all papers",
        formula=accuracies,
        resolution=step,
        place=place,
        **more,
    )


def _retain_step(evidence: Evidence, of: Callable[[str], float]) -> float:
    return 100.0 / len(evidence.predictions.retain.label)


def _test_step(evidence: Evidence, of: Callable[[str], float]) -> float:
    return 100.0 / int(np.sum(~np.asarray(evidence.predictions.test_forgotten)))


def _forgotten_step(evidence: Evidence, of: Callable[[str], float]) -> float:
    return 100.0 / int(np.sum(evidence.predictions.test_forgotten))


RETAIN_ACCURACY = _percent(
    "RA",
    "Retain accuracy",
    "accuracy on retain training images",
    "more of the retain set is answered right",
    _retain_step,
    10,
    good="good is as high as retraining leaves it; lower is damage",
)
FORGET_ACCURACY = _percent(
    "FA",
    "Forget accuracy",
    "accuracy on forget training images; the papers' UA is 100 - FA",
    KNOWN,
    forget_step,
    20,
    good="good is what retraining has; higher is still known, lower is overdone",
)
TEST_ACCURACY = _percent(
    "TA",
    "Test accuracy",
    "accuracy on test images, in a class-wise request of the remaining classes",
    "more of the test set is answered right",
    _test_step,
    30,
    good="good is as high as retraining leaves it; lower is damage",
)
FORGOTTEN_TEST_ACCURACY = _percent(
    "FA_test",
    "Forget accuracy on test images",
    "accuracy on test images of the forgotten classes, in class-wise requests",
    "the forgotten classes are still known",
    _forgotten_step,
    40,
    good="good is what retraining has; higher is still known",
    class_wise=True,
)
