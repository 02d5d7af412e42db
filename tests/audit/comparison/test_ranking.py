import dataclasses
import math

import pytest

from jax_unlearn.audit.comparison.bands import NullBand
from jax_unlearn.audit.comparison.compare import AuditRow
from jax_unlearn.audit.comparison.models import METHOD, Group
from jax_unlearn.audit.comparison.ranking import badness, rank
from jax_unlearn.audit.comparison.results import MeasureResult
from jax_unlearn.audit.comparison.verdicts import Verdict
from jax_unlearn.audit.measures.catalogue import CATALOGUE
from jax_unlearn.audit.measures.measure import ABOVE, BELOW, BOTH

BAND = NullBand(0.4, 0.6, 0.5, 64, "")
RMIA, ULIRA = (next(m for m in CATALOGUE if m.name == n) for n in ("rmia_auc", "ulira_auc"))


@dataclasses.dataclass
class Audit:
    """What a ranking reads of a comparison."""

    measures: tuple
    rows: tuple
    bands: dict
    confidence: float = 0.95


def ranked(measure, **cells):
    rows = tuple(
        AuditRow(Group(name, METHOD, (), (), ()), {measure.name: cell}, Verdict("", 0, 0, None))
        for name, cell in cells.items()
    )
    (found,) = rank(Audit((measure,), rows, {measure.name: BAND}))
    return [name for name, _ in found.order], found.tied


@pytest.mark.parametrize(
    ("outside", "order"),
    [(ABOVE, (0.3, 0.5, 0.9)), (BELOW, (0.9, 0.5, 0.3)), (BOTH, (0.5, 0.3, 0.9))],
)
def test_badness_grows_with_the_distance_to_retraining(outside, order):
    measure = dataclasses.replace(RMIA, outside=outside)
    found = [badness(measure, value, BAND) for value in order]
    assert found == sorted(found)
    assert len(set(found)) == 3


def test_methods_as_far_off_on_either_side_are_not_told_apart():
    low, high = MeasureResult(0.3, 0.25, 0.35, 64), MeasureResult(0.69, 0.64, 0.74, 64)
    assert ranked(RMIA, low=low, high=high) == (["high", "low"], (("high", "low"),))
    near = MeasureResult(0.55, 0.5, 0.6, 64)
    assert ranked(RMIA, low=low, near=near) == (["near", "low"], ())


def test_shared_seeds_are_compared_in_their_distance_to_retraining():
    seeds = (0, 1, 2)
    low = MeasureResult(0.3, 0.2, 0.4, 3, values=(0.29, 0.3, 0.31), seeds=seeds)
    # Distances 0.21, 0.2, 0.19 against 0.205, 0.2, 0.195.
    high = MeasureResult(0.7, 0.6, 0.8, 3, values=(0.705, 0.7, 0.695), seeds=seeds)
    assert {*ranked(RMIA, low=low, high=high)[1][0]} == {"low", "high"}
    # Seed by seed 0.05 nearer.
    nearer = MeasureResult(0.65, 0.5, 0.8, 3, values=(0.661, 0.65, 0.639), seeds=seeds)
    assert ranked(RMIA, low=low, nearer=nearer) == (["nearer", "low"], ())


def test_a_bound_of_the_measure_does_not_shorten_an_interval():
    # Both intervals reach 0.06 down; upwards the largest AUC there is cuts them.
    one, other = MeasureResult(0.96, 0.9, 1.0, 64), MeasureResult(1.0, 0.94, 1.0, 64)
    assert ranked(ULIRA, one=one, other=other)[1] == (("one", "other"),)
    far = MeasureResult(0.9, 0.84, 0.96, 64)
    assert ranked(ULIRA, far=far, other=other)[1] == ()


def test_without_intervals_nothing_is_told_apart():
    one, other = (
        MeasureResult(0.5, math.nan, math.nan, 1),
        MeasureResult(0.9, math.nan, math.nan, 1),
    )
    assert ranked(ULIRA, one=one, other=other)[1] == (("one", "other"),)
