"""The one place that writes an audit's record: plain JSON values, None for what is not known.

A report is drawn from it, and a third party computes it again.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn.audit.comparison.bands import SPLITS, NullBand
from jax_unlearn.audit.comparison.compare import AuditRow, Comparison
from jax_unlearn.audit.comparison.curves import draw_curves
from jax_unlearn.audit.comparison.models import Group, RequestModels
from jax_unlearn.audit.comparison.ranking import Ranking, rank
from jax_unlearn.audit.comparison.results import PAIRED_ORACLES, MeasureResult
from jax_unlearn.audit.measures.accuracy import accuracies, accuracy, is_class_wise
from jax_unlearn.audit.measures.banks import BANK_EXAMPLES
from jax_unlearn.audit.measures.catalogue import CATALOGUE
from jax_unlearn.audit.measures.course import area_over_course, overshoot, worst_over_course
from jax_unlearn.audit.measures.measure import MIN_BANK, MIN_SUBSETS, Measure
from jax_unlearn.audit.measures.memorization import MeanMemorization, Memorization
from jax_unlearn.audit.measures.statistics import Interval, interval
from jax_unlearn.audit.records.reading import FORMAT
from jax_unlearn.audit.records.summary import summarize, undecided
from jax_unlearn.core import Predictions
from jax_unlearn.wording import agree, counted

NO_SUBSETS = "no models trained on random halves are given"
"""Why memorization was not measured."""

_COURSES = {"worst": worst_over_course, "overshoot": overshoot, "area": area_over_course}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What files and banks tell of an audit's models beside their predictions, as JSON values.

    Attributes:
      asked_level: the level that was asked for.
      probe: what the models' probes were made of; None without any.
      adds: what would add a measure, by the reason why it was not taken.
      arguments: hyperparameters by method, None for unknown.
      files: ``original``, ``oracle`` and ``subsets``: for each model its file, seed, times, status
        and history.
      methods: the same by method.
    """

    asked_level: str
    probe: Mapping[str, Any] | None
    adds: Mapping[str, str]
    arguments: Mapping[str, Any]
    files: Mapping[str, Sequence[Mapping[str, Any]]]
    methods: Mapping[str, Sequence[Mapping[str, Any]]]


def to_record(
    comparison: Comparison,
    request: Mapping[str, str],
    *,
    memorization: Memorization | None = None,
    told: Told | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the audit as JSON values, None where a number is not known.

    Keys: ``format``, ``level``, ``request`` (hash, text, ids_hash, sizes), ``models`` (numbers of
    models, the accuracies that tell what there was to unlearn, and per method its title, seeds,
    statuses and seconds), ``measures`` (the catalogue's entries), ``not_measured`` (others, and
    why), ``rows`` (``results`` by measure, ``verdict``, ``seconds`` and ``share`` of retraining in
    percent), ``bands``, ``uninformative``, ``memorization`` (None below ``MIN_SUBSETS`` models of
    random halves), ``ranking``, ``curves``, ``summary``, ``notes``, ``protocol``; with ``told``
    also ``courses`` and ``files``.

    Args:
      comparison: from :func:`~jax_unlearn.audit.comparison.compare.compare`.
      request: ``hash``, ``text`` and ``ids_hash`` of the request.
      memorization: what models of random halves tell of the request's examples, None without.
      told: what the models' files tell; None where there are none.
      seed: of what is drawn for the curves.
    """
    absent = dict(comparison.not_measured) | _no_memorization(memorization)
    known = None if "memorization" in absent else memorization
    rankings = rank(comparison)
    record = {
        "format": FORMAT,
        "level": comparison.level,
        "request": {**request, **_sizes(comparison.models.first)},
        "models": _models(comparison),
        "measures": [_measure(m) for m in comparison.measures],
        "not_measured": _not_measured(comparison, absent),
        "rows": [_row(row) for row in comparison.rows],
        "bands": {name: _band(band) for name, band in comparison.bands.items()},
        "uninformative": list(comparison.uninformative),
        "memorization": _memorization(known),
        "ranking": [_ranking(ranking, comparison.models.titles) for ranking in rankings],
        "curves": draw_curves(comparison, seed=seed),
        "summary": summarize(comparison, request["text"], rankings, known),
        "notes": list(comparison.notes),
        "protocol": _protocol(comparison),
    }
    if told is not None:
        _tell(record, told, comparison)
    return record


def _tell(record: dict[str, Any], told: Told, comparison: Comparison) -> None:
    """Add to a record what the models' files tell."""
    record["protocol"] |= {"asked_level": told.asked_level, "probe": told.probe}
    for absent in record["not_measured"]:
        absent["add"] = told.adds.get(absent["why"], "")
    watched = record["curves"]["forget_accuracy"]
    for name, files in told.methods.items():
        method = record["models"]["methods"][name]
        method |= {"arguments": told.arguments.get(name), "files": list(files)}
        courses = [file["history"] for file in files if len(file["history"]) > 1]
        if courses:
            watched[name] = courses
    record["courses"] = _courses(watched, comparison)
    record["files"] = {name: list(files) for name, files in told.files.items()}


def _sizes(first: Predictions) -> dict[str, Any]:
    return {
        "forget": len(first.forget.label),
        "retain": len(first.retain.label),
        "test": len(first.test.label),
        "class_wise": is_class_wise(first),
    }


def _models(comparison: Comparison) -> dict[str, Any]:
    models = comparison.models
    return {
        "original": len(models.original.kept),
        "oracle": len(models.oracle.kept),
        "reference": len(comparison.reference),
        "held_out": len(models.oracle.kept) - len(comparison.reference),
        "accuracies": _accuracies(models),
        "methods": {name: _group(group) for name, group in models.methods.items()},
    }


def _accuracies(models: RequestModels) -> dict[str, dict[str, float | None]]:
    """What there was to unlearn: means over the originals and oracles that work, in percent."""
    originals = [run.predictions for run in models.original.kept]
    oracles = [run.predictions for run in models.oracle.kept]
    return {
        "original": {
            "train": _mean([_train_accuracy(predictions) for predictions in originals]),
            "test": _mean([accuracy(predictions.test) for predictions in originals]),
        },
        "oracle": {"forget": _mean([accuracy(predictions.forget) for predictions in oracles])},
    }


def _train_accuracy(predictions: Predictions) -> float:
    parts = predictions.forget, predictions.retain
    return float(np.average([accuracy(p) for p in parts], weights=[len(p.label) for p in parts]))


def _mean(values: Sequence[float]) -> float | None:
    return number(float(np.mean(values))) if values else None


def _group(group: Group) -> dict[str, Any]:
    return {
        "title": group.title,
        "failed": group.failed,
        "n": len(group.runs),
        "collapsed": sum(group.collapsed),
        "no_op": sum(group.no_op),
        "statuses": group.statuses,
        "seeds": [run.seed for run in group.runs],
        "seconds": [number(run.seconds) for run in group.runs],
        "arguments": None,
        "files": [],
    }


def _measure(m: Measure) -> dict[str, Any]:
    names = ("name", "title", "unit", "oracle_value", "outside", "level", "higher", "good", "needs")
    return {name: getattr(m, name) for name in (*names, "does", "source")}


def _not_measured(comparison: Comparison, absent: Mapping[str, str]) -> list[dict[str, Any]]:
    by_name = {m.name: m for m in (*CATALOGUE, *comparison.catalogue)}
    return [
        {key: getattr(by_name[name], key) for key in ("name", "title", "needs", "does")}
        | {"why": why}
        for name, why in absent.items()
    ]


def _row(row: AuditRow) -> dict[str, Any]:
    return {
        "name": row.group.name,
        "kind": row.group.kind,
        "flags": row.group.flags,
        "results": {name: _result(result) for name, result in row.results.items()},
        "verdict": dataclasses.asdict(row.verdict),
        "seconds": _interval(row.seconds),
        "share": _interval(row.share),
    }


def _interval(found: Interval) -> dict[str, Any]:
    mean, low, high, n = found
    return {"value": number(mean), "low": number(low), "high": number(high), "n": n}


def _ends(result: MeasureResult) -> dict[str, float | None]:
    return {name: number(getattr(result, name)) for name in ("value", "low", "high")}


def _result(result: MeasureResult) -> dict[str, Any]:
    band = None if result.band is None else [number(result.band.low), number(result.band.high)]
    told = {"n": result.n, "verdict": result.verdict, "note": result.note, "band": band}
    return {**_ends(result), **told}


def _band(band: NullBand) -> dict[str, Any]:
    ends = {name: number(getattr(band, name)) for name in ("low", "high", "median")}
    return {**ends, "n": band.n, "how": band.how}


def _ranking(ranking: Ranking, titles: Mapping[str, str]) -> dict[str, Any]:
    return {
        "measure": ranking.measure,
        "order": [{"name": name, **_ends(result)} for name, result in ranking.order],
        "note": undecided(ranking, titles),
    }


def _protocol(comparison: Comparison) -> dict[str, Any]:
    return {
        "terms": list(comparison.protocol.terms),
        "attack_terms": list(comparison.protocol.attack_terms),
        "nonmembers": comparison.protocol.nonmembers,
        "svc_max_examples": comparison.protocol.svc_max_examples,
        "klom_variant": comparison.protocol.klom_variant,
        "confidence": comparison.confidence,
        "splits": SPLITS,
        "min_bank": MIN_BANK,
        "paired_oracles": PAIRED_ORACLES,
        "bank_examples": BANK_EXAMPLES,
    }


def _no_memorization(memorization: Memorization | None) -> dict[str, str]:
    if memorization is None or not memorization.models:
        return {"memorization": NO_SUBSETS}
    if memorization.forget is not None:
        return {}
    n = memorization.models
    few = f"{counted(n, 'model')} trained on random halves {agree(n, 'is', 'are')} fewer than"
    return {"memorization": f"{few} {MIN_SUBSETS}"}


def _memorization(memorization: Memorization | None) -> dict[str, Any] | None:
    if memorization is None or memorization.forget is None or memorization.retain is None:
        return None
    return {
        "models": memorization.models,
        "forget": _memorized(memorization.forget),
        "retain": _memorized(memorization.retain),
    }


def _memorized(found: MeanMemorization) -> dict[str, Any]:
    return {
        "value": number(found.value),
        "standard_error": number(found.standard_error),
        "examples": found.examples,
    }


def _courses(
    watched: Mapping[str, Sequence[Sequence[float]]], comparison: Comparison
) -> dict[str, Any]:
    """How far the forget accuracy strays from the oracles' on the way, per method."""
    oracles = [accuracies(run.predictions)["FA"] for run in comparison.models.oracle.kept]
    level = interval(oracles).mean
    methods = {
        name: {
            key: _interval(interval([stray(c, level) for c in courses], comparison.confidence))
            for key, stray in _COURSES.items()
        }
        for name, courses in watched.items()
    }
    return {"oracle": number(level), "methods": methods}


def number(value: float) -> float | None:
    """Return a number that JSON can hold, None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None
