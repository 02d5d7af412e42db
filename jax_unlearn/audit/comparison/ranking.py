"""Methods in order of their distance to retraining, and which of them cannot be told apart."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

from jax_unlearn.audit.comparison.bands import NullBand
from jax_unlearn.audit.comparison.compare import AuditRow, Comparison
from jax_unlearn.audit.comparison.models import METHOD
from jax_unlearn.audit.comparison.results import MeasureResult
from jax_unlearn.audit.measures.measure import ABOVE, BELOW, Measure
from jax_unlearn.audit.measures.statistics import interval

RANKED = ("gap", "KL_forget", "forgetting_quality", "ulira_auc", "rmia_auc", "klom_forget_p95")
"""Measures that methods are put in order by."""


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The methods by one measure, best first.

    Attributes:
      measure: its name.
      order: (name, result) of each method that has a value.
      tied: pairs of neighbours in the order that cannot be told apart, by name.
    """

    measure: str
    order: tuple[tuple[str, MeasureResult], ...]
    tied: tuple[tuple[str, str], ...]


def rank(comparison: Comparison) -> tuple[Ranking, ...]:
    """Return the methods in order, once for each ranked measure that was taken.

    Measures that are better on one side are ordered by their value, others by the distance to the
    middle of the null band (to the ideal value where there is no band). Neighbours are compared in
    what orders them, so that methods as far off on either side are not told apart: by the t
    interval of the difference, over common seeds where they share at least two; where a measure has
    no number per model, by their intervals, taken as independent. Without intervals nothing can be
    told apart.

    Args:
      comparison: an audit with two methods or more that have a setting; with fewer there is
        nothing to rank.
    """
    rows = [row for row in comparison.rows if row.group.kind == METHOD and not row.group.failed]
    rankings = []
    for m in comparison.measures:
        named = [row for row in rows if math.isfinite(row.results[m.name].value)]
        if m.name not in RANKED or len(named) < 2:
            continue
        band = comparison.bands.get(m.name)
        ordered = sorted(named, key=lambda row: badness(m, row.results[m.name].value, band))
        tied = tuple(
            (one.group.name, other.group.name)
            for one, other in itertools.pairwise(ordered)
            if not _differ(m, one, other, band, comparison.confidence)
        )
        order = tuple((row.group.name, row.results[m.name]) for row in ordered)
        rankings.append(Ranking(m.name, order, tied))
    return tuple(rankings)


def badness(m: Measure, value: float, band: NullBand | None) -> float:
    """Return a number that grows with the distance to retraining.

    Args:
      m: the measure.
      value: of a row.
      band: its null band, None where there is none.
    """
    sign, centre = _axis(m, value, band)
    return sign * (value - centre)


def _axis(m: Measure, value: float, band: NullBand | None) -> tuple[float, float]:
    """Which way retraining grows more distant from a value, and where the distance is 0."""
    if m.outside in (ABOVE, BELOW):
        return (1.0 if m.outside == ABOVE else -1.0), 0.0
    centre = band.median if band is not None else m.oracle_value
    if centre is None:
        return 1.0, 0.0
    return (1.0 if value >= centre else -1.0), centre


def _differ(
    m: Measure, one: AuditRow, other: AuditRow, band: NullBand | None, confidence: float
) -> bool:
    a, b = one.results[m.name], other.results[m.name]
    paired = _paired_differences(a, b, _axis(m, a.value, band), _axis(m, b.value, band))
    if len(paired) >= 2:
        found = interval(paired, confidence)
        return found.low > 0.0 or found.high < 0.0
    # The limits of a measure cut one side of an interval short; the other has its full length.
    half = math.hypot(*(max(c.high - c.value, c.value - c.low) for c in (a, b)))
    apart = badness(m, a.value, band) - badness(m, b.value, band)
    return math.isfinite(half) and abs(apart) > half


def _paired_differences(
    a: MeasureResult, b: MeasureResult, axis_a: tuple[float, float], axis_b: tuple[float, float]
) -> Sequence[float]:
    """Differences of distances, seed by seed; each method keeps the side that its mean lies on."""
    theirs = dict(zip(b.seeds, b.values, strict=True))
    pairs = [
        (value, theirs[seed])
        for seed, value in zip(a.seeds, a.values, strict=True)
        if seed is not None and seed in theirs
    ]
    (sign_a, centre_a), (sign_b, centre_b) = axis_a, axis_b
    return [
        sign_a * (x - centre_a) - sign_b * (y - centre_b)
        for x, y in pairs
        if np.isfinite(x) and np.isfinite(y)
    ]
