"""From the models that lie in banks and files to the record of one request's audit."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jax_unlearn.audit.comparison.compare import NO_PROBE, compare
from jax_unlearn.audit.comparison.flags import is_finite
from jax_unlearn.audit.comparison.models import RequestModels, gather_models
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.audit.records.stores import (
    Item,
    Sources,
    file_digest,
    in_bank,
    probe_recipe,
    read_runs,
)
from jax_unlearn.audit.records.writing import NO_SUBSETS, Told, number, to_record
from jax_unlearn.bank import ids_digest
from jax_unlearn.bank.subset_models import read_memorization
from jax_unlearn.core import InputError
from jax_unlearn.display import row_titles

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
    told = _told(sources, level, folder)
    models = _models(sources)
    comparison = compare(models, level=level, protocol=protocol, on_step=on_step)
    ids = models.first.forget.id
    request = {"hash": sources.hash, "text": sources.text, "ids_hash": ids_digest(ids)}
    memorization = read_memorization([item.path.parent for item in sources.subsets], ids)
    return to_record(comparison, request, memorization=memorization, told=told)


def _models(sources: Sources) -> RequestModels:
    """Read the models, and check that they belong together."""
    models = gather_models(
        read_runs(sources.oracle, sources.hash),
        {name: read_runs(items, sources.hash) for name, items in sources.methods.items()},
        read_runs(sources.original, sources.hash),
        failed=sources.failed,
        titles=row_titles({name: items[0].title for name, items in sources.methods.items()}),
    )
    _check_finite(models, sources)
    return models


def _told(sources: Sources, level: str, folder: Path) -> Told:
    """What files and banks tell beside predictions."""
    groups = (sources.original, sources.oracle, *sources.methods.values())
    stored = any(in_bank(item.path) for item in sources.oracle)
    files = {name: getattr(sources, name) for name in ("original", "oracle", "subsets")}
    return Told(
        asked_level=level,
        probe=probe_recipe(item for items in groups for item in items),
        adds=ADDED_BY if stored else ADDED_TO_FILES,
        arguments=sources.arguments,
        files={name: _described(items, folder) for name, items in files.items()},
        methods={name: _described(items, folder) for name, items in sources.methods.items()},
    )


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


def _described(items: Sequence[Item], folder: Path) -> list[dict[str, Any]]:
    return [_file(item.path, folder) | _description(item, folder) for item in items]


def _description(item: Item, folder: Path) -> dict[str, Any]:
    return {
        "probe": None if item.probe is None else _file(item.probe, folder),
        "seed": item.seed,
        "seconds": number(item.seconds),
        "compile_seconds": number(item.compile_seconds),
        "status": item.status,
        "history": list(item.history),
        "sensitivity_ratio": number(item.sensitivity_ratio),
    }


def _file(path: Path, folder: Path) -> dict[str, str]:
    relative = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    return {"path": relative, "sha256": file_digest(path)}
