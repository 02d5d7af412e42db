"""Commands whose settings begin with a preset's or an earlier run's."""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated, TypeVar

import tyro

from jax_unlearn.core import InputError

from ..configs import describe_presets, preset
from .command_line import parse
from .config import Experiment
from .config_json import from_json
from .execution import ORDINARY, Execution
from .hyperparameters import check_used, method_arguments

MOST_USED = (
    *("preset", "out", "data.name", "data-dir", "network.name", "requests", "methods", "method"),
    *("seeds", "oracles", "hyperparameters", "set", "bank"),
)
"""Flags that the help of a command shows first."""


def starting_settings(arguments: list[str], begun: Experiment | None = None) -> Experiment:
    """The settings that flags change: a preset's, an earlier run's, or ``begun``."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    # A flag without its value is left to the parser of all flags to complain about.
    first.add_argument("--preset", nargs="?", default="")
    first.add_argument("--config", nargs="?", default="")
    given, _ = first.parse_known_args(arguments)
    if given.preset and given.config:
        raise InputError(f"preset={given.preset!r}: give a preset or a config, not both")
    if given.preset:
        return preset(given.preset)
    return _earlier(given.config) if given.config else begun or Experiment()


def _earlier(config: str) -> Experiment:
    """The settings of an earlier run's ``config.json``."""
    try:
        settings = json.loads(pathlib.Path(config).read_text())["settings"]
        given = settings["experiment"]
        recorded = {
            text: {name: result["arguments"] for name, result in methods.items()}
            for text, methods in settings["requests"].items()
        }
    except OSError as error:
        raise InputError(
            f"config={config!r}: cannot be read ({error.strerror}): expected the config.json of a "
            "run; check the path"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"config={config!r}: expected the config.json of a run") from error
    experiment = from_json(given, f"config={config!r}")
    with contextlib.suppress(InputError):
        if recorded == {text: method_arguments(experiment, text) for text in experiment.requests}:
            return experiment
    # Its file of hyperparameters is gone or has changed; the run kept what it used.
    return dataclasses.replace(experiment, hyperparameters=config, set=())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentCommand:
    """What commands that work on an experiment take beside their own.

    Attributes:
      experiment: the settings.
      data_dir: the same as --data.dir.
      preset: settings to begin with; flags given beside it change them.
      config: config.json of an earlier run to begin with, in place of a preset.
      execution: how the machine is used.
      download: fetch a missing archive of the data, from its official address.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    data_dir: str | None = None
    preset: str = ""
    config: str = ""
    execution: Annotated[Execution, tyro.conf.arg(name="")] = ORDINARY
    download: bool = False


_C = TypeVar("_C", bound=ExperimentCommand)


def read_command(
    cls: type[_C],
    module: str,
    description: str | None,
    begun: Experiment | None = None,
    first: Sequence[str] = (),
) -> _C:
    """Read a command whose experiment begins with a preset's or an earlier run's settings.

    Args:
      cls: the command's dataclass.
      module: name of the command's module.
      description: shown by ``--help``, before the presets.
      begun: settings to begin with where neither is given; None for the defaults.
      first: flags of its own that it is called for; the help shows them after ``--preset``.
    """
    begun = starting_settings(sys.argv[1:], begun)
    default = cls(experiment=dataclasses.replace(begun, set=()))
    text = f"{description or ''}\n\nPresets:\n\n{describe_presets()}"
    used = tuple(dict.fromkeys((MOST_USED[0], *first, *MOST_USED[1:])))
    command = parse(cls, module, text, default=default, first=used)
    given = command.experiment
    data = given.data
    if command.data_dir is not None:
        data = dataclasses.replace(data, dir=command.data_dir)
    # What a command names itself it runs beside, or in place of, the experiment's methods.
    own = [str(getattr(command, name, "")) for name in ("method", "study")]
    methods = (*given.methods, *filter(None, own))
    check_used(given.set, dataclasses.replace(given, methods=methods))
    settled = dataclasses.replace(given, data=data, set=(*begun.set, *given.set))
    return dataclasses.replace(command, experiment=settled)
