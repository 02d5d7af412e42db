"""The command: a bank and the settings that filled it in, a file of reference predictions out."""

import dataclasses
import pathlib
from collections.abc import Iterable

from rich.console import Console

from jax_unlearn import data
from jax_unlearn.bank import Bank, Member, Record, describe_data, open_bank
from jax_unlearn.bank.forgetting import FIRST_SCORING_SEED, Forgetting, resolve
from jax_unlearn.bank.plan import Plan, oracle_member, original_member, silent
from jax_unlearn.bank.reference import read_reference, write_reference
from jax_unlearn.bank.request_models import count_oracles
from jax_unlearn.bank.scoring import request_scores
from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import CHANGES
from jax_unlearn.wording import counted

from ..shared.command import console, guarded
from ..shared.planning import make_plan
from ..shared.progress import teller
from ..shared.reading import ExperimentCommand, read_command
from ..shared.setting_up import set_up
from . import __doc__ as description


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(ExperimentCommand):
    """Write reference predictions; the experiment's methods are not used, and nothing is trained.

    Attributes:
      bank: folder of the bank, with the originals and oracles.
      out: file to write, ending in .npz.
    """

    bank: str = "runs/run/bank"
    out: str = "runs/reference.npz"


def execute(command: Command, terminal: Console) -> None:
    """Find the models, write the file, and say what it holds."""
    out = pathlib.Path(command.out)
    if out.suffix != ".npz" or out.is_dir():
        raise InputError(f"out={command.out!r}: expected the name of a file that ends in .npz")
    if not pathlib.Path(command.bank).is_dir():
        raise InputError(
            f"bank={command.bank!r}: no such folder: expected a bank; python -m experiments.bank "
            "fills one"
        )
    experiment = command.experiment
    setup = set_up(experiment, command.execution, out=command.out, download=command.download)
    requests = setup.experiment.requests
    _check(requests)
    bank = open_bank(command.bank, data=describe_data(setup.dataset))
    # All models are there: nothing is trained.
    plan = make_plan(setup, bank, silent, teller(terminal), watch=False)
    originals = _found(bank, (original_member(plan, seed) for seed in experiment.seeds))
    seeds = range(count_oracles(len(experiment.seeds), experiment.oracles))
    scoring: dict[str, Record] = {}
    oracles: list[Record] = []
    for text in requests:
        forgetting = _resolved(plan, text, scoring)
        oracles += _found(bank, (oracle_member(plan, forgetting, seed) for seed in seeds))
    write_reference(out, bank, originals=originals, scoring=list(scoring.values()), oracles=oracles)
    held = len(read_reference(out, "out").records)
    terminal.print(
        f"wrote {out}: {counted(held, 'model')}, {out.stat().st_size / 1e6:.2f} MB",
        markup=False,
        soft_wrap=True,
    )


def _check(requests: Iterable[str]) -> None:
    """Raise InputError where a request takes models that a reference does not hold."""
    for text in requests:
        spec = data.parse_request(text)
        kinds = {step.kind for step in spec.steps}
        if spec.by_halves or kinds & {*CHANGES, "entangled"}:
            raise InputError(
                f"requests={text!r}: expected requests on the data as it is, chosen by it or by "
                "what models of all of it predict; leave it out"
            )


def _resolved(plan: Plan, text: str, scoring: dict[str, Record]) -> Forgetting:
    """Choose the examples of a request, and gather the models that score them by address."""

    def scores(spec: data.RequestSpec) -> data.Scores:
        seeds = (FIRST_SCORING_SEED + seed for seed in spec.scoring_seeds)
        records = _found(plan.bank, (original_member(plan, seed) for seed in seeds))
        scoring.update({record.address: record for record in records})
        # All of them are there: nothing is trained.
        return request_scores(plan, text, spec)

    return resolve(plan.dataset, text, scores)


def _found(bank: Bank, members: Iterable[Member]) -> list[Record]:
    """The records of models that a bank must hold."""
    found = []
    for member in members:
        address = bank.address(member.ingredients)
        if not bank.sound(address):
            kind, seed = member.ingredients["kind"], member.ingredients["seed"]
            raise InputError(
                f"bank={str(bank.path)!r}: lacks the {kind} of seed {seed}, or it is damaged: "
                "expected the bank of a run with these settings; give them to experiments.run "
                "first, with this --bank"
            )
        found.append(bank.record(address))
    return found


def main() -> None:
    """Read the command line and write the file."""
    guarded(
        lambda: execute(read_command(Command, "experiments.reference", description), console()),
        warnings_later=True,
    )
