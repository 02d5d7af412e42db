"""The command: settings in, a filled bank out."""

import dataclasses
import warnings

from rich.console import Console

from jax_unlearn.bank.forgetting import FIRST_SCORING_SEED
from jax_unlearn.bank.plan import Plan
from jax_unlearn.bank.plan_filling import fill_originals, fill_subsets
from jax_unlearn.bank.record import Record
from jax_unlearn.bank.request_models import (
    RequestRecords,
    count_unwatched,
    fill_requests,
)
from jax_unlearn.core import InputError, check_number
from jax_unlearn.engine import distributed
from jax_unlearn.engine.signals import deferred

from ..shared.command import console, guarded
from ..shared.config import Training
from ..shared.execution import profiled
from ..shared.halves import check_halves
from ..shared.naming import as_typed
from ..shared.planning import make_plan, open_bank_of
from ..shared.progress import phases, teller
from ..shared.reading import ExperimentCommand, read_command
from ..shared.setting_up import set_up
from . import __doc__ as description
from .probes import take_probes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(ExperimentCommand):
    """Fill a bank of models; the training seeds of the experiment are not used.

    Attributes:
      count: how many originals, oracles and unlearned models of each method; of seeds 0, 1 and
        so on; --oracles gives oracles a number of their own.
      subsets: how many models of random halves of the data; for memorization scores.
      probes: how many originals, oracles and unlearned models of each method to probe, for
        relearn time, linear probe, CKA and ZRF.
      watch: record accuracies after every epoch, of unlearned models, for the forget accuracy on
        the way; models that the bank holds already are left as they are.
      out: folder of the bank; new, or a bank of the same data.
    """

    count: int = 8
    subsets: int = 0
    probes: int = 0
    watch: bool = False
    out: str = "runs/bank"


def execute(command: Command, terminal: Console) -> None:
    """Fill the bank and say what it holds."""
    check_number("count", command.count, low=1, high=FIRST_SCORING_SEED, whole=True)
    check_number("subsets", command.subsets, low=0, whole=True)
    check_number("probes", command.probes, low=0, high=command.count, whole=True)
    if command.probes and not command.execution.keep_weights:
        raise InputError(
            f"probes={command.probes}: needs the weights of all models; leave out --no-keep-weights"
        )
    if command.probes and (command.execution.num_processes or 1) > 1:
        raise InputError(
            f"probes={command.probes}: one process takes them; fill the bank first, then start the "
            "same command without --num-processes"
        )
    experiment = command.experiment
    setup = set_up(experiment, command.execution, out=command.out, download=command.download)
    check_halves(setup, command.out, to_come=command.subsets, flag="out")
    if not distributed.is_leader():
        terminal = Console(quiet=True)
        warnings.simplefilter("ignore")
    bank = open_bank_of(command.out, setup.dataset, flag="out")
    typed = as_typed(learning_rate="training.learning_rate")
    with typed, profiled(command.execution.profile), phases(terminal) as phase:
        plan = make_plan(setup, bank, phase, teller(terminal), watch=command.watch)
        seeds, oracles = range(command.count), range(experiment.oracles or command.count)
        fill_originals(plan, seeds)
        fill_subsets(plan, command.subsets)
        for filled in fill_requests(
            *(plan, setup.experiment.requests, seeds, setup.methods),
            oracles=oracles,
            unlearning_seeds=experiment.unlearning_seeds,
        ):
            _tell(filled, command.watch, terminal)
            if command.probes:
                groups = (filled.originals, filled.oracles, *filled.methods.values())
                chosen = [record for group in groups for record in group[: command.probes]]
                probed = _probe(filled.plan, experiment.training, filled, chosen)
                text = filled.forgetting.text
                terminal.print(f"{text}: probed {probed} models, {len(chosen)} asked for")
        distributed.wait_for_others("end")
    terminal.print(f"bank: {command.out}, {len(bank.addresses())} models")


def _tell(filled: RequestRecords, watch: bool, terminal: Console) -> None:
    text = filled.forgetting.text
    for name, records in {"oracle": filled.oracles, **filled.methods}.items():
        spent = sum(record.outcome.get("run_seconds", 0.0) for record in records)
        terminal.print(f"{text} {name}: {len(records)} models, {spent:.1f} s of training")
        unwatched = 0 if name == "oracle" else count_unwatched(records)
        if watch and unwatched:
            terminal.print(
                f"{text} {name}: {unwatched} of {len(records)} models were trained before "
                "without --watch; for accuracies per epoch fill a new bank"
            )


def _probe(plan: Plan, training: Training, filled: RequestRecords, records: list[Record]) -> int:
    """Probe those models of a request that the bank has no probe of, and count them."""
    title = f"{filled.forgetting.slug}: probes"
    with plan.phase(title) as on_done, deferred() as interrupted:
        return take_probes(
            plan.bank,
            plan.model,
            training,
            filled.forgetting,
            records,
            num_classes=plan.dataset.num_classes,
            on_done=on_done,
            interrupted=interrupted,
        )


def main() -> None:
    """Read the command line and fill a bank."""
    used = ("count", "probes", "subsets")
    guarded(
        lambda: execute(
            read_command(Command, "experiments.bank", description, first=used), console()
        ),
        warnings_later=True,
    )
