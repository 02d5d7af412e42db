"""Audit one request: the record and its report in a folder, the summary on the terminal."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jax_unlearn.audit import AuditProtocol
from jax_unlearn.audit.records.auditing import audit_sources
from jax_unlearn.audit.records.stores import Sources
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.display import method_of, row_titles
from jax_unlearn.files import write_whole
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method
from jax_unlearn.report import (
    MethodRun,
    Picture,
    method_figures,
    print_summary,
    to_csv,
    write_report,
)

from .composed import methods_in
from .provenance import provenance


def audit_one(
    sources: Sources,
    level: str,
    protocol: AuditProtocol,
    folder: Path,
    terminal: Console,
    phase: Callable[[str], Any],
    *,
    settings: Mapping[str, Any] | None = None,
    unfit: Mapping[str, str] | None = None,
    runs: Callable[[], Mapping[str, MethodRun]] = dict,
) -> None:
    """Audit a request, write record and report to a folder, and print what came out.

    Args:
      sources: the models to compare.
      level: as in the command.
      protocol: as in the command.
      folder: where to; made if missing.
      terminal: where to print.
      phase: opens a progress bar.
      settings: what the models were made with, for the report.
      unfit: by row why its method cannot work on the request; it has a row that says so.
      runs: gives a run of each method, for the figures that it declares.
    """
    with phase(f"{describe_request(sources.text)}: audit") as on_step:
        record = audit_sources(sources, level, protocol, folder, on_step)
    record["provenance"] = provenance()
    if settings is not None:
        record["settings"] = settings
    record["unfit"] = [
        {"name": name, "title": title_of(name), "why": why} for name, why in (unfit or {}).items()
    ]
    write(record, folder, method_figures(runs(), record))
    print_summary(record, terminal)
    reasons = {row["verdict"]["reason"].lower() for row in record["rows"]}
    for note in record["notes"]:
        # Why there is no verdict has been printed already.
        if note.rstrip(".").lower() not in reasons:
            terminal.print(f"- {note}", markup=False, highlight=False, style="dim")
    if settings is not None and "varied" in settings:
        terminal.print(f"- varied: {settings['varied']}", highlight=False, style="dim")
    terminal.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)


def title_of(name: str) -> str:
    """How a reader knows a row without a model."""
    methods = methods_in(method_of(name))
    declared = method_class(find_method(methods[0])).title if len(methods) == 1 else ""
    return row_titles({name: declared})[name]


def write(record: Mapping[str, Any], folder: Path, figures: Sequence[Picture] = ()) -> None:
    """Write the record as JSON, CSV and report."""
    write_whole(folder / "audit.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    write_whole(folder / "audit.csv", to_csv(record))
    write_report(record, folder, figures=figures)
