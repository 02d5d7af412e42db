"""Search every method's hyperparameters with equal effort: `python -m experiments.search`.

Each method gets the same number of trials on each request, two hyperparameters each, from the same
sampler. The objective is the average gap to the oracle over RA, FA and TA, averaged over seeds that
no table uses. Trials are kept in the run folder: a search that was cut off goes on.
"""

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from jax_unlearn import audit
from jax_unlearn.core import InputError, check_number
from jax_unlearn.files import write_whole
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method

from . import pipeline
from .checks import check_fit
from .command import console, guarded, parse, program, use_cpu_devices
from .config import method_arguments, to_json, validate
from .configs import preset
from .folder import RunFolder, open_folder, provenance
from .progress import phases

COLLAPSED = 100.0
"""Objective of a run that collapsed: as far from the oracle as percentages go."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """Search every method's hyperparameters for a preset.

    Attributes:
      preset: whose data, network, recipe, requests and methods are searched; its own seeds and
        hyperparameters are not used.
      out: folder for originals, oracles and trials; a search that was cut off goes on.
      overwrite: empty a folder that holds a run or a search with other settings.
      trials: per method and request.
      seeds: of the originals and oracles of the search; must differ from the preset's.
      result: file to write; the preset reads experiments/configs/PRESET.json.
      data_dir: overrides the preset's folder of TFDS data sets.
    """

    preset: str = "quickstart"
    out: str = "runs/search"
    overwrite: bool = False
    trials: int = 16
    seeds: tuple[int, ...] = (100, 101)
    result: str = ""
    data_dir: str | None = None


def search_one(
    bench: pipeline.Bench,
    forgetting: pipeline.Forgetting,
    name: str,
    fixed: Mapping[str, Any],
    trials: int,
    study: optuna.Study,
) -> dict[str, Any]:
    """Search one method on one request.

    Args:
      bench: the experiment; its seeds are averaged over.
      forgetting: the request.
      name: the method.
      fixed: hyperparameters that are not searched.
      trials: number of trials in all, those already in ``study`` counted.
      study: where trials are kept.

    Returns:
      ``arguments`` of the best trial, its ``gap``, and how many ``trials`` collapsed.
    """
    seeds = bench.experiment.seeds
    originals = [pipeline.original_predictions(bench, forgetting, seed) for seed in seeds]
    oracles = [
        audit.accuracies(pipeline.oracle_predictions(bench, forgetting, seed)) for seed in seeds
    ]

    def objective(trial: optuna.Trial) -> float:
        arguments = {**fixed, **_suggest(trial, _space(name))}
        gaps = []
        for seed, original, oracle in zip(seeds, originals, oracles, strict=True):
            predictions, outcome = pipeline.unlearn(
                bench, forgetting, seed, name, arguments, watch=False, saved=False
            )
            if outcome.status == "collapsed" or audit.is_collapsed(predictions, original):
                gaps.append(COLLAPSED)
            else:
                gaps.append(audit.average_gap(audit.accuracies(predictions), oracle))
        trial.set_user_attr("arguments", arguments)
        trial.set_user_attr("collapsed", COLLAPSED in gaps)
        return float(np.mean(gaps))

    study.optimize(objective, n_trials=max(0, trials - len(_complete(study))))
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


def _study(folder: RunFolder, request: str, name: str, trials: int) -> optuna.Study:
    study = optuna.create_study(
        study_name=f"{request}/{name}",
        storage=JournalStorage(JournalFileBackend(str(folder.path / "trials.jsonl"))),
        load_if_exists=True,
    )
    # A search that goes on must not draw its first trials again.
    seed = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(3, trials // 2))
    return study


def execute(search: Search) -> None:
    """Run the search and write its result."""
    check_number("trials", search.trials, low=1, whole=True)
    chosen = preset(search.preset)
    if set(search.seeds) & set(chosen.seeds):
        raise InputError(
            f"seeds={search.seeds}: the preset's table uses {chosen.seeds}; search on other seeds"
        )
    data_dir = search.data_dir or chosen.data.dir
    experiment = dataclasses.replace(
        chosen,
        seeds=search.seeds,
        hyperparameters="",
        data=dataclasses.replace(chosen.data, dir=data_dir),
    )
    validate(experiment)
    if search.result and pathlib.Path(search.result).is_dir():
        raise InputError(f"result={search.result!r}: a folder stands there; expected a file")
    for name in experiment.methods:
        if not _space(name):
            raise InputError(
                f"method={name!r}: it declares nothing to search: expected a method with a "
                "search_space; leave it out"
            )
    use_cpu_devices(experiment.cpu_devices, keep_memory=experiment.keeps_memory)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dataset = pipeline.load_data(experiment)
    arguments = {text: method_arguments(experiment, text) for text in experiment.requests}
    check_fit(experiment, dataset, arguments)
    settings = {"experiment": to_json(experiment), "trials": search.trials}
    found: dict[str, dict[str, Any]] = {}
    terminal = console()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(open_folder(search.out, settings, overwrite=search.overwrite))
        phase = stack.enter_context(phases(terminal))
        bench = pipeline.make_bench(experiment, dataset, folder, phase)
        for text in experiment.requests:
            forgetting = pipeline.resolve(bench, text)
            for name in experiment.methods:
                study = _study(folder, forgetting.slug, name, search.trials)
                fixed = arguments[text][name]
                best = search_one(bench, forgetting, name, fixed, search.trials, study)
                found.setdefault(text, {})[name] = best
                terminal.print(f"{text} {name}: gap {best['gap']:.2f} with {best['arguments']}")
    result = {
        "objective": f"average gap over {', '.join(audit.AuditProtocol().terms)}, mean over seeds",
        "spaces": {name: _space(name) for name in experiment.methods},
        "seeds": search.seeds,
        "trials_per_method": search.trials,
        "requests": found,
        **provenance(),
    }
    target = pathlib.Path(search.result or folder.path / "hyperparameters.json")
    write_whole(target, json.dumps(result, indent=2) + "\n")
    terminal.print(f"wrote {target}")


def main() -> None:
    """Read the command line and search."""
    guarded(lambda: execute(parse(Search, "experiments.search", __doc__)))


if __name__ == "__main__":
    program(main)
