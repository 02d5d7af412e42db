"""One number for the distance to the oracle, made of several accuracies in percent."""

from collections.abc import Iterable, Mapping, Sequence

from jax_unlearn.audit.measures.measure import (
    BELOW,
    NEARER,
    Evidence,
    distance,
    mean_step,
    product_step,
)
from jax_unlearn.audit.measures.protocol import TERMS
from jax_unlearn.core import InputError, check_choice


def average_gap(
    measures: Mapping[str, float], oracle: Mapping[str, float], terms: Sequence[str] = TERMS
) -> float:
    """Return the mean absolute difference to the oracle over ``terms``, in percentage points.

    The mean over terms of |model - oracle|, in [0, 100]; 0 is the oracle, lower is nearer. Needs
    one model and one oracle. Papers differ in whether a membership inference attack is among the
    terms, and in which: two gaps can be compared only when their terms are the same.

    Args:
      measures: a model's measures in percent by name.
      oracle: the oracle's measures, same names.
      terms: names of the measures to average over.

    Raises:
      InputError: if a term is not among the measures of both, or comes twice.

    References:
      Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency", 2024,
      arXiv:2310.12508 (with an attack); He et al., "Towards Natural Machine Unlearning", 2024,
      arXiv:2405.15495.
    """
    return sum(_differences(measures, oracle, terms)) / len(terms)


def tow(
    measures: Mapping[str, float], oracle: Mapping[str, float], terms: Sequence[str] = TERMS
) -> float:
    """Return Tug-of-War, the product over ``terms`` of 1 - |difference| / 100; 1 is the oracle.

    In [0, 1]; higher is nearer to the oracle. Unlike the average gap it lets no term be traded for
    another. ToW-MIA, which puts an attack in the place of FA, is :func:`tow_mia`.

    Args:
      measures: a model's measures in percent by name.
      oracle: the oracle's measures, same names.
      terms: names of the measures to multiply over.

    Raises:
      InputError: if a term is not among the measures of both, or comes twice.

    References:
      Zhao et al., "What makes unlearning hard and what to do about it", 2024, arXiv:2406.01257.
    """
    product = 1.0
    for difference in _differences(measures, oracle, terms):
        product *= 1.0 - difference / 100.0
    return product


def tow_mia(
    measures: Mapping[str, float],
    oracle: Mapping[str, float],
    attack: str = "MIA_svc_nonmember",
) -> float:
    """Return ToW-MIA: Tug-of-War with an attack's measure in the place of FA; 1 is the oracle.

    In [0, 1]; higher is nearer to the oracle. (1 - |d attack|)(1 - |dRA|)(1 - |dTA|).

    Args:
      measures: a model's measures in percent by name: RA, TA and the attack's.
      oracle: the oracle's measures, same names.
      attack: name of the attack's measure; the paper takes the SVC on confidence.

    Raises:
      InputError: if a measure is missing in one of them.

    References:
      Zhao et al., "What makes unlearning hard and what to do about it", 2024, arXiv:2406.01257.
    """
    return tow(measures, oracle, (attack, "RA", "TA"))


def check_terms(terms: Sequence[str], names: Iterable[str]) -> None:
    """Raise InputError unless ``terms`` are one or more different ones of ``names``."""
    if isinstance(terms, str) or not terms or len(set(terms)) < len(terms):
        raise InputError(
            f"terms={terms!r}: expected a tuple of one or more different names, such as {TERMS}"
        )
    for term in terms:
        check_choice("terms", term, names)


def _differences(
    measures: Mapping[str, float], oracle: Mapping[str, float], terms: Sequence[str]
) -> list[float]:
    check_terms(terms, measures.keys() & oracle.keys())
    return [abs(measures[term] - oracle[term]) for term in terms]


_TOW = 'Zhao et al., "What makes unlearning hard and what to do about it", 2024, arXiv:2406.01257'
_SALUN = 'Fan et al., "SalUn", 2024, arXiv:2310.12508'


def _gap(model: Evidence, oracle: Evidence) -> float:
    return average_gap(model.measured, oracle.measured, model.protocol.terms)


def _gap_attack(model: Evidence, oracle: Evidence) -> float:
    return average_gap(model.measured, oracle.measured, model.protocol.attack_terms)


def _tow(model: Evidence, oracle: Evidence) -> float:
    return tow(model.measured, oracle.measured, model.protocol.terms)


def _tow_attack(model: Evidence, oracle: Evidence) -> float:
    return tow_mia(model.measured, oracle.measured)


GAP = distance(
    "gap",
    "Average gap",
    "points",
    _gap,
    does="mean absolute difference of accuracies to an oracle, over the protocol's terms",
    source=_SALUN,
    formula=average_gap,
    high=100.0,
    resolution=mean_step(lambda protocol: protocol.terms),
    good="good is no larger than between two retrained models",
    place=80,
)
GAP_ATTACK = distance(
    "gap_MIA",
    "Average gap with an attack",
    "points",
    _gap_attack,
    does="the same with the protocol's attack among the terms",
    source=_SALUN,
    formula=average_gap,
    high=100.0,
    resolution=mean_step(lambda protocol: protocol.attack_terms),
    good="good is no larger than between two retrained models",
    place=90,
)
TOW = distance(
    "ToW",
    "Tug-of-War",
    "",
    _tow,
    does="product of 1 - difference to an oracle over the protocol's terms; 1 for equal accuracies",
    source=_TOW,
    formula=tow,
    higher=NEARER,
    outside=BELOW,
    high=1.0,
    resolution=product_step(lambda protocol: protocol.terms),
    good="good is near 1, no lower than between two retrained models",
    place=100,
)
TOW_ATTACK = distance(
    "ToW_MIA",
    "Tug-of-War with the SVC attack",
    "",
    _tow_attack,
    does="the same with the SVC attack in the place of the forget accuracy",
    source=_TOW,
    formula=tow_mia,
    higher=NEARER,
    outside=BELOW,
    high=1.0,
    resolution=product_step(lambda protocol: ("MIA_svc_nonmember", "RA", "TA")),
    good="good is near 1, no lower than between two retrained models",
    place=110,
)
