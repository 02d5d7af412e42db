"""An audit as plain JSON values: what a report is drawn from and a third party checks again."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax_unlearn.audit.comparison.bands import SPLITS, NullBand
from jax_unlearn.audit.comparison.compare import PASSES, AuditRow, Comparison
from jax_unlearn.audit.comparison.models import METHOD, ORACLE, ORIGINAL, Group
from jax_unlearn.audit.comparison.ranking import Ranking, rank
from jax_unlearn.audit.comparison.results import OUTSIDE, PAIRED_ORACLES, MeasureResult
from jax_unlearn.audit.measures.accuracy import is_class_wise
from jax_unlearn.audit.measures.catalogue import BANKS, BY_NAME, MIN_BANK
from jax_unlearn.audit.measures.curves import draw_curves
from jax_unlearn.audit.measures.evaluation import BANK_EXAMPLES
from jax_unlearn.audit.measures.memorization import MIN_SUBSETS, MeanMemorization, Memorization

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
    ``not_measured`` (others, and why), ``rows`` (cells and a verdict each), ``bands``,
    ``uninformative``, ``memorization`` (None below ``MIN_SUBSETS`` models of random halves),
    ``ranking``, ``curves``, ``summary``, ``notes``, ``protocol``.

    Args:
      comparison: from :func:`~jax_unlearn.audit.comparison.compare.compare`.
      request: ``hash``, ``text`` and ``ids_hash`` of the request.
      memorization: what models of random halves tell of the request's examples, None without.
      display: how a method is named in sentences.
      seed: of what is drawn for the curves.
    """
    first = comparison.models.oracle.kept[0].predictions
    rankings = rank(comparison)
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
            for m, why in ((BY_NAME[name], why) for name, why in absent.items())
        ],
        "rows": [_row(row) for row in comparison.rows],
        "bands": {name: _band(band) for name, band in comparison.bands.items()},
        "uninformative": list(comparison.uninformative),
        "memorization": None if "memorization" in absent else _memorization(memorization),
        "ranking": [
            {
                "measure": ranking.measure,
                "order": [{"name": name, **_ends(cell)} for name, cell in ranking.order],
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
        few = f"{memorization.models} models trained on random halves are fewer than {MIN_SUBSETS}"
        return {"memorization": few}
    return {}


def _memorization(memorization: Memorization) -> dict[str, Any]:
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
        "results": {name: _cell(cell) for name, cell in row.results.items()},
        "verdict": {
            "outcome": row.verdict.outcome,
            "outside": row.verdict.outside,
            "judged": row.verdict.judged,
            "chance": row.verdict.chance,
            "reason": row.verdict.reason,
        },
    }


def _ends(cell: MeasureResult) -> dict[str, float | None]:
    return {name: number(getattr(cell, name)) for name in ("value", "low", "high")}


def _cell(cell: MeasureResult) -> dict[str, Any]:
    band = None if cell.band is None else [number(cell.band.low), number(cell.band.high)]
    return {**_ends(cell), "n": cell.n, "verdict": cell.verdict, "note": cell.note, "band": band}


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
    first = comparison.models.oracle.kept[0].predictions
    forget, total = len(first.forget.label), len(first.forget.label) + len(first.retain.label)
    n = len(comparison.models.oracle.kept)
    sentences = [
        f"{forget} of {total} training images were forgotten ({text}); {n} "
        f"oracle{'s' if n > 1 else ''}, retrained without them, "
        f"{'show' if n > 1 else 'shows'} what to reach."
    ]
    if memorization is not None:
        of_forget, of_retain = (
            f"{found.value:.3f} (standard error {found.standard_error:.3f})"
            for found in (memorization.forget, memorization.retain)
        )
        sentences.append(
            f"A forgotten image is answered right more often by {of_forget} where it was trained "
            f"on, a retained one by {of_retain}: memorization scores, from "
            f"{memorization.models} models trained on random halves."
        )
    if not comparison.bands:
        sentences.append(
            "With so few oracles nothing is known of how far retraining lies from itself, so no "
            "row can be judged."
        )
    for row in comparison.rows:
        sentences += _verdict(row, display)
    powerless = len(comparison.uninformative)
    if comparison.models.original.runs and comparison.bands:
        sentences.append(
            f"{powerless} of {len(comparison.bands)} measures "
            f"{'has' if powerless == 1 else 'have'} no power here: "
            f"{'its band holds' if powerless == 1 else 'their bands hold'} "
            "the original, which forgot nothing."
        )
    for ranking in rankings:
        if ranking.measure in ("gap", "ulira_auc"):
            names = ", ".join(display(name) for name, _ in ranking.order)
            title = BY_NAME[ranking.measure].title
            sentences.append(
                f"By {title}, nearest first: {names}. {_shown(ranking, display).note}".rstrip()
            )
    return sentences


def _shown(ranking: Ranking, display: Callable[[str], str]) -> Ranking:
    tied = tuple((display(one), display(other)) for one, other in ranking.tied)
    return dataclasses.replace(ranking, tied=tied)


def _verdict(row: AuditRow, display: Callable[[str], str]) -> list[str]:
    name, found = display(row.group.name), row.verdict
    if not found.judged:
        return []
    subject = {
        ORIGINAL: "The original, which forgot nothing,",
        ORACLE: "The held-out oracles",
    }.get(row.group.kind, name)
    many = row.group.kind == ORACLE
    says = f"{subject} lie{'' if many else 's'} outside the null band on {found.outside} of "
    says += f"{found.judged} measures"
    if found.chance is None:
        return [f"{says}."]
    says += f" (by chance alone at most {found.chance}"
    if any(BY_NAME[m].kind == BANKS and not cell.n for m, cell in row.results.items()):
        says += f"; banks were not compared for want of {MIN_BANK} models"
    says += ")"
    if row.group.kind != METHOD:
        verdict = (
            ("pass" if many else "passes")
            if (found.outcome == PASSES)
            else ("fail" if many else "fails")
        )
        return [f"{says}: {verdict} the audit."]
    worst = [BY_NAME[m].title for m, cell in row.results.items() if cell.verdict == OUTSIDE]
    if found.outcome == PASSES:
        powerful = any(cell.verdict in ("inside", OUTSIDE) for cell in row.results.values())
        told = "cannot be told from retraining" if powerful else "cannot be judged here"
        return [f"{says}: it {told}{' by this audit' if powerful else ''}."]
    shown = "; ".join(worst[:6]) + ("; ..." if len(worst) > 6 else "")
    return [f"{says}: it can be told from retraining ({shown})."]
