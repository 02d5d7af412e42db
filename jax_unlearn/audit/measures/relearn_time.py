"""Relearn time: how soon fine-tuning on the forget set brings the forgotten back."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jax_unlearn.audit.measures.measure import Evidence, of_probes
from jax_unlearn.audit.measures.probabilities import cross_entropy
from jax_unlearn.core import InputError, Outputs


class RelearnCurve(NamedTuple):
    """The loss on the forget set while it is learnt anew.

    Attributes:
      steps: int64 [S + 1], updates made so far, from 0.
      losses: float64 [S + 1], mean cross-entropy in nats on un-augmented images in eval mode.
    """

    steps: np.ndarray
    losses: np.ndarray


def mean_loss(outputs: Outputs) -> float:
    """Return the mean cross-entropy, in nats; NaN where a logit is not finite.

    Of the original's outputs on the forget set it is the target of relearning.
    """
    return float(np.mean(cross_entropy(outputs.logits, outputs.label)))


def relearn_time(curve: RelearnCurve, target: float) -> float:
    """Return after how many updates on the forget set its loss was back at ``target``, >= 0.

    The first recorded step with loss <= target. The value to reach is the oracle's: fewer steps
    mean that traces of the forget set are left, more that it was suppressed. Needs one model and
    the original's loss; costs a fine-tuning run, see :func:`jax_unlearn.audit.relearn_curve`.

    Args:
      curve: steps and losses of a fine-tuning run.
      target: the original's mean loss on the forget set, or a multiple of it, in nats.

    Returns:
      A number of steps; ``inf`` where the run ended first, so that only a lower bound is known (do
      not average it); NaN where the target, or a loss before it is reached, is not finite.

    Raises:
      InputError: if steps and losses do not match or are empty.

    References:
      Golatkar et al., "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep
      Networks", 2020, arXiv:1911.04933. Tarun et al., "Fast Yet Effective Machine Unlearning",
      2021, arXiv:2111.08947.
    """
    steps, losses = np.asarray(curve.steps), np.asarray(curve.losses, np.float64)
    if steps.ndim != 1 or steps.shape != losses.shape or not len(steps):
        raise InputError(
            f"curve=steps {list(steps.shape)} and losses {list(losses.shape)}: expected [S + 1] "
            "each; take them from relearn_curve"
        )
    if not math.isfinite(target):
        return math.nan
    back = losses <= target
    reached = int(np.argmax(back)) if back.any() else len(losses)
    if not np.isfinite(losses[:reached]).all():
        return math.nan
    return float(steps[reached]) if back.any() else math.inf


def _relearn_time(evidence: Evidence) -> float:
    """The relearn time; where the run was cut off, its last step, a lower bound."""
    steps = relearn_time(evidence.given_probe.curve, _target(evidence))
    return float(evidence.given_probe.relearn_steps[-1]) if np.isposinf(steps) else steps


def _is_cut_off(evidence: Evidence) -> bool:
    return bool(np.isposinf(relearn_time(evidence.given_probe.curve, _target(evidence))))


def _target(evidence: Evidence) -> float:
    return math.nan if evidence.relearn_target is None else evidence.relearn_target


def _first_step(evidence: Evidence, of: Callable[[str], float]) -> float:
    """Updates between the first two measurements of the loss."""
    if evidence.probe is None:
        return 0.0
    return float(np.diff(evidence.probe.relearn_steps[:2]).sum())


RELEARN_TIME = of_probes(
    "relearn_time",
    "Relearn time",
    "steps",
    _relearn_time,
    does="updates on the forget set until its loss is back at the originals' mean",
    source='Golatkar et al., "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep '
    'Networks", 2020, arXiv:1911.04933',
    formula=relearn_time,
    higher="less of the forget set is left inside, or it is suppressed",
    resolution=_first_step,
    cut_off=_is_cut_off,
    needs_originals=True,
    good="good is what retrained models take; fewer is still known inside",
    place=300,
)
