"""Search every method's hyperparameters with equal effort: `python -m experiments.search`.

Each method gets the same number of trials on each request, from the same sampler, over what it
declares to be worth searching. The objective is the average gap to the oracle over RA, FA and TA,
averaged over seeds that no table uses. Data, requests, network and methods are given as to
`experiments.run`; its preset or config may be given, too, and its bank, whose models are shared.
Trials are kept in the folder: a search that was cut off goes on.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from rich.console import Console

from jax_unlearn import audit
from jax_unlearn.bank import Record
from jax_unlearn.bank.plan import Named, Plan, unlearning
from jax_unlearn.bank.request_models import (
    count_oracles,
    fill_oracles,
    fill_originals,
    resolve_request,
)
from jax_unlearn.core import InputError, check_number
from jax_unlearn.engine import run_many
from jax_unlearn.engine.predictions import predict
from jax_unlearn.engine.signals import deferred
from jax_unlearn.files import write_whole
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method

from .shared.command import console, guarded, program
from .shared.folder import open_folder
from .shared.hyperparameters import build_method
from .shared.planning import make_plan, open_bank_of
from .shared.progress import phases, teller
from .shared.provenance import provenance
from .shared.reading import ExperimentCommand, read_command
from .shared.setting_up import Setup, set_up
from .shared.sources import source_of

COLLAPSED = 100.0
"""Objective of a run that collapsed: as far from the oracle as percentages go."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command(ExperimentCommand):
    """Search every method's hyperparameters.

    Attributes:
      out: folder for trials and, without --bank, originals and oracles; a search that was cut off
        goes on.
      bank: folder of a bank to take originals and oracles from and put them into.
      trials: per method and request.
      search_seeds: of the originals and oracles of the search; must be none of the table's.
      result: file to write; presets read experiments/configs/PRESET.json.
      overwrite: empty a folder that holds a search with other settings.
    """

    out: str = "runs/search"
    bank: str = ""
    trials: int = 16
    search_seeds: tuple[int, ...] = (100, 101)
    result: str = ""
    overwrite: bool = False


class Trials:
    """The trials of one method on one request.

    Args:
      plan: what all models share.
      forgetting: the request.
      originals: to be unlearned.
      oracles: of the same seeds.
    """

    def __init__(self, plan: Plan, forgetting, originals: list[Record], oracles: list[Record]):
        def predictions(record):
            return plan.bank.predictions(record, forgetting.request.hash)

        self._plan, self._forgetting, self._originals = plan, forgetting, originals
        self._before = [predictions(record) for record in originals]
        self._reached = [audit.accuracies(predictions(record)) for record in oracles]

    def gaps(self, name: str, arguments: Mapping[str, Any]) -> list[float]:
        """Average gap to the oracle of every seed, in percentage points."""
        method = Named(name, build_method(name, arguments), source_of(name))
        plan, forgetting = self._plan, self._forgetting
        specs = [unlearning(plan, forgetting, record, method) for record in self._originals]
        with deferred() as interrupted:
            made = run_many(
                specs,
                mesh=plan.mesh,
                loop=plan.loop,
                placement=plan.placement,
                interrupted=interrupted,
            )
        gaps = []
        for result, before, oracle in zip(made, self._before, self._reached, strict=True):
            predictions = predict(
                plan.model,
                result.variables,
                forget=forgetting.forget,
                retain=forgetting.retain,
                test=plan.dataset.test,
                test_forgotten=forgetting.test_forgotten,
            )
            if result.status == "collapsed" or audit.is_collapsed(predictions, before):
                gaps.append(COLLAPSED)
            else:
                gaps.append(audit.average_gap(audit.accuracies(predictions), oracle))
        return gaps


def search_one(
    trials: Trials, name: str, fixed: Mapping[str, Any], count: int, study: optuna.Study
) -> dict[str, Any]:
    """Search one method on one request.

    Args:
      trials: makes them.
      name: the method.
      fixed: hyperparameters that are not searched.
      count: number of trials in all, those already in ``study`` counted.
      study: where trials are kept.

    Returns:
      ``arguments`` of the best trial, its ``gap``, and how many ``trials`` collapsed.
    """

    def objective(trial: optuna.Trial) -> float:
        arguments = {**fixed, **_suggest(trial, _space(name))}
        gaps = trials.gaps(name, arguments)
        trial.set_user_attr("arguments", arguments)
        trial.set_user_attr("collapsed", COLLAPSED in gaps)
        return float(np.mean(gaps))

    study.optimize(objective, n_trials=max(0, count - len(_complete(study))))
    best, done = study.best_trial, _complete(study)
    return {
        "arguments": best.user_attrs["arguments"],
        "gap": best.value,
        "trials": len(done),
        "collapsed": sum(trial.user_attrs["collapsed"] for trial in done),
    }


def _space(name: str) -> Mapping[str, tuple[str, float, float]]:
    """What the method declares to be worth searching."""
    return method_class(find_method(name)).search_space


def _suggest(
    trial: optuna.Trial, space: Mapping[str, tuple[str, float, float]]
) -> dict[str, float]:
    return {
        name: trial.suggest_int(name, int(low), int(high))
        if scale == "int"
        else trial.suggest_float(name, low, high, log=scale == "log")
        for name, (scale, low, high) in space.items()
    }


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that came to an end; a search that was cut off leaves one that did not."""
    return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))


def _study(folder: pathlib.Path, request: str, name: str, trials: int) -> optuna.Study:
    study = optuna.create_study(
        study_name=f"{request}/{name}",
        storage=JournalStorage(JournalFileBackend(str(folder / "trials.jsonl"))),
        load_if_exists=True,
    )
    # A search that goes on must not draw its first trials again.
    seed = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(3, trials // 2))
    return study


def _check(command: Command) -> Setup:
    """Check what is asked for, and load the data."""
    check_number("trials", command.trials, low=1, whole=True)
    table = command.experiment
    used = {*table.seeds, *range(count_oracles(len(table.seeds), table.oracles))}
    if used & set(command.search_seeds):
        raise InputError(
            f"search_seeds={command.search_seeds}: the table uses {tuple(sorted(used))}; search on "
            "other seeds"
        )
    if command.result and pathlib.Path(command.result).is_dir():
        raise InputError(f"result={command.result!r}: a folder stands there; expected a file")
    experiment = dataclasses.replace(table, seeds=command.search_seeds, hyperparameters="")
    setup = set_up(experiment, command.execution, out=command.out, download=command.download)
    if jax.process_count() > 1:
        raise InputError(
            f"num_processes={jax.process_count()}: a search is one process; pass --num-processes 1"
        )
    for name in experiment.methods:
        if not _space(name):
            raise InputError(
                f"method={name!r}: it declares nothing to search: expected a method with a "
                "search_space; leave it out"
            )
    return setup


def execute(command: Command, terminal: Console) -> None:
    """Run the search and write its result."""
    setup = _check(command)
    experiment = setup.experiment
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = {**setup.settings, "trials": command.trials}
    if command.bank:
        open_bank_of(command.bank, setup.dataset)
    found: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(
            open_folder(command.out, settings, overwrite=command.overwrite)
        )
        bank = open_bank_of(command.bank or folder / "bank", setup.dataset)
        phase = stack.enter_context(phases(terminal))
        plan = make_plan(setup, bank, phase, teller(terminal), watch=False)
        originals = fill_originals(plan, experiment.seeds)
        for text in experiment.requests:
            forgetting = resolve_request(plan, text)
            oracles = fill_oracles(plan, forgetting, experiment.seeds)
            trials = Trials(plan, forgetting, originals, oracles)
            for name, fixed in setup.arguments[text].items():
                study = _study(folder, forgetting.slug, name, command.trials)
                best = search_one(trials, name, fixed, command.trials, study)
                found.setdefault(text, {})[name] = best
                terminal.print(f"{text} {name}: gap {best['gap']:.2f} with {best['arguments']}")
    result = {
        "objective": f"average gap over {', '.join(audit.AuditProtocol().terms)}, mean over seeds",
        "spaces": {name: _space(name) for name in experiment.methods},
        "seeds": command.search_seeds,
        "trials_per_method": command.trials,
        "requests": found,
        **provenance(),
    }
    target = pathlib.Path(command.result or folder / "hyperparameters.json")
    write_whole(target, json.dumps(result, indent=2) + "\n")
    terminal.print(f"wrote {target}")


def main() -> None:
    """Read the command line and search."""
    guarded(lambda: execute(read_command(Command, "experiments.search", __doc__ or ""), console()))


if __name__ == "__main__":
    program(main)
