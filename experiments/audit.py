r"""Audit unlearned models against oracles: `python -m experiments.audit RUN_OR_PREDICTIONS...`.

What is audited: folders of `experiments.run`, banks of `experiments.bank`, and .npz files made
elsewhere (NAME=file[,file...], NAME=folder, or as they are). What it is compared with: --oracles, a
bank, a run's folder or .npz files. With --oracles alone everything in the bank is audited, with a
run's folder alone its own oracles serve. Writes audit.json, audit.csv, report.html and report.md.

  python -m experiments.audit --oracles runs/bank --out runs/audit
  python -m experiments.audit runs/quickstart --oracles runs/bank --request class:3
  python -m experiments.audit mine=predictions/ --oracles runs/bank --original original-0.npz
  python -m experiments.audit --check runs/audit/audit.json
  python -m experiments.audit --check audit.json --oracles bank-elsewhere more-predictions/

An .npz file holds one model's predictions, of un-augmented images in eval mode:

  forget_logits, retain_logits, test_logits  floating [N, K]  before softmax
  forget_label, retain_label, test_label     integer [N]      in 0..K-1
  forget_id, retain_id, test_id              integer [N]      the data set's, each once, any order
  test_forgotten                             bool [T]         test images of classes forgotten whole

and, for measures of a model's probe, all of these or none (jax_unlearn/audit/stored_probe.py):

  forget_features, probe_features            floating [F or P, D]  inputs of the last linear layer
  probe_id                                   integer [P]           retain examples, the same in all
  random_logits                              floating [F, K]       one untrained network, the same
  relearn_steps, relearn_losses              integer, floating [S + 1]  updates from 0, mean loss

NAME-SEED.npz says which seed a file is of. Models of one seed share their initial weights: they are
not compared with each other, a model whose logits are the original's of its seed is flagged as
no-op, and every second oracle by seed is held out. Files without a seed go by name and count as
different from all others.
"""

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from jax_unlearn.audit import AuditProtocol
from jax_unlearn.audit.records.auditing import audit_sources
from jax_unlearn.audit.records.check import check
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.audit.records.stores import Sources
from jax_unlearn.core import InputError, check_number
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.files import write_whole
from jax_unlearn.report import (
    MethodRun,
    Picture,
    method_figures,
    print_summary,
    to_csv,
    write_report,
)

from .command import console, guarded, parse, program
from .progress import phases
from .provenance import provenance

SHOWN = 50
"""Differences that a check prints."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Audit unlearned models.

    Attributes:
      targets: folders of runs, banks, or .npz files as NAME=file[,file...] or NAME=folder.
      oracles: a bank, a run's folder or .npz files; empty takes those of the targets.
      original: .npz files of models trained on all data; none takes those of the bank or run.
      level: quick, standard, strong, or auto for the highest that the models allow.
      request: hash or text of the request, such as class:3; empty for all that have oracles. Names
        the request where the oracles are .npz files.
      out: folder of the results; one inside it for each request where there are several.
      protocol: choices that numbers depend on.
      check: audit.json to compute again from the predictions that it names; where they lie
        elsewhere now, --oracles and targets say where.
    """

    targets: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    oracles: str = ""
    original: tuple[str, ...] = ()
    level: str = "auto"
    request: str = ""
    out: str = "runs/audit"
    protocol: AuditProtocol = dataclasses.field(default_factory=AuditProtocol)
    check: str = ""


def execute(command: Command, terminal: Console) -> None:
    """Audit every request and write the results."""
    if command.protocol.svc_max_examples is not None:
        name = "protocol.svc-max-examples"
        check_number(name, command.protocol.svc_max_examples, low=1, whole=True)
    found = gather_sources(command.targets, command.oracles, command.original, command.request)
    folders = [Path(command.out) / (s.slug if len(found) > 1 else "") for s in found]
    for folder in folders:
        _check_writable(folder)
    for sources, folder in zip(found, folders, strict=True):
        with phases(terminal) as phase:
            audit_one(sources, command.level, command.protocol, folder, terminal, phase)


def audit_one(
    sources: Sources,
    level: str,
    protocol: AuditProtocol,
    folder: Path,
    terminal: Console,
    phase: Callable[[str], Any],
    *,
    settings: Mapping[str, Any] | None = None,
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
      runs: gives a run of each method, for the figures that it declares.
    """
    with phase(f"{describe_request(sources.text)}: audit") as on_step:
        record = audit_sources(sources, level, protocol, folder, on_step)
    record["provenance"] = provenance()
    if settings is not None:
        record["settings"] = settings
    write(record, folder, method_figures(runs(), record))
    print_summary(record, terminal)
    reasons = {row["verdict"]["reason"].lower() for row in record["rows"]}
    for note in record["notes"]:
        # Why there is no verdict has been printed already.
        if note.rstrip(".").lower() not in reasons:
            terminal.print(f"- {note}", markup=False, highlight=False, style="dim")
    terminal.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)


def _check_writable(folder: Path) -> None:
    """Make the folder, or say why it cannot hold results, before hours are spent on them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"out={str(folder)!r}: {error.strerror}: expected a folder that can be written to; "
            "name another with --out"
        ) from None


def write(record: Mapping[str, Any], folder: Path, figures: Sequence[Picture] = ()) -> None:
    """Write the record as JSON, CSV and report."""
    write_whole(folder / "audit.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    write_whole(folder / "audit.csv", to_csv(record))
    write_report(record, folder, figures=figures)


def _check(command: Command, terminal: Console) -> bool:
    """Compute an audit again with nothing but the places of its predictions given."""
    for field in dataclasses.fields(Command):
        name = field.name
        if name in ("targets", "oracles", "check"):
            continue
        if getattr(command, name) != getattr(Command(), name):
            raise InputError(
                f"{name}={getattr(command, name)!r}: has no effect beside --check, which takes it "
                f"from the audit; leave out --{name}"
            )
    places = [part for p in (command.oracles, *command.targets) if p for part in p.split(",")]
    checked = check(command.check, places)
    for difference in checked.differences[:SHOWN]:
        terminal.print(f"differs: {difference}", markup=False, soft_wrap=True)
    if len(checked.differences) > SHOWN:
        terminal.print(f"and {len(checked.differences) - SHOWN} more")
    if not checked.differences:
        terminal.print(f"{command.check}: agrees with what its predictions give", soft_wrap=True)
    if checked.unchecked:
        terminal.print(f"not checked: {checked.unchecked}", markup=False, soft_wrap=True)
    return not checked.differences


def main() -> None:
    """Read the command line and audit."""

    def run() -> None:
        command = parse(Command, "experiments.audit", __doc__ or "", default=Command())
        if not command.check:
            execute(command, console())
        elif not _check(command, console()):
            raise SystemExit(1)

    guarded(run)


if __name__ == "__main__":
    program(main)
