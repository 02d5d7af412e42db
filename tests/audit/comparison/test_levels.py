"""Which models an audit of a level looks at."""

import pytest

from jax_unlearn.audit.comparison.levels import QUICK, QUICK_MODELS, STANDARD, at_level
from jax_unlearn.audit.comparison.models import ORACLE, Group, RequestModels


def group(collapsed):
    runs = tuple(f"run {i}" for i in range(len(collapsed)))
    return Group("oracle", ORACLE, runs, tuple(collapsed), tuple(False for _ in collapsed))


@pytest.mark.parametrize(
    ("collapsed", "runs"),
    [
        ([True, False] * 3, [0, 1, 2, 3, 4, 5]),
        ([True] * 6 + [False] * 2, list(range(8))),
        ([False] * 8, [0, 1, 2, 3]),
    ],
)
def test_a_quick_audit_takes_few_working_models_and_counts_all_that_collapsed(collapsed, runs):
    whole = group(collapsed)
    chosen = at_level(RequestModels(whole, whole, {}), QUICK).oracle
    assert chosen.runs == tuple(f"run {i}" for i in runs)
    assert sum(chosen.collapsed) == sum(collapsed)
    assert len(chosen.kept) == min(QUICK_MODELS, collapsed.count(False))
    assert at_level(RequestModels(whole, whole, {}), STANDARD).oracle is whole
