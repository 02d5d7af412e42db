"""The measures of the audit by name, and all of them for one model and its oracle."""

import dataclasses
import math

from jax_unlearn.audit.measures import distances, gap, membership
from jax_unlearn.audit.measures.accuracy import accuracies
from jax_unlearn.core import Predictions

ALONE = ("RA", "FA", "TA", "FA_test", "MIA_entropy_member", "MIA_svc_nonmember")
"""Measures of one model, in percent; the names of the attacks say what they count."""

AGAINST_ORACLE = ("gap", "gap_MIA", "ToW", "KL_forget", "KL_test", "JS_forget", "AD_forget")
"""Measures against the oracle: percentage points (gaps), 1 at the oracle and below elsewhere
(ToW), nats (KL, JS), [0, sqrt 2] (AD, the activation distance)."""

COSTS = ("seconds", "share")
"""Run time in seconds, and in percent of the oracle's."""

MEASURES = (*ALONE, *AGAINST_ORACLE, *COSTS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditProtocol:
    """The choices that numbers depend on; a table states them.

    Attributes:
      terms: measures that the average gap and ToW are made of.
      attack_terms: measures that the average gap with an attack is made of.
      nonmembers: 'test', or those of 'remaining' or 'forgotten' classes: the test images that
        attacks take for non-members.
      svc_max_examples: limit to the examples of each side that train the SVC; None for no limit.
    """

    terms: tuple[str, ...] = gap.TERMS
    attack_terms: tuple[str, ...] = (*gap.TERMS, "MIA_entropy_member")
    nonmembers: str = "test"
    svc_max_examples: int | None = 2000


def measure_alone(predictions: Predictions, protocol: AuditProtocol) -> dict[str, float]:
    """Return the measures of ``ALONE``, in percent; FA_test for class-wise requests only."""
    share = membership.svc_attack_nonmember_share(
        predictions, nonmembers=protocol.nonmembers, max_examples=protocol.svc_max_examples
    )
    return {
        **accuracies(predictions),
        "MIA_entropy_member": membership.entropy_attack_member_percent(
            predictions, nonmembers=protocol.nonmembers
        ),
        "MIA_svc_nonmember": 100.0 * share,
    }


def measure_against(
    predictions: Predictions,
    measured: dict[str, float],
    oracle: Predictions,
    target: dict[str, float],
    protocol: AuditProtocol,
) -> dict[str, float]:
    """Return the measures of ``AGAINST_ORACLE``.

    Args:
      predictions: the model's outputs.
      measured: its measures from :func:`measure_alone`.
      oracle: the oracle's outputs on the same sets.
      target: the oracle's measures.
      protocol: which terms the gaps and ToW take.
    """
    forget = oracle.forget.logits, predictions.forget.logits
    test = oracle.test.logits, predictions.test.logits
    return {
        "gap": gap.average_gap(measured, target, protocol.terms),
        "gap_MIA": gap.average_gap(measured, target, protocol.attack_terms),
        "ToW": gap.tow(measured, target, protocol.terms),
        "KL_forget": distances.kl_oracle_to_unlearned(*forget),
        "KL_test": distances.kl_oracle_to_unlearned(*test),
        "JS_forget": distances.jensen_shannon(*forget),
        "AD_forget": distances.activation_distance(*forget),
    }


def offset(measure: str, value: float, oracle_value: float) -> float:
    """Return how far a measure lies from where the oracle has it; 0 at the oracle.

    Args:
      measure: one of ``ALONE`` or ``AGAINST_ORACLE``.
      value: the model's.
      oracle_value: the oracle's; not used where the measure is a distance already.
    """
    if measure == "ToW":
        return 1.0 - value
    return value if measure in AGAINST_ORACLE else value - oracle_value


def share_of_retraining(seconds: float, retraining: float) -> float:
    """Return a run time in percent of the oracle's; NaN where either is unknown or not positive."""
    return 100.0 * seconds / retraining if retraining > 0 else math.nan
