"""The command: settings and targets in, what the compilers made of them out."""

import dataclasses
import pathlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
from rich.console import Console

from jax_unlearn.core import InputError, check_choice
from jax_unlearn.files import write_whole

from ..shared.command import console, guarded
from ..shared.config_json import to_json
from ..shared.execution import Execution
from ..shared.naming import as_typed
from ..shared.reading import ExperimentCommand, read_command
from ..shared.waiting import tell_warnings
from ..shared.writable import check_writable
from . import __doc__ as description
from .compiling import prepare
from .derived import derive
from .findings import Findings
from .jobs import PROGRAMS, edits
from .measuring import COUNTING, Record, is_known, is_too_large
from .plain_networks import PLAIN
from .restarting import is_again, is_of_this_command, last_words, make_room
from .settings import Settings, settle
from .tables import heading, markdown, notes, show, shown_batch
from .target import Target, check_compiler, parse_target
from .totals import planner, totals


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(ExperimentCommand):
    """Compile an experiment's programs for accelerators that are not there.

    Attributes:
      target: what to compile for, PLATFORM:CHIP:TOPOLOGY: gpu:h100:8, tpu:v5e:2x2, tpu:v4:2x2x2.
      programs: step, scan, pass, evaluation, bank, plain; a scan is the compiled loop of steps, a
        pass what a one-shot edit does with a chunk of a data set, a bank models side by side, plain
        a training step of the same network in flax's own layers.
      batch: rows of every step, of training and of all methods; 0 leaves each its own.
      fit: find each program's largest batch; by compiling a few, mostly to within two percent.
      out: folder of what is found; new, or one that the same settings began.
      overwrite: begin anew in a folder of other settings.
    """

    target: tuple[str, ...] = ()
    programs: tuple[str, ...] = PROGRAMS
    batch: int = 0
    fit: bool = False
    out: str = "runs/compile"
    overwrite: bool = False


def execute(command: Command, terminal: Console) -> None:
    """Compile what the folder lacks and print it all."""
    if not command.target:
        raise InputError("target='': expected one or more, such as gpu:h100:8 or tpu:v5e:2x2")
    if not command.programs:
        raise InputError(f"programs='': expected one or more of {', '.join(PROGRAMS)}")
    for name in command.programs:
        check_choice("programs", name, PROGRAMS)
    targets = [parse_target(text) for text in command.target]
    for target in targets:
        check_compiler(target)
    _check_execution(command.execution)
    settings = settle(command.experiment, batch=command.batch)
    say = partial(terminal.print, markup=False, highlight=False, soft_wrap=True)
    out = pathlib.Path(command.out)
    prepared = {}
    for target in targets:
        with as_typed(_named(target.text, targets)):
            prepared[target.text] = prepare(settings, target, command.execution, command.programs)
    if not any(compiling.jobs for compiling in prepared.values()):
        raise InputError(
            f"programs={' '.join(command.programs)!r}: these settings have none: edits alone have "
            "a pass, there is no loop with --loop python or data on the host, and plain networks "
            f"are {', '.join(PLAIN)}; ask for others with --programs"
        )
    if "plain" in command.programs and settings.plain is None:
        network = settings.experiment.network.name
        say(f"no plain network: {network} has none; those that have are {', '.join(PLAIN)}")
    anew = command.overwrite and not is_of_this_command(out / "compile.json")
    chips = {target.text: target.chip for target in targets}
    findings = Findings(out, _described(command, settings), chips, overwrite=anew)
    findings.explain(last_words())
    check_writable(out)
    tell_warnings()
    steps = planner(settings)
    compiled = False
    for text, compiling in prepared.items():
        records = findings.of(text)
        for job in compiling.jobs:
            # Of what a process before this one has compiled there is no doubt.
            if not is_again() and compiling.has_changed(job, records.get(job.name)):
                say(f"{text} {job.name}: has changed since it was compiled")
                del records[job.name]
            lacks = findings.lacks(text, job.name, again=is_again())
            due = lacks or (command.fit and findings.lacks_fit(text, job.name))
            # Not before the first: every process must come further.
            if due and compiled:
                make_room()
            compiled = compiled or due
            if lacks:
                with findings.attempt(text, job.name), as_typed(_named(text, targets)):
                    records[job.name] = compiling.compile(job, known=records)
                findings.write()
                say(f"{text} {job.name}: {_told(records[job.name])}")
            if command.fit and findings.lacks_fit(text, job.name):
                with findings.attempt(text, job.name) as record:
                    records[job.name] = compiling.fit(job, record, records)
                findings.write()
                say(f"{text} {job.name}: largest batch {shown_batch(records[job.name])}")
        records = findings.arrange(text, [job.name for job in compiling.jobs])
        derive(records)
        findings.totals[text] = totals(settings, steps, records)
        findings.write()
    _report(settings, findings, out, terminal)
    asked = [findings.of(text)[job.name] for text, each in prepared.items() for job in each.jobs]
    failed = sum(not is_known(record) for record in asked)
    too_large = sum(map(is_too_large, asked))
    if failed:
        say(f"{failed} of {len(asked)} programs are not compiled")
    if too_large:
        say(
            f"{too_large} of {len(asked)} programs do not fit: take smaller batches or more devices"
        )
    if failed or too_large:
        raise SystemExit(1)


def _named(text: str, targets: Sequence[Target]) -> str:
    """The flag with one target, where there are several; else nothing."""
    return f"target={text!r}" if len(targets) > 1 else ""


def _check_execution(execution: Execution) -> None:
    """Raise InputError for a value out of range, and for what only a run that executes heeds."""
    execution.validate()
    for field in dataclasses.fields(Execution):
        given = getattr(execution, field.name)
        if field.name not in ("mesh", "placement") and given != field.default:
            raise InputError(f"{field.name}={given!r}: has no effect, nothing runs; leave it out")


def _described(command: Command, settings: Settings) -> dict[str, Any]:
    """What programs depend on."""
    execution = command.execution
    return {
        "experiment": to_json(settings.experiment),
        "counting": COUNTING,
        "mesh": execution.mesh,
        "placement": execution.placement,
    }


def _told(record: Record) -> str:
    if same := record.get("same_as"):
        return f"the same program as {same}"
    return record["error"] or f"compiled in {record['seconds']:.0f} s"


def _report(settings: Settings, findings: Findings, out: pathlib.Path, terminal: Console) -> None:
    texts = [heading(settings.experiment, findings.made)]
    for target, records in findings.records.items():
        said = notes(records, findings.totals.get(target, {}))
        if names := [row for row, *_ in edits(settings)]:
            said.append(f"Without a step of their own, since they edit once: {', '.join(names)}.")
        show(target, records, said, terminal)
        texts.append(markdown(target, records, said))
    write_whole(out / "compile.md", "\n".join(texts))
    terminal.print(f"figures: {out / 'compile.md'}", markup=False, highlight=False)


def main() -> None:
    """Read the command line and compile."""

    def run() -> None:
        # Whatever accelerators there are: nothing is executed on them.
        jax.config.update("jax_platforms", "cpu")
        used = ("target", "programs", "batch")
        execute(read_command(Command, "experiments.compile", description, first=used), console())

    guarded(run, warnings_later=True)
