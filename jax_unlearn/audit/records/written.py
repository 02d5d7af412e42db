"""The record of one request's audit: what the models gave, and the files that it came from."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jax_unlearn.audit.comparison.compare import NO_PROBE, compare
from jax_unlearn.audit.comparison.models import RequestModels, gather_models, is_finite
from jax_unlearn.audit.comparison.record import NO_SUBSETS, number, to_record
from jax_unlearn.audit.measures.accuracy import accuracies
from jax_unlearn.audit.measures.course import area_over_course, overshoot, worst_over_course
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.audit.measures.statistics import interval
from jax_unlearn.audit.records.stores import (
    Item,
    Sources,
    file_digest,
    in_bank,
    probe_recipe,
    read_runs,
)
from jax_unlearn.bank import ids_digest
from jax_unlearn.bank.subset_models import read_memorization
from jax_unlearn.core import InputError
from jax_unlearn.display import display_name

ADDED_BY = {
    NO_PROBE: "python -m experiments.bank with the bank's flags and --probes 16",
    NO_SUBSETS: "python -m experiments.bank with the bank's flags and --subsets 64",
}
"""Commands that add what a measure lacks, by the reason why it was not taken."""

ADDED_TO_FILES = {
    NO_PROBE: "the arrays of jax_unlearn.audit.Probe in the files of predictions",
    NO_SUBSETS: "a bank of models of random halves as --oracles: experiments.bank --subsets",
}
"""The same where the oracles are in no bank."""


def audit_sources(
    sources: Sources,
    level: str,
    protocol: AuditProtocol,
    folder: Path,
    on_step: Callable[[int, int], None],
) -> dict[str, Any]:
    """Read the models of a request, audit them and return the record.

    Args:
      sources: what to audit.
      level: as in the command.
      protocol: as in the command.
      folder: that the paths in the record are relative to.
      on_step: called with the number of parts done and planned.

    Raises:
      InputError: if something does not match; see :func:`gather_models`.
    """
    groups = (sources.original, sources.oracle, *sources.methods.values())
    looked = probe_recipe(item for items in groups for item in items)
    models = gather_models(
        read_runs(sources.oracle, sources.hash),
        {name: read_runs(items, sources.hash) for name, items in sources.methods.items()},
        read_runs(sources.original, sources.hash),
    )
    _check_finite(models, sources)
    comparison = compare(models, level=level, protocol=protocol, on_step=on_step)
    ids = models.oracle.runs[0].predictions.forget.id
    request = {"hash": sources.hash, "text": sources.text, "ids_hash": ids_digest(ids)}
    subsets = [item.path.parent for item in sources.subsets]
    memorization = read_memorization(subsets, ids)
    record = to_record(comparison, request, memorization=memorization, display=display_name)
    record["protocol"]["asked_level"] = level
    record["protocol"]["probe"] = looked
    stored = any(in_bank(item.path) for item in sources.oracle)
    for absent in record["not_measured"]:
        absent["add"] = (ADDED_BY if stored else ADDED_TO_FILES).get(absent["why"], "")
    for name, items in sources.methods.items():
        method = record["models"]["methods"][name]
        method["arguments"] = sources.arguments.get(name)
        method["files"] = _described(items, folder)
        watched = [list(item.history) for item in items if len(item.history) > 1]
        if watched:
            record["curves"]["forget_accuracy"][name] = watched
    record["courses"] = _courses(
        record["curves"]["forget_accuracy"],
        interval([accuracies(run.predictions)["FA"] for run in models.oracle.kept]).mean,
        comparison.confidence,
    )
    record["files"] = {
        "original": _described(sources.original, folder),
        "oracle": _described(sources.oracle, folder),
        "subsets": _described(sources.subsets, folder),
    }
    return record


def _check_finite(models: RequestModels, sources: Sources) -> None:
    """Refuse a row of files from elsewhere that hold nothing but NaN.

    A run that collapsed is a result, and its store says so; a file tells no more than its numbers.
    """
    for group, items in (
        (models.original, sources.original),
        *((models.methods[name], items) for name, items in sources.methods.items()),
    ):
        stored = any(in_bank(item.path) or item.status for item in items)
        if items and not stored and not any(is_finite(run.predictions) for run in group.runs):
            raise InputError(
                f"{group.name}: the logits of {str(items[0].path)!r}"
                f"{' and all others of the row' if len(items) > 1 else ''} hold NaN or infinity: "
                "expected at least one model with finite logits; predict again, or leave it out"
            )


def _courses(
    watched: Mapping[str, list[list[float]]], oracle: float, confidence: float
) -> dict[str, Any]:
    """How far the forget accuracy strays from the oracles' on the way, per method."""
    measures = {
        "worst": worst_over_course,
        "overshoot": overshoot,
        "area": area_over_course,
    }
    methods: dict[str, dict[str, Any]] = {}
    for name, courses in watched.items():
        methods[name] = {}
        for key, function in measures.items():
            found = interval([function(course, oracle) for course in courses], confidence)
            mean, low, high, n = found
            methods[name][key] = {
                "value": number(mean),
                "low": number(low),
                "high": number(high),
                "n": n,
            }
    return {"oracle": number(oracle), "methods": methods}


def _described(items: list[Item], folder: Path) -> list[dict[str, Any]]:
    def file(path: Path) -> dict[str, str]:
        relative = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
        return {"path": relative, "sha256": file_digest(path)}

    return [
        {
            **file(item.path),
            "probe": None if item.probe is None else file(item.probe),
            "seed": item.seed,
            "seconds": number(item.seconds),
            "compile_seconds": number(item.compile_seconds),
            "status": item.status,
            "history": list(item.history),
        }
        for item in items
    ]
