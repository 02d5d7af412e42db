"""The command: models in, a record and a report out."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jax_unlearn.audit import AuditProtocol
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.core import InputError, check_number

from ..shared.auditing import audit_one
from ..shared.command import console, guarded, parse
from ..shared.progress import phases
from . import __doc__ as description
from .checking import check_again


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


def _places(command: Command) -> list[str]:
    """Where --check looks for predictions; refuses what it takes from the audit itself."""
    for field in dataclasses.fields(Command):
        name = field.name
        if name in ("targets", "oracles", "check"):
            continue
        if getattr(command, name) != getattr(Command(), name):
            raise InputError(
                f"{name}={getattr(command, name)!r}: has no effect beside --check, which takes it "
                f"from the audit; leave out --{name}"
            )
    return [part for p in (command.oracles, *command.targets) if p for part in p.split(",")]


def main() -> None:
    """Read the command line and audit."""

    def run() -> None:
        command = parse(Command, "experiments.audit", description, default=Command())
        if not command.check:
            execute(command, console())
        elif not check_again(command.check, _places(command), console()):
            raise SystemExit(1)

    guarded(run)
