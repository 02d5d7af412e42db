r"""Audit unlearned models against oracles: `python -m experiments.audit RUN_OR_PREDICTIONS...`.

What is audited: folders of `experiments.run`, banks of `experiments.bank`, and .npz files made
elsewhere (NAME=file[,file...], NAME=folder, or as they are). What it is compared with: --oracles, a
bank, a run's folder or .npz files. With --oracles alone everything in the bank is audited, with a
run's folder alone its own oracles serve. Writes audit.json, audit.csv, audit.md and the report.

  python -m experiments.audit --oracles runs/bank --out runs/audit
  python -m experiments.audit runs/quickstart --oracles runs/bank --request class:3
  python -m experiments.audit mine=predictions/ --oracles runs/bank --original original-0.npz
  python -m experiments.audit --check runs/audit/audit.json
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table as RichTable

from experiments import audit_tables
from experiments.audit_report import write_report
from experiments.audit_sources import gather_sources
from experiments.audit_stores import Item, Sources, file_digest, read_runs, way_of_looking
from experiments.command import console, guarded, parse, program
from experiments.figures.style import display_name
from experiments.folder import provenance
from experiments.halves import read_memorization
from experiments.progress import phases
from jax_unlearn.audit import (
    AuditProtocol,
    accuracies,
    area_over_course,
    interval,
    overshoot,
    worst_over_course,
)
from jax_unlearn.audit.comparison import NO_INSIDE, compare
from jax_unlearn.audit.models import gather_models
from jax_unlearn.audit.record import FORMAT, NO_HALVES, number, to_record
from jax_unlearn.core import InputError
from jax_unlearn.engine.bank import ids_digest
from jax_unlearn.files import write_whole

TOLERANCE = 1e-6
"""Relative difference that other machines' rounding may make in a number."""

ADDED_BY = {
    NO_INSIDE: "python -m experiments.bank with the bank's flags and --inside 16",
    NO_HALVES: "python -m experiments.bank with the bank's flags and --halves 64",
}
"""Commands that add what a measure lacks, by the reason why it was not taken."""

UNCHECKED = ("provenance", "files", "measures", "not_measured")
"""Entries of a record that are not computed from predictions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Audit unlearned models.

    Attributes:
      targets: folders of runs, banks, or .npz files as NAME=file[,file...] or NAME=folder.
      oracles: a bank, a run's folder or .npz files; empty takes those of the targets.
      original: .npz files of models trained on all data; none takes those of the bank or run.
      level: quick, standard, strong, or auto for the highest that the models allow.
      request: hash or text of the request, such as class:3; empty for all that have oracles.
      out: folder of the results; one inside it for each request where there are several.
      protocol: choices that numbers depend on.
      check: audit.json to compute again from the predictions that it names.
    """

    targets: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    oracles: str = ""
    original: tuple[str, ...] = ()
    level: str = "auto"
    request: str = ""
    out: str = "runs/audit"
    protocol: AuditProtocol = dataclasses.field(default_factory=AuditProtocol)
    check: str = ""


def audit_sources(
    sources: Sources, level: str, protocol: AuditProtocol, folder: Path, terminal: Console
) -> dict[str, Any]:
    """Read the models of a request, audit them and return the record.

    Args:
      sources: what to audit.
      level: as in the command.
      protocol: as in the command.
      folder: that the paths in the record are relative to.
      terminal: for progress.

    Raises:
      InputError: if something does not match; see :func:`gather_models`.
    """
    groups = (sources.original, sources.oracle, *sources.methods.values())
    looked = way_of_looking(item for items in groups for item in items)
    models = gather_models(
        read_runs(sources.oracle, sources.hash),
        {name: read_runs(items, sources.hash) for name, items in sources.methods.items()},
        read_runs(sources.original, sources.hash),
    )
    with phases(terminal) as phase, phase(f"{sources.text}: audit") as on_step:
        comparison = compare(models, level=level, protocol=protocol, on_step=on_step)
    ids = models.oracle.runs[0].predictions.forget.id
    request = {"hash": sources.hash, "text": sources.text, "ids_hash": ids_digest(ids)}
    halves = [item.path.parent for item in sources.halves]
    memorization = read_memorization(halves, ids)
    record = to_record(comparison, request, memorization=memorization, display=display_name)
    record["protocol"]["asked_level"] = level
    record["protocol"]["inside"] = looked
    for absent in record["not_measured"]:
        absent["add"] = ADDED_BY.get(absent["why"], "")
    for name, items in sources.methods.items():
        method = record["models"]["methods"][name]
        method["arguments"] = sources.arguments.get(name)
        method["files"] = _described(items, folder)
        watched = [list(item.history) for item in items if len(item.history) > 1]
        if watched:
            record["curves"]["forget_accuracy"][name] = watched
    record["courses"] = _courses(
        record["curves"]["forget_accuracy"],
        float(np.mean([accuracies(run.predictions)["FA"] for run in models.oracle.kept])),
        comparison.confidence,
    )
    record["files"] = {
        "original": _described(sources.original, folder),
        "oracle": _described(sources.oracle, folder),
        "halves": _described(sources.halves, folder),
    }
    return record


def _courses(
    watched: Mapping[str, list[list[float]]], oracle: float, confidence: float
) -> dict[str, Any]:
    """How far the forget accuracy strays from the oracles' on the way, per method."""
    measures = {
        "worst": worst_over_course,
        "overshoot": overshoot,
        "area": area_over_course,
    }
    methods = {}
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
    return {"oracle": oracle, "methods": methods}


def _described(items: list[Item], folder: Path) -> list[dict[str, Any]]:
    def file(path: Path) -> dict[str, str]:
        relative = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
        return {"path": relative, "sha256": file_digest(path)}

    return [
        {
            **file(item.path),
            "inside": None if item.inside is None else file(item.inside),
            "seed": item.seed,
            "seconds": number(item.seconds),
            "status": item.status,
            "history": list(item.history),
        }
        for item in items
    ]


def execute(command: Command, terminal: Console) -> None:
    """Audit every request and write the results."""
    found = gather_sources(command.targets, command.oracles, command.original, command.request)
    for sources in found:
        folder = Path(command.out) / (sources.slug if len(found) > 1 else "")
        record = audit_sources(sources, command.level, command.protocol, folder, terminal)
        record["provenance"] = provenance()
        write(record, folder)
        show(record, terminal)
        terminal.print(f"written: {folder / 'audit.json'}")


def write(record: Mapping[str, Any], folder: Path) -> None:
    """Write the record as JSON, CSV, Markdown and report."""
    write_whole(folder / "audit.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    write_whole(folder / "audit.csv", audit_tables.to_csv(record))
    write_whole(folder / "audit.md", audit_tables.to_markdown(record))
    write_report(record, folder)


def show(record: Mapping[str, Any], terminal: Console) -> None:
    """Print the tables and what must be known of them."""
    for table in audit_tables.tables(record):
        printed = RichTable(title=table.title, title_justify="left")
        for header in table.header:
            printed.add_column(header, overflow="fold")
        for row in table.rows:
            printed.add_row(*row)
        terminal.print(printed, markup=False)
    terminal.print(audit_tables.LEGEND, markup=False, style="dim")
    for line in (*record["summary"], *record["notes"]):
        terminal.print(f"- {line}", markup=False)


def check(path: str, terminal: Console) -> bool:
    """Compute an audit again from the predictions that it names, and say whether it agrees.

    Raises:
      InputError: if the file is no audit.
    """
    file = Path(path)
    try:
        recorded = json.loads(file.read_text())
        if recorded["format"] != FORMAT:
            raise InputError(
                f"check={path!r}: format={recorded['format']!r}: expected {FORMAT}; check it with "
                "the version that wrote it"
            )
        sources = _recorded_sources(recorded, file.parent)
        level = recorded["protocol"]["asked_level"]
        names = [field.name for field in dataclasses.fields(AuditProtocol)]
        protocol = AuditProtocol(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in recorded["protocol"].items()
                if name in names
            }
        )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"check={path!r}: expected the audit.json of an audit") from error
    differences = list(_changed_files(recorded, file.parent))
    if not differences:
        again = audit_sources(sources, level, protocol, file.parent, terminal)
        # Through JSON, as the recorded numbers went.
        again = json.loads(json.dumps(again))
        differences = list(_differences(recorded, again, "", UNCHECKED))
    for difference in differences[:50]:
        terminal.print(f"differs: {difference}", markup=False, soft_wrap=True)
    if len(differences) > 50:
        terminal.print(f"and {len(differences) - 50} more")
    if not differences:
        terminal.print(f"{path}: agrees with what its predictions give", soft_wrap=True)
    return not differences


def _recorded_files(recorded: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in (*recorded["files"].values(), *(m["files"] for m in _methods(recorded).values())):
        yield from group


def _methods(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    return recorded["models"]["methods"]


def _recorded_sources(recorded: Mapping[str, Any], folder: Path) -> Sources:
    def items(files: list[Mapping[str, Any]]) -> list[Item]:
        return [
            Item(
                folder / file["path"],
                file["seed"],
                math.nan if file["seconds"] is None else file["seconds"],
                file["status"],
                tuple(file["history"]),
                folder / file["inside"]["path"] if file.get("inside") else None,
            )
            for file in files
        ]

    methods = _methods(recorded)
    return Sources(
        recorded["request"]["hash"],
        recorded["request"]["text"],
        items(recorded["files"]["original"]),
        items(recorded["files"]["oracle"]),
        {name: items(method["files"]) for name, method in methods.items()},
        {name: method["arguments"] for name, method in methods.items()},
        items(recorded["files"].get("halves", [])),
    )


def _changed_files(recorded: Mapping[str, Any], folder: Path) -> Iterator[str]:
    for item in _recorded_files(recorded):
        parts = {"predictions that were": item, "inside that was": item.get("inside")}
        for what, file in parts.items():
            if not file:
                continue
            path = folder / file["path"]
            if not path.is_file():
                yield f"{file['path']}: missing"
            elif file_digest(path) != file["sha256"]:
                yield f"{file['path']}: not the {what} audited (sha256)"


def _differences(
    recorded: Any, again: Any, where: str, skipped: tuple[str, ...] = ()
) -> Iterator[str]:
    """Paths of values that are not equal, numbers up to rounding."""
    if isinstance(recorded, dict) and isinstance(again, dict):
        for key in sorted({*recorded, *again} - set(skipped)):
            place = f"{where}.{key}".lstrip(".")
            if key not in recorded or key not in again:
                yield f"{place}: {'not recorded' if key in again else 'not there any more'}"
            else:
                yield from _differences(recorded[key], again[key], place)
    elif isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        for position, pair in enumerate(zip(recorded, again, strict=True)):
            yield from _differences(*pair, f"{where}[{position}]")
    elif _is_number(recorded) and _is_number(again):
        if not math.isclose(recorded, again, rel_tol=TOLERANCE, abs_tol=1e-9):
            yield f"{where}: recorded {recorded!r}, computed {again!r}"
    elif recorded != again:
        yield f"{where}: recorded {str(recorded)[:80]!r}, computed {str(again)[:80]!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def main() -> None:
    """Read the command line and audit."""

    def run() -> None:
        command = parse(Command, "experiments.audit", __doc__ or "", default=Command())
        if not command.check:
            execute(command, console())
        elif not check(command.check, console()):
            raise SystemExit(1)

    guarded(run)


if __name__ == "__main__":
    program(main)
