"""The command: settings in, a file of hyperparameters out."""

import contextlib
import dataclasses
import json
import pathlib

import jax
import optuna
from rich.console import Console

from jax_unlearn import audit
from jax_unlearn.bank.request_models import count_oracles
from jax_unlearn.core import InputError, check_number
from jax_unlearn.files import write_whole

from ..shared.command import console, guarded
from ..shared.composed import methods_in
from ..shared.folder import open_folder
from ..shared.halves import check_halves
from ..shared.planning import make_plan, open_bank_of
from ..shared.progress import phases, teller
from ..shared.provenance import provenance
from ..shared.reading import ExperimentCommand, read_command
from ..shared.setting_up import Setup, set_up
from ..shared.writable import check_writable
from . import __doc__ as description
from .searching import search_requests
from .space import space_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(ExperimentCommand):
    """Search every method's hyperparameters.

    Of the experiment neither the seeds, but for those of requests, nor the file of hyperparameters
    is used. A searched hyperparameter that is set is where the search begins.

    Attributes:
      out: folder for runs and, without --bank, originals and oracles; a search that was cut off
        goes on.
      bank: folder of a bank, to take originals and oracles from and put them into.
      trials: per method and request.
      search_seeds: of the originals and oracles of the search; must be none of the table's.
      result: file to write; presets read experiments/configs/PRESET.json.
      overwrite: empty a folder of other settings.
    """

    out: str = "runs/search"
    bank: str = ""
    trials: int = 32
    search_seeds: tuple[int, ...] = (100, 101)
    result: str = ""
    overwrite: bool = False


def _check(command: Command) -> Setup:
    """Check what is asked for, and load the data."""
    check_number("trials", command.trials, low=1, whole=True)
    table = command.experiment
    used = {*table.seeds, *range(count_oracles(table.runs, table.oracles))}
    if used & set(command.search_seeds):
        raise InputError(
            f"search_seeds={command.search_seeds}: the table uses {tuple(sorted(used))}; search on "
            "other seeds"
        )
    if command.result and pathlib.Path(command.result).is_dir():
        raise InputError(f"result={command.result!r}: a folder stands there; expected a file")
    experiment = dataclasses.replace(
        table, seeds=command.search_seeds, unlearning_seeds=(), hyperparameters=""
    )
    setup = set_up(experiment, command.execution, out=command.out, download=command.download)
    if jax.process_count() > 1:
        raise InputError(
            f"num_processes={jax.process_count()}: a search is one process; pass --num-processes 1"
        )
    for name in experiment.methods:
        if len(methods_in(name)) > 1:
            raise InputError(
                f"methods={name!r}: a search takes one method at a time: expected each of them by "
                "itself; its result serves the sequence"
            )
        if not space_of(name):
            raise InputError(
                f"methods={name!r}: it declares nothing to search: expected a method with a "
                "search_space; give it one as jax_unlearn.methods.finetune has, or leave it out"
            )
    if command.result:
        check_writable(pathlib.Path(command.result).parent, flag="result")
    return setup


def execute(command: Command, terminal: Console) -> None:
    """Run the search and write its result."""
    setup = _check(command)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {name: space_of(name) for name in setup.experiment.methods}
    asked = {"trials": command.trials, "spaces": json.loads(json.dumps(spaces))}
    asked |= check_halves(setup, command.bank)
    if command.bank:
        open_bank_of(command.bank, setup.dataset)
    with contextlib.ExitStack() as stack:
        settings = {**setup.settings, **asked}
        folder = stack.enter_context(
            open_folder(command.out, settings, overwrite=command.overwrite)
        )
        bank = open_bank_of(command.bank or folder / "bank", setup.dataset)
        phase = stack.enter_context(phases(terminal))
        plan = make_plan(setup, bank, phase, teller(terminal), watch=False)
        found = search_requests(plan, setup, command.trials, folder, terminal)
    result = {
        "objective": f"average gap over {', '.join(audit.AuditProtocol().terms)}, mean over seeds",
        "eligible": "collapses on no seed, and forgets on every seed",
        **asked,
        "seeds": command.search_seeds,
        **found,
        **provenance(),
    }
    target = pathlib.Path(command.result or folder / "hyperparameters.json")
    write_whole(target, json.dumps(result, indent=2) + "\n")
    terminal.print(f"wrote {target}")


def main() -> None:
    """Read the command line and search."""
    used = ("trials", "search-seeds")
    guarded(
        lambda: execute(
            read_command(Command, "experiments.search", description, first=used), console()
        ),
        warnings_later=True,
    )
