"""Reference predictions for a run: which file serves it, and whether its models are the run's."""

import pathlib
from collections.abc import Callable

from jax_unlearn.bank import Bank, describe_data
from jax_unlearn.bank.data import check_data
from jax_unlearn.bank.plan import ingredients, silent
from jax_unlearn.bank.reference import Reference, read_reference
from jax_unlearn.core import InputError

from .planning import make_plan
from .setting_up import Setup


def shipped_references() -> dict[str, pathlib.Path]:
    """Files that ship with the presets, by the preset's name."""
    configs = pathlib.Path(__file__).parents[1] / "configs"
    return {path.stem: path for path in sorted(configs.glob("*.npz"))}


def find_reference(
    name: str, preset: str, setup: Setup, tell: Callable[[str], None]
) -> Reference | None:
    """Read the reference predictions that serve a run; None where there are none.

    Args:
      name: a path, or the name of a file that ships in experiments/configs; '' takes the preset's
        own, if it has one and its models are made as the run's.
      preset: that the run began with, '' for none.
      setup: the run's settings and data.
      tell: told, in a line, why the preset's own file is not used.

    Raises:
      InputError: the file is damaged, or the one named is not there, or its models were made with
        other data, another network or another recipe.
    """
    shipped = shipped_references()
    if not name and preset not in shipped:
        return None
    reference = read_reference(shipped.get(name or preset, pathlib.Path(name)))
    differing = _differences(reference, setup)
    if differing and name:
        raise InputError(
            f"reference={name!r}: its models were made otherwise: {differing}: expected this run's "
            "data, network and training; write one for them with experiments.reference"
        )
    if differing:
        tell(f"reference {reference.source}: not used, its models were made otherwise: {differing}")
    return None if differing else reference


def _differences(reference: Reference, setup: Setup) -> str:
    """Where the models of a reference were made otherwise than a run's; '' where they were not."""
    # Of no bank on disk: an original's ingredients do not depend on where it lies.
    nowhere = Bank(pathlib.Path(), check_data(describe_data(setup.dataset)))
    plan = make_plan(setup, nowhere, silent, lambda line: None, watch=False)
    return "; ".join(reference.differences(ingredients(plan, "original", 0, None)))
