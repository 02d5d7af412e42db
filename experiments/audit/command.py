"""The command: models in, a record and a report out."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from jax_unlearn.audit import AuditProtocol
from jax_unlearn.audit.measures.klom import VARIANTS
from jax_unlearn.audit.measures.measure import QUICK, STANDARD, STRONG
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.core import InputError, check_choice, check_number

from ..shared.auditing import audit_one
from ..shared.command import console, guarded
from ..shared.command_line import parse
from ..shared.naming import as_typed
from ..shared.progress import phases
from ..shared.writable import check_writable
from . import __doc__ as description
from .checking import check_again
from .folder import check_is_audit, folders_of, remove_earlier


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Audit unlearned models.

    Attributes:
      targets: folders of runs, banks, or .npz files as NAME=file[,file...], NAME=folder or
        NAME='pattern'; or a folder of original-SEED.npz, oracle-SEED.npz and METHOD-SEED.npz.
      oracles: a bank, a run's folder or .npz files, separated by commas or as a pattern in quotes;
        empty takes those of the targets.
      original: .npz files of models trained on all data; none takes those of the bank or run.
      level: quick, standard, strong, or auto for the highest that the models allow.
      requests: hashes or texts of the requests, such as class:3, a sequence with all its steps;
        none for all that have oracles. Names the request where the oracles are .npz files.
      out: folder of the results; one inside it for each request where there are several. New, or
        that of an earlier audit, which is replaced.
      overwrite: write there whatever the folder holds.
      protocol: choices that numbers depend on.
      check: audit.json to compute again, from the predictions that it names; where they lie
        elsewhere now, --oracles and targets say where.
    """

    targets: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    oracles: str = ""
    original: tuple[str, ...] = ()
    level: str = "auto"
    requests: tuple[str, ...] = ()
    out: str = "runs/audit"
    overwrite: bool = False
    protocol: AuditProtocol = dataclasses.field(default_factory=AuditProtocol)
    check: str = ""


def execute(command: Command, terminal: Console) -> None:
    """Audit every request and write the results."""
    if command.protocol.svc_max_examples is not None:
        name = "protocol.svc-max-examples"
        check_number(name, command.protocol.svc_max_examples, low=1, whole=True)
    check_choice("protocol.klom-variant", command.protocol.klom_variant, VARIANTS)
    check_choice("level", command.level, ("auto", QUICK, STANDARD, STRONG))
    with as_typed(target="targets"), _naming_places(command):
        found = gather_sources(command.targets, command.oracles, command.original, command.requests)
    if not command.overwrite:
        check_is_audit(Path(command.out))
    names = folders_of(found)
    folders = [Path(command.out) / name for name in names]
    for folder in folders:
        check_writable(folder)
    for sources, folder in zip(found, folders, strict=True):
        with phases(terminal) as phase:
            audit_one(sources, command.level, command.protocol, folder, terminal, phase)
    if not command.overwrite:
        remove_earlier(Path(command.out), names)


@contextlib.contextmanager
def _naming_places(command: Command) -> Iterator[None]:
    """Name the flag that a place was given by; the library calls all of them path."""
    try:
        yield
    except InputError as error:
        place = re.match("path='(.*?)'", str(error))
        if place is None:
            raise
        # The first that holds it: what is looked for lies in a folder that was given.
        given = {"oracles": command.oracles.split(","), "original": command.original}
        holds = [flag for flag, paths in given.items() if any(_lies_in(place[1], p) for p in paths)]
        flag = (*holds, "targets")[0]
        raise InputError(str(error).replace("path=", f"{flag}=", 1)) from error


def _lies_in(place: str, folder: str) -> bool:
    return bool(folder) and (place == folder or Path(folder) in Path(place).parents)


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
            return
        places = _places(command)
        with _naming_places(command):
            agrees = check_again(command.check, places, console())
        if not agrees:
            raise SystemExit(1)

    guarded(run)
