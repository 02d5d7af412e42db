"""What a run shows of its methods beyond the audit: figures that a method declares."""

import dataclasses
from collections.abc import Sequence

import jax

from jax_unlearn.bank.plan import Named, Plan, unlearning, unlearning_seed
from jax_unlearn.bank.request_models import RequestRecords
from jax_unlearn.engine import run_keys
from jax_unlearn.report import MethodRun


def method_runs(filled: RequestRecords, methods: Sequence[Named]) -> dict[str, MethodRun]:
    """The first seed's run of every method, for :func:`jax_unlearn.report.method_figures`.

    Nothing is trained. Rows that a method showed are laid out again, with the key that the run had.
    """
    return {named.name: _run(filled.plan, filled, named) for named in methods}


def _run(plan: Plan, filled: RequestRecords, named: Named) -> MethodRun:
    unlearner, record = named.unlearner, filled.methods[named.name][0]
    outcome = record.outcome
    named = dataclasses.replace(named, seed=unlearning_seed(record))
    rows = problem = None
    # Several processes hold one model's arrays together, and process 0 draws alone.
    if unlearner.pool_figure and jax.process_count() == 1:
        # In a sequence a step goes on from the model that the steps before left.
        began = plan.bank.record(record.ingredients["original"])
        spec = unlearning(plan, filled.forgetting, began, named)
        problem = spec.problem
        rows = getattr(unlearner, unlearner.pool_figure)(run_keys(spec.key).pool, problem)
    return MethodRun(
        method=unlearner,
        history=outcome.get("history", ()),
        status=outcome["status"],
        rows=rows,
        problem=problem,
        class_names=plan.dataset.class_names,
    )
