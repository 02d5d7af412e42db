r"""Train, forget, compare with the oracle: `python -m experiments.run --preset NAME --out FOLDER`.

Without a preset the flags describe the experiment, from digits and published defaults on:

  python -m experiments.run --data.name cifar10 --data-dir DATA --network.name resnet18 \
      --requests class:3 random:0.1 --methods natmu mumis --out runs/mine

The folder holds everything: settings, predictions, table, figures, report. A run that was cut off
goes on when the same command is given again.
"""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import sys
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import jax
import tyro
from rich.console import Console

from jax_unlearn.core import InputError
from jax_unlearn.engine import distributed
from jax_unlearn.engine.agreement import check_same, same_everywhere
from jax_unlearn.sharding import parse_mesh

from . import pipeline, summary
from .checks import check_fit
from .command import console, guarded, parse, program, use_cpu_devices
from .config import Experiment, from_json, method_arguments, to_json, validate
from .configs import describe_presets, preset
from .execution import ORDINARY, Execution, profiled
from .folder import open_folder
from .progress import phases


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Run an experiment.

    Attributes:
      experiment: the settings.
      out: folder of the run; new, or one that the same settings began.
      data_dir: the same as --data.dir.
      preset: settings to begin with; flags given beside it change them.
      config: config.json of an earlier run to begin with, in place of a preset.
      execution: how the machine is used.
      resume: go on with the run in the folder; an error if there is none. Without it, too, a run
        that was cut off goes on, and a new one begins where there is none.
      overwrite: empty a folder that holds a run with other settings.
      download: fetch a missing archive of the data from its official address.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    out: str = "runs/run"
    data_dir: str | None = None
    preset: str = ""
    config: str = ""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = ORDINARY
    resume: bool = False
    overwrite: bool = False
    download: bool = False


def execute(
    experiment: Experiment,
    out: str,
    *,
    overwrite: bool,
    terminal: Console,
    download: bool = False,
    execution: Execution = ORDINARY,
    resume: bool = False,
) -> None:
    """Run an experiment into a folder and print its tables.

    Several processes run it together; process 0 alone reads and writes the folder and prints.
    """
    validate(experiment)
    execution.validate()
    use_cpu_devices(experiment.cpu_devices, keep_memory=experiment.keeps_memory)
    streamed = execution.placement == "stream"
    distributed.initialize(
        coordinator=execution.coordinator,
        num_processes=execution.num_processes,
        process_id=execution.process_id,
    )
    leads = distributed.is_leader()
    if not leads:
        terminal = Console(quiet=True)
        warnings.simplefilter("ignore")
    with same_everywhere():
        arguments = {text: method_arguments(experiment, text) for text in experiment.requests}
    check_same(_common(experiment, arguments, out, execution))
    with same_everywhere():
        parse_mesh(execution.mesh)
        if leads:
            _check_resume(out, resume)
            # Process 0 first: what it downloads and prepares, the others find.
            dataset = pipeline.load_data(experiment, download=download, streamed=streamed)
    with same_everywhere():
        if not leads:
            dataset = pipeline.load_data(experiment, download=download, streamed=streamed)
        hashes = check_fit(experiment, dataset, arguments)
    check_same({"data_fingerprint": dataset.fingerprint, "request_hashes": hashes})
    settings = {
        "experiment": to_json(experiment),
        # In the form of a search's result, so that this file can be given as hyperparameters.
        "requests": {
            text: {name: {"arguments": given} for name, given in methods.items()}
            for text, methods in arguments.items()
        },
        "data_fingerprint": dataset.fingerprint,
        "request_hashes": hashes,
    }
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(open_folder(out, settings, overwrite=overwrite))
        phase = stack.enter_context(phases(terminal))
        stack.enter_context(profiled(execution.profile))
        bench = pipeline.make_bench(experiment, dataset, folder, phase, execution)
        findings = []
        for text in experiment.requests:
            forgetting = pipeline.resolve(bench, text)
            _run_request(bench, forgetting, arguments[text])
            if not leads:
                continue
            with phase(f"{forgetting.slug}: audit and figures") as on_step:
                found = summary.summarize(bench, forgetting, arguments[text], on_step)
            findings.append(found)
            summary.show(found, terminal)
        if leads:
            summary.write(bench, findings)
        # Not one by one: the first to leave would be taken for dead while process 0 draws.
        distributed.wait_for_others("end")
    terminal.print(f"report: {pathlib.Path(out) / 'report.md'}")


def _common(
    experiment: Experiment, arguments: Mapping[str, Any], out: str, execution: Execution
) -> dict[str, Any]:
    """What all processes of a run must have been started with."""
    given = to_json(experiment)
    # Each process may have devices and files of its own: what the files hold is compared.
    del given["cpu_devices"], given["data"]["dir"], given["hyperparameters"]
    spread = {"out": out, "mesh": execution.mesh, "placement": execution.placement}
    return given | spread | {"arguments": arguments}


def _check_resume(out: str, resume: bool) -> None:
    if resume and not (pathlib.Path(out) / "config.json").is_file():
        raise InputError(
            f"resume: there is no run in out={out!r}; name its folder, or leave it out"
        )


def _run_request(
    bench: pipeline.Bench,
    forgetting: pipeline.Forgetting,
    arguments: Mapping[str, Mapping[str, Any]],
) -> None:
    folder, experiment = bench.folder, bench.experiment
    slug = forgetting.slug
    for seed in experiment.seeds:
        if jax.process_count() > 1:
            # Together, now: process 0 will be alone when it draws what needs them.
            pipeline.original(bench, seed)
        if not folder.done(slug, "original", seed):
            pipeline.original_predictions(bench, forgetting, seed)
        for name, second in (("oracle", False), ("second_oracle", True)):
            if not folder.done(slug, name, seed):
                pipeline.oracle_predictions(bench, forgetting, seed, second=second)
    for name in experiment.methods:
        for seed in experiment.seeds:
            if not folder.done(slug, name, seed):
                predictions, outcome = pipeline.unlearn(
                    bench, forgetting, seed, name, arguments[name]
                )
                folder.finish(slug, name, seed, predictions, outcome)


def starting_settings(arguments: list[str]) -> Experiment:
    """The settings that flags change: a preset's, an earlier run's, or none."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    # A flag without its value is left to the parser of all flags to complain about.
    first.add_argument("--preset", nargs="?", default="")
    first.add_argument("--config", nargs="?", default="")
    given, _ = first.parse_known_args(arguments)
    if given.preset and given.config:
        raise InputError(f"preset={given.preset!r}: give a preset or a config, not both")
    if given.preset:
        return preset(given.preset)
    return _earlier(given.config) if given.config else Experiment()


def _earlier(config: str) -> Experiment:
    """The settings of an earlier run's ``config.json``."""
    try:
        settings = json.loads(pathlib.Path(config).read_text())["settings"]
        given = settings["experiment"]
        recorded = {
            text: {name: result["arguments"] for name, result in methods.items()}
            for text, methods in settings["requests"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"config={config!r}: expected the config.json of a run") from error
    experiment = from_json(given, f"config={config!r}")
    with contextlib.suppress(InputError):
        if recorded == {text: method_arguments(experiment, text) for text in experiment.requests}:
            return experiment
    # Its file of hyperparameters is gone or has changed; the run kept what it used.
    return dataclasses.replace(experiment, hyperparameters=config, set=())


_C = TypeVar("_C")


def read_command(cls: type[_C], module: str, description: str) -> _C:
    """Read a command whose ``experiment`` begins with a preset's or an earlier run's settings.

    Args:
      cls: dataclass with the fields ``experiment`` and ``data_dir``, which is the same as the
        experiment's ``data.dir``.
      module: name of the command's module.
      description: shown by ``--help``, before the presets.
    """
    begun = starting_settings(sys.argv[1:])
    default = cls(experiment=dataclasses.replace(begun, set=()))
    text = f"{description}\n\nPresets:\n\n{describe_presets()}"
    command = parse(cls, module, text, default=default)
    given = command.experiment
    data = given.data
    if command.data_dir is not None:
        data = dataclasses.replace(data, dir=command.data_dir)
    settled = dataclasses.replace(given, data=data, set=(*begun.set, *given.set))
    return dataclasses.replace(command, experiment=settled)


def main() -> None:
    """Read the command line and run."""

    def run() -> None:
        command = read_command(Command, "experiments.run", __doc__)
        execute(
            command.experiment,
            command.out,
            overwrite=command.overwrite,
            terminal=console(),
            download=command.download,
            execution=command.execution,
            resume=command.resume,
        )

    guarded(run)


if __name__ == "__main__":
    program(main)
