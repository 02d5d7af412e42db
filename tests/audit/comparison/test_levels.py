"""Which models an audit of a level looks at."""

import pytest

from jax_unlearn.audit.comparison.levels import QUICK, QUICK_MODELS, STANDARD, at_level
from jax_unlearn.audit.comparison.models import ORACLE, Group, RequestModels, Run


def group(collapsed, seeds=None):
    runs = tuple(Run(None, seed) for seed in seeds or range(len(collapsed)))
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
    assert [run.seed for run in chosen.runs] == runs
    assert sum(chosen.collapsed) == sum(collapsed)
    assert len(chosen.kept) == min(QUICK_MODELS, collapsed.count(False))
    assert at_level(RequestModels(whole, whole, {}), STANDARD).oracle is whole


@pytest.mark.parametrize(
    ("seeds", "taken"),
    [
        # Three unlearning runs of each original.
        ([0, 0, 0, 1, 1, 1], [0, 1, 3, 4]),
        ([0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 3, 6]),
        ([5, 5, 5, 5, 5, 9], [0, 1, 2, 5]),
        ([None] * 3 + [0, 0], [0, 1, 2, 3]),
    ],
)
def test_a_quick_audit_takes_models_of_as_many_training_seeds_as_it_can(seeds, taken):
    whole = group([False] * len(seeds), seeds)
    chosen = at_level(RequestModels(whole, whole, {"method": whole}), QUICK).methods["method"]
    places = {id(run): index for index, run in enumerate(whole.runs)}
    assert [places[id(run)] for run in chosen.runs] == taken


def test_models_that_collapsed_do_not_count_as_their_seeds_first():
    whole = group([True, False, False, False, False, False], [0, 0, 0, 0, 1, 1])
    chosen = at_level(RequestModels(whole, whole, {}), QUICK).oracle
    assert [run.seed for run in chosen.kept] == [0, 0, 1, 1]
