"""An audit as plain JSON values: what a report is drawn from and a third party checks again."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax_unlearn.audit.comparison.bands import SPLITS, NullBand
from jax_unlearn.audit.comparison.compare import AuditRow, Comparison
from jax_unlearn.audit.comparison.curves import draw_curves
from jax_unlearn.audit.comparison.models import METHOD, ORACLE, ORIGINAL, Group
from jax_unlearn.audit.comparison.ranking import Ranking, rank
from jax_unlearn.audit.comparison.results import OUTSIDE, PAIRED_ORACLES, MeasureResult
from jax_unlearn.audit.comparison.verdicts import CANNOT_BE_JUDGED, FAILS, few_oracles
from jax_unlearn.audit.measures.accuracy import is_class_wise
from jax_unlearn.audit.measures.banks import BANK_EXAMPLES
from jax_unlearn.audit.measures.catalogue import CATALOGUE
from jax_unlearn.audit.measures.measure import BANKS, MIN_BANK, MIN_SUBSETS, Measure
from jax_unlearn.audit.measures.memorization import MeanMemorization, Memorization
from jax_unlearn.audit.measures.statistics import Interval
from jax_unlearn.wording import agree, counted

FORMAT = 2

NO_SUBSETS = "no models trained on random halves are given"
"""Why memorization was not measured."""


def to_record(
    comparison: Comparison,
    request: Mapping[str, str],
    *,
    memorization: Memorization | None = None,
    display: Callable[[str], str] = str,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the audit as JSON values, None where a number is not known.

    Keys: ``format``, ``level``, ``request`` (hash, text, ids_hash, sizes), ``models`` (numbers of
    models and, per method, seeds, statuses and seconds), ``measures`` (the catalogue's entries),
    ``not_measured`` (others, and why), ``rows`` (``results`` by measure, ``verdict``, ``seconds``
    and ``share`` of retraining in percent), ``bands``,
    ``uninformative``, ``memorization`` (None below ``MIN_SUBSETS`` models of random halves),
    ``ranking``, ``curves``, ``summary``, ``notes``, ``protocol``.

    Args:
      comparison: from :func:`~jax_unlearn.audit.comparison.compare.compare`.
      request: ``hash``, ``text`` and ``ids_hash`` of the request.
      memorization: what models of random halves tell of the request's examples, None without.
      display: how a method is named in sentences.
      seed: of what is drawn for the curves.
    """
    first = comparison.models.first
    rankings = rank(comparison)
    by_name = {m.name: m for m in (*CATALOGUE, *comparison.catalogue)}
    absent = dict(comparison.not_measured) | _no_memorization(memorization)
    return {
        "format": FORMAT,
        "level": comparison.level,
        "request": {
            **request,
            "forget": len(first.forget.label),
            "retain": len(first.retain.label),
            "test": len(first.test.label),
            "class_wise": is_class_wise(first),
        },
        "models": _models(comparison),
        "measures": [
            {
                "name": m.name,
                "title": m.title,
                "unit": m.unit,
                "oracle_value": m.oracle_value,
                "outside": m.outside,
                "level": m.level,
                "higher": m.higher,
                "needs": m.needs,
                "does": m.does,
                "source": m.source,
            }
            for m in comparison.measures
        ],
        "not_measured": [
            {"name": m.name, "title": m.title, "needs": m.needs, "does": m.does, "why": why}
            for m, why in ((by_name[name], why) for name, why in absent.items())
        ],
        "rows": [_row(row) for row in comparison.rows],
        "bands": {name: _band(band) for name, band in comparison.bands.items()},
        "uninformative": list(comparison.uninformative),
        "memorization": _memorization(None if "memorization" in absent else memorization),
        "ranking": [
            {
                "measure": ranking.measure,
                "order": [{"name": name, **_ends(result)} for name, result in ranking.order],
                "note": _shown(ranking, display).note,
            }
            for ranking in rankings
        ],
        "curves": draw_curves(comparison, seed=seed),
        "summary": _summary(
            comparison,
            request["text"],
            rankings,
            None if "memorization" in absent else memorization,
            display,
        ),
        "notes": list(comparison.notes),
        "protocol": {
            "terms": list(comparison.protocol.terms),
            "attack_terms": list(comparison.protocol.attack_terms),
            "nonmembers": comparison.protocol.nonmembers,
            "svc_max_examples": comparison.protocol.svc_max_examples,
            "confidence": comparison.confidence,
            "splits": SPLITS,
            "min_bank": MIN_BANK,
            "paired_oracles": PAIRED_ORACLES,
            "bank_examples": BANK_EXAMPLES,
        },
    }


def _no_memorization(memorization: Memorization | None) -> dict[str, str]:
    if memorization is None or not memorization.models:
        return {"memorization": NO_SUBSETS}
    if memorization.forget is None:
        n = memorization.models
        few = (
            f"{counted(n, 'model')} trained on random halves {agree(n, 'is', 'are')} fewer than "
            f"{MIN_SUBSETS}"
        )
        return {"memorization": few}
    return {}


def _memorization(memorization: Memorization | None) -> dict[str, Any] | None:
    if memorization is None or memorization.forget is None or memorization.retain is None:
        return None

    def part(found: MeanMemorization) -> dict[str, Any]:
        return {
            "value": number(found.value),
            "standard_error": number(found.standard_error),
            "examples": found.examples,
        }

    return {
        "models": memorization.models,
        "forget": part(memorization.forget),
        "retain": part(memorization.retain),
    }


def _models(comparison: Comparison) -> dict[str, Any]:
    models = comparison.models
    return {
        "original": len(models.original.kept),
        "oracle": len(models.oracle.kept),
        "reference": len(comparison.reference),
        "held_out": len(models.oracle.kept) - len(comparison.reference),
        "methods": {name: _group(group) for name, group in models.methods.items()},
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "n": len(group.runs),
        "collapsed": sum(group.collapsed),
        "no_op": sum(group.no_op),
        "statuses": group.statuses,
        "seeds": [run.seed for run in group.runs],
        "seconds": [number(run.seconds) for run in group.runs],
        "arguments": None,
        "files": [],
    }


def _row(row: AuditRow) -> dict[str, Any]:
    return {
        "name": row.group.name,
        "kind": row.group.kind,
        "flags": row.group.flags,
        "results": {name: _result(result) for name, result in row.results.items()},
        "verdict": {
            "outcome": row.verdict.outcome,
            "outside": row.verdict.outside,
            "judged": row.verdict.judged,
            "chance": row.verdict.chance,
            "reason": row.verdict.reason,
        },
        "seconds": _interval(row.seconds),
        "share": _interval(row.share),
    }


def _interval(found: Interval) -> dict[str, Any]:
    return {
        "value": number(found.mean),
        "low": number(found.low),
        "high": number(found.high),
        "n": found.n,
    }


def _ends(result: MeasureResult) -> dict[str, float | None]:
    return {name: number(getattr(result, name)) for name in ("value", "low", "high")}


def _result(result: MeasureResult) -> dict[str, Any]:
    band = None if result.band is None else [number(result.band.low), number(result.band.high)]
    return {
        **_ends(result),
        "n": result.n,
        "verdict": result.verdict,
        "note": result.note,
        "band": band,
    }


def _band(band: NullBand) -> dict[str, Any]:
    return {
        "low": number(band.low),
        "high": number(band.high),
        "median": number(band.median),
        "n": band.n,
        "how": band.how,
    }


def number(value: float) -> float | None:
    """Return a number that JSON can hold, None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def _summary(
    comparison: Comparison,
    text: str,
    rankings: Sequence[Ranking],
    memorization: Memorization | None,
    display: Callable[[str], str],
) -> list[str]:
    """Sentences, each of which follows from the numbers."""
    first = comparison.models.first
    forget, total = len(first.forget.label), len(first.forget.label) + len(first.retain.label)
    n = len(comparison.models.oracle.kept)
    sentences = [
        f"{forget} of {total} training images {agree(forget, 'was', 'were')} forgotten ({text}); "
        f"{counted(n, 'oracle')}, retrained without them, {agree(n, 'shows', 'show')} what to "
        "reach."
    ]
    if memorization is not None and memorization.forget and memorization.retain:
        of_forget, of_retain = (
            f"{found.value:.3f} (standard error {found.standard_error:.3f})"
            for found in (memorization.forget, memorization.retain)
        )
        sentences.append(
            f"A forgotten image is answered right more often by {of_forget} where it was trained "
            f"on, a retained one by {of_retain}: memorization scores, from "
            f"{memorization.models} models trained on random halves."
        )
    sentences += _verdicts(comparison, display)
    idle = len(comparison.uninformative)
    if comparison.models.original.kept and comparison.bands:
        sentences.append(
            f"{idle} of {counted(len(comparison.bands), 'measure')} {agree(idle, 'is', 'are')} "
            f"uninformative here: {agree(idle, 'it does', 'they do')} not tell the original, "
            "which forgot nothing, from retraining."
        )
    titles = {m.name: m.title for m in comparison.measures}
    for ranking in rankings:
        if ranking.measure in ("gap", "ulira_auc"):
            names = ", ".join(display(name) for name, _ in ranking.order)
            title = titles[ranking.measure]
            sentences.append(
                f"By {title}, nearest first: {names}. {_shown(ranking, display).note}".rstrip()
            )
    return sentences


def _shown(ranking: Ranking, display: Callable[[str], str]) -> Ranking:
    tied = tuple((display(one), display(other)) for one, other in ranking.tied)
    return dataclasses.replace(ranking, tied=tied)


def _verdicts(comparison: Comparison, display: Callable[[str], str]) -> list[str]:
    """A sentence for each row, or one for all where none can be judged."""
    if all(row.verdict.outcome == CANNOT_BE_JUDGED for row in comparison.rows):
        # The notes begin with the first.
        few = few_oracles(comparison.models)
        return [] if few else [f"Nothing can be judged: {comparison.rows[-1].verdict.reason}."]
    kinds = {m.name: m for m in comparison.measures}
    return [_verdict(row, kinds, display) for row in comparison.rows]


def _verdict(row: AuditRow, measures: Mapping[str, Measure], display: Callable[[str], str]) -> str:
    subject = {
        ORIGINAL: "The original, which forgot nothing,",
        ORACLE: "The row of held-out oracles",
    }.get(row.group.kind, display(row.group.name))
    says = f"{subject} {row.verdict.outcome}: {row.verdict.reason}"
    if row.verdict.judged and any(
        measures[name].kind == BANKS and not result.n for name, result in row.results.items()
    ):
        says += f"; banks were not compared for want of {MIN_BANK} models"
    outside = [measures[n].title for n, r in row.results.items() if r.verdict == OUTSIDE]
    if row.verdict.outcome == FAILS and row.group.kind == METHOD and outside:
        says += f" ({'; '.join(outside[:6])}{'; ...' if len(outside) > 6 else ''})"
    return f"{says}."
