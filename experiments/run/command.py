"""The command: settings in, a run's folder out."""

import contextlib
import dataclasses
import json
import pathlib
import warnings
from functools import partial

from rich.console import Console

from jax_unlearn.audit import AuditProtocol
from jax_unlearn.audit.records.runs import MODELS, selected_sources
from jax_unlearn.bank.request_models import count_oracles, fill_requests
from jax_unlearn.core import InputError
from jax_unlearn.engine import distributed
from jax_unlearn.engine.agreement import same_everywhere
from jax_unlearn.files import write_whole
from jax_unlearn.wording import counted

from ..shared.auditing import audit_one
from ..shared.command import console, guarded
from ..shared.execution import profiled
from ..shared.folder import open_folder
from ..shared.halves import check_halves
from ..shared.naming import as_typed
from ..shared.planning import make_plan, open_bank_of
from ..shared.progress import phases, teller
from ..shared.reading import ExperimentCommand, read_command
from ..shared.references import find_reference
from ..shared.setting_up import set_up
from . import __doc__ as description
from .method_runs import method_runs
from .own_method import alone, rank_among_all
from .tracking import check_tracker, start_tracking


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(ExperimentCommand):
    """Run an experiment.

    Attributes:
      out: folder of the run; new, or one that the same settings began.
      bank: folder of a bank, to take models from and put them into, which other runs may share;
        empty keeps one in the run's own folder.
      resume: go on with the run in the folder; an error if there is none. Without it, too, a run
        that was cut off goes on, and a new one begins where there is none.
      overwrite: empty a folder of other settings.
      method: a method of your own, as FILE.py:NAME or pkg.module:NAME, alone in the run, in place
        of --methods, and in batches of training's size; its originals and oracles are taken from
        the reference predictions that ship with the preset, so that none is trained.
      reference: a file of other reference predictions, written by
        `python -m experiments.reference`.
      track: tensorboard, wandb or trackio, which is told settings, metrics per epoch, the final
        table and figures; each is an optional extra of its name.
    """

    out: str = "runs/run"
    bank: str = ""
    resume: bool = False
    overwrite: bool = False
    method: str = ""
    reference: str = ""
    track: str = ""


def execute(command: Command, terminal: Console) -> None:
    """Fill the bank, audit every request and write its report.

    Several processes train together; process 0 alone reads, writes, audits and prints.
    """
    check_tracker(command.track)
    experiment, out = command.experiment, pathlib.Path(command.out)
    if command.method:
        experiment = alone(experiment, command.method)
    setup = set_up(experiment, command.execution, out=command.out, download=command.download)
    leads = distributed.is_leader()
    if not leads:
        terminal = Console(quiet=True)
        warnings.simplefilter("ignore")
    with same_everywhere():
        if command.resume and leads and not (out / "config.json").is_file():
            raise InputError(
                f"resume: there is no run in out={command.out!r}; name its folder, or leave it out"
            )
        say = partial(terminal.print, markup=False, highlight=False, soft_wrap=True)
        own = command.preset if command.method else ""
        reference = find_reference(command.reference, own, setup, say)
    settings = {**setup.settings, **check_halves(setup, command.bank)}
    if command.bank:
        # Before the folder is made: nothing is left behind where the bank is refused.
        open_bank_of(command.bank, setup.dataset)
    protocol = AuditProtocol(svc_max_examples=experiment.svc_examples or None)
    oracles = range(count_oracles(experiment.runs, experiment.oracles))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(open_folder(out, settings, overwrite=command.overwrite))
        bank = open_bank_of(command.bank or folder / "bank", setup.dataset)
        if reference is not None and leads:
            say(f"reference {reference.source}: {counted(reference.enter(bank), 'model')} taken")
        stack.enter_context(as_typed(learning_rate="training.learning_rate"))
        phase = stack.enter_context(phases(terminal))
        stack.enter_context(profiled(command.execution.profile))
        plan = make_plan(setup, bank, phase, teller(terminal), watch=True)
        tracking = start_tracking(command.track if leads else "", folder, setup.settings)
        if tracking is not None:
            stack.callback(tracking.close)
            plan = dataclasses.replace(plan, on_entry=tracking.entry)
        chosen, failed = [], []
        requests = setup.experiment.requests
        for filled in fill_requests(
            *(plan, requests, experiment.seeds, setup.methods),
            oracles=oracles,
            unlearning_seeds=experiment.unlearning_seeds,
        ):
            text = filled.forgetting.text
            chosen.append(filled.as_json())
            if leads:
                # Where the models of an audit lie is known to who has the folder alone.
                listed = {"bank": str(bank.path.resolve()), "requests": chosen}
                write_whole(folder / MODELS, json.dumps(listed, indent=1) + "\n")
                (sources,) = selected_sources(bank, chosen[-1:])
                place = folder / filled.forgetting.slug
                try:
                    audit_one(
                        *(sources, "auto", protocol, place, terminal, phase),
                        settings=setup.settings["experiment"] | {"varied": experiment.varied},
                        unfit=setup.unfit[text],
                        runs=partial(method_runs, filled, setup.methods(text)),
                    )
                    if tracking is not None:
                        tracking.request(filled, place)
                except InputError as error:
                    # Oracles that learned nothing, say; other requests may still be audited.
                    failed.append(f"{text}: {error}")
        # Not one by one: the first to leave would be taken for dead while process 0 audits.
        distributed.wait_for_others("end")
        if failed:
            raise InputError("; ".join(failed))
        if command.method and leads:
            rank_among_all(folder, command.method, command.preset, say)


def main() -> None:
    """Read the command line and run."""
    guarded(
        lambda: execute(read_command(Command, "experiments.run", description), console()),
        warnings_later=True,
    )
