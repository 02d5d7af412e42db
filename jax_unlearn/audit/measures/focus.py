"""What shows that a request of its own kind was fulfilled: attack, confusion, neighbours, twins.

Each is the share of some images that a model answers in a way that the request names; which images
and answers is part of the request, see :class:`jax_unlearn.data.focus.Focus`.
"""

from collections.abc import Callable
from typing import Any

from jax_unlearn.audit.measures.accuracy import accuracy
from jax_unlearn.audit.measures.measure import Evidence, Measure, percent


def focus_rate(evidence: Evidence, name: str) -> float:
    """Return the share of the images of a measure that are answered as it counts, in percent."""
    return accuracy(evidence.predictions.focus[name])


def _measure(name: str, title: str, place: int, **more: Any) -> Measure:
    def function(evidence: Evidence) -> float:
        return focus_rate(evidence, name)

    def step(evidence: Evidence, of: Callable[[str], float]) -> float:
        del of
        return 100.0 / len(evidence.predictions.focus[name].label)

    more = {"formula": focus_rate, "resolution": step, "focus": True, "place": place, **more}
    return percent(name, title, function, **more)


ATTACK_SUCCESS = _measure(
    "attack_success",
    "Attack success",
    45,
    good="good is what retraining has; higher is a backdoor left open",
    does="test images of other classes that are taken for the target once they bear the trigger",
    higher="the backdoor is more open",
    source='Gu et al., "BadNets", 2017, arXiv:1708.06733',
)
CONFUSION = _measure(
    "confusion",
    "Confusion",
    46,
    good="good is what retraining has; higher is still confused",
    does="test images of two confused classes that are taken for one of the other class",
    higher="the two classes are still confused",
    source='Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning", 2022, '
    "arXiv:2201.06640",
)
ADJACENT_ACCURACY = _measure(
    "adjacent_accuracy",
    "Accuracy next to the forget set",
    47,
    good="good is as high as retraining leaves it; lower is damage next to the forget set",
    does="retain images, each the nearest of some forget image, that are answered correctly",
    higher="fewer neighbours of the forget set are lost with it",
    source='Zhao et al., "What makes unlearning hard and what to do about it", NeurIPS 2024, '
    "arXiv:2406.01257, of the sets",
)
TWIN_ACCURACY = _measure(
    "twin_accuracy",
    "Accuracy on retained copies",
    48,
    good="good is as high as retraining leaves it; lower is damage to the copies that stay",
    does="retained copies of forget images that are answered correctly",
    higher="fewer copies are lost with the images that are forgotten",
    source="this library",
)

FOCUS_NAMES = tuple(
    measure.name for measure in (ATTACK_SUCCESS, CONFUSION, ADJACENT_ACCURACY, TWIN_ACCURACY)
)
"""All of them, as an audit's record names them."""
