"""One number for the distance to the oracle, made of several accuracies in percent."""

from collections.abc import Iterable, Mapping, Sequence

from jax_unlearn.core import InputError, check_choice

TERMS = ("RA", "FA", "TA")
"""The terms that every paper's average gap shares."""


def average_gap(
    measures: Mapping[str, float], oracle: Mapping[str, float], terms: Sequence[str] = TERMS
) -> float:
    """Return the mean absolute difference to the oracle over ``terms``, in percentage points.

    Papers differ in whether a membership inference attack is among the terms, and in which: two
    gaps can be compared only when their terms are the same.

    Args:
      measures: a model's measures in percent by name.
      oracle: the oracle's measures, same names.
      terms: names of the measures to average over.

    Raises:
      InputError: if a term is not among the measures of both, or comes twice.
    """
    return sum(_differences(measures, oracle, terms)) / len(terms)


def tow(
    measures: Mapping[str, float], oracle: Mapping[str, float], terms: Sequence[str] = TERMS
) -> float:
    """Return Tug-of-War, the product over ``terms`` of 1 - |difference| / 100; 1 is the oracle.

    Unlike the average gap it lets no term be traded for another. ToW-MIA puts the SVC-confidence
    attack in the place of FA.

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
