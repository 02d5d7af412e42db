"""The sentences of an audit's record, each of which follows from its numbers."""

from collections.abc import Mapping, Sequence

from jax_unlearn.audit.comparison.compare import AuditRow, Comparison
from jax_unlearn.audit.comparison.models import METHOD, ORACLE, ORIGINAL
from jax_unlearn.audit.comparison.ranking import Ranking
from jax_unlearn.audit.comparison.results import OUTSIDE
from jax_unlearn.audit.comparison.verdicts import CANNOT_BE_JUDGED, FAILS, few_oracles
from jax_unlearn.audit.measures.measure import BANKS, MIN_BANK, Measure
from jax_unlearn.audit.measures.memorization import Memorization
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.wording import agree, counted

SHOWN = 6
"""Measures that the sentence on a row names."""


def summarize(
    comparison: Comparison,
    text: str,
    rankings: Sequence[Ranking],
    memorization: Memorization | None,
) -> list[str]:
    """Say what was forgotten, how every row fares and which method is nearest to retraining.

    Args:
      comparison: the audit.
      text: of the request.
      rankings: of its methods.
      memorization: of the request's examples, None for unknown.
    """
    return [
        _forgotten(comparison, text),
        *_memorized(memorization),
        *_verdicts(comparison),
        *_uninformative(comparison),
        *_nearest(comparison, rankings),
    ]


def _forgotten(comparison: Comparison, text: str) -> str:
    first = comparison.models.first
    forget, total = len(first.forget.label), len(first.forget.label) + len(first.retain.label)
    n = len(comparison.models.oracle.kept)
    return (
        f"{forget} of {total} training images {agree(forget, 'was', 'were')} forgotten "
        f"({describe_request(text)}); {counted(n, 'oracle')}, retrained without them, "
        f"{agree(n, 'shows', 'show')} what to reach."
    )


def _memorized(memorization: Memorization | None) -> list[str]:
    if memorization is None or not (memorization.forget and memorization.retain):
        return []
    of_forget, of_retain = (
        f"{found.value:.3f} (standard error {found.standard_error:.3f})"
        for found in (memorization.forget, memorization.retain)
    )
    return [
        f"A forgotten image is answered right more often by {of_forget} where it was trained "
        f"on, a retained one by {of_retain}: memorization scores, from "
        f"{memorization.models} models trained on random halves."
    ]


def _uninformative(comparison: Comparison) -> list[str]:
    if not (comparison.models.original.kept and comparison.bands):
        return []
    idle = len(comparison.uninformative)
    return [
        f"{idle} of {counted(len(comparison.bands), 'measure')} {agree(idle, 'is', 'are')} "
        f"uninformative here: {agree(idle, 'it does', 'they do')} not tell the original, "
        "which forgot nothing, from retraining."
    ]


def _nearest(comparison: Comparison, rankings: Sequence[Ranking]) -> list[str]:
    measures = {m.name: m.title for m in comparison.measures}
    titles = comparison.models.titles
    return [
        f"By {measures[ranking.measure]}, nearest first: "
        f"{', '.join(titles[name] for name, _ in ranking.order)}. "
        f"{undecided(ranking, titles)}".rstrip()
        for ranking in rankings
        if ranking.measure in ("gap", "ulira_auc")
    ]


def undecided(ranking: Ranking, titles: Mapping[str, str]) -> str:
    """Say what the order of a ranking does not, '' where it says all.

    Args:
      ranking: the methods in order.
      titles: of the rows.
    """
    pairs = [f"{titles[one]} and {titles[other]}" for one, other in ranking.tied]
    return f"Cannot be told apart: {', '.join(pairs)}." if pairs else ""


def _verdicts(comparison: Comparison) -> list[str]:
    """A sentence for each row, or one for all where none can be judged."""
    if all(row.verdict.outcome == CANNOT_BE_JUDGED for row in comparison.rows):
        # The notes begin with the first.
        few = few_oracles(comparison.models)
        return [] if few else [f"Nothing can be judged: {comparison.rows[-1].verdict.reason}."]
    kinds = {m.name: m for m in comparison.measures}
    return [_verdict(row, kinds) for row in comparison.rows]


def _verdict(row: AuditRow, measures: Mapping[str, Measure]) -> str:
    subject = {
        ORIGINAL: "The original, which forgot nothing,",
        ORACLE: "The row of held-out oracles",
    }.get(row.group.kind, row.group.title)
    says = f"{subject} {row.verdict.outcome}: {row.verdict.reason}"
    if row.verdict.judged and any(
        measures[name].kind == BANKS and not result.n for name, result in row.results.items()
    ):
        says += f"; banks were not compared for want of {MIN_BANK} models"
    outside = [measures[n].title for n, r in row.results.items() if r.verdict == OUTSIDE]
    if row.verdict.outcome == FAILS and row.group.kind == METHOD and outside:
        says += f" ({'; '.join(outside[:SHOWN])}{'; ...' if len(outside) > SHOWN else ''})"
    return f"{says}."
