"""The command: settings in; models, tables and figures out."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import Annotated

import jax
import tyro
from rich.console import Console

from jax_unlearn.bank.changed import plan_for
from jax_unlearn.bank.plan_filling import fill_originals
from jax_unlearn.bank.request_models import count_oracles
from jax_unlearn.core import InputError
from jax_unlearn.data import step_before

from ..shared.checks import check_settings
from ..shared.command import console, guarded
from ..shared.execution import profiled
from ..shared.folder import open_folder
from ..shared.halves import check_halves
from ..shared.planning import make_plan, open_bank_of
from ..shared.progress import phases, teller
from ..shared.reading import ExperimentCommand, read_command, starting_settings
from ..shared.setting_up import Setup, set_up
from . import __doc__ as description
from .begun import begin_with
from .record import make_record
from .running import Found, run_settings
from .settings import Asked, Setting, check_fixed, make_settings, read_asked
from .tables import print_table
from .writing import write_record


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(ExperimentCommand):
    """Vary a method's hyperparameters.

    The experiment's own methods and seeds of unlearning are not used; no weights are kept.

    Attributes:
      method: name of the method, or FILE.py:NAME or pkg.module:NAME of your own.
      over: FIELD=VALUES, with commas between them; or, with --sample, FIELD=LOW..HIGH or
        FIELD=LOW..HIGH:log; once for each field.
      study: natmu or mumis, a named study in place of --method and --over.
      sample: how many settings to draw at random; 0 takes the whole grid.
      sample_seed: randomness of that draw.
      out: folder of the run; new, or one that the same settings began.
      bank: folder of a bank, to take originals and oracles from and put them into; empty keeps them
        in the run's own folder.
      overwrite: empty a folder of other settings.
    """

    method: str = ""
    over: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    study: str = ""
    sample: int = 0
    sample_seed: int = 0
    out: str = "runs/ablate"
    bank: str = ""
    overwrite: bool = False


def execute(command: Command, terminal: Console, fixed: tuple[str, ...] = ()) -> None:
    """Run all settings on every request; write and print what came of them.

    Args:
      command: what is asked for.
      terminal: where to print.
      fixed: entries of ``set`` that were given beside the fields to vary, which they must not name.
    """
    given = command
    asked = read_asked(given.method, given.over, given.study, given.sample, given.sample_seed)
    check_fixed(asked, fixed)
    experiment = dataclasses.replace(
        command.experiment,
        methods=(asked.method,),
        unlearning_seeds=(),
        skip_unfit=False,
        show_defaults=False,
    )
    setup = set_up(experiment, command.execution, out=command.out, download=command.download)
    if jax.process_count() > 1:
        raise InputError(
            f"num_processes={jax.process_count()}: an ablation is one process; pass "
            "--num-processes 1"
        )
    chosen = {
        text: make_settings(asked, setup.arguments[text][asked.method])
        for text in setup.experiment.requests
    }
    _check_all(setup, asked, chosen)
    halves = check_halves(setup, command.bank)
    if command.bank:
        # Before the folder is made: nothing is left behind where the bank is refused.
        open_bank_of(command.bank, setup.dataset)
    swept = {text: [setting.values for setting in some] for text, some in chosen.items()}
    settings = {**setup.settings, **halves, "settings": json.loads(json.dumps(swept, default=str))}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(open_folder(given.out, settings, overwrite=given.overwrite))
        own = open_bank_of(folder / "bank", setup.dataset)
        bank = open_bank_of(command.bank, setup.dataset) if command.bank else own
        phase = stack.enter_context(phases(terminal))
        stack.enter_context(profiled(command.execution.profile))
        plan = make_plan(setup, bank, phase, teller(terminal), watch=False)
        settings_plan = dataclasses.replace(plan, bank=own)
        oracles = range(count_oracles(len(experiment.seeds), experiment.oracles))
        made: dict[str, Found] = {}
        for text, some in chosen.items():
            plan_of, place_of = plan_for(plan, text), plan_for(settings_plan, text).bank
            originals = fill_originals(plan_of, experiment.seeds)
            made[text] = found = run_settings(
                *(plan_of, place_of, text, asked.method, some, originals, oracles),
                made.get(step_before(text)),
                followed=text in map(step_before, chosen),
            )
            record = make_record(found, asked, some, experiment.seeds)
            place = folder / found.forgetting.slug
            write_record(record, setup.settings["experiment"], place)
            print_table(record, terminal)
            terminal.print(f"wrote {place}", markup=False, soft_wrap=True)


def _check_all(setup: Setup, asked: Asked, chosen: Mapping[str, list[Setting]]) -> None:
    """Check all settings against the data."""
    for text, settings in chosen.items():
        methods = [setting.unlearner for setting in settings]
        check_settings(asked.method, methods, text, setup.model, setup.dataset)


def main() -> None:
    """Read the command line and run the settings."""

    def run() -> None:
        begun = begin_with(sys.argv[1:])
        used = ("method", "over", "study", "sample")
        command = read_command(Command, "experiments.ablate", description, begun, used)
        first = len(starting_settings(sys.argv[1:], begun).set)
        execute(command, console(), fixed=command.experiment.set[first:])

    guarded(run, warnings_later=True)
