"""Whether a method can work on a request, as far as sizes tell."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.checks import check_steps
from jax_unlearn.core import InputError

from .composed import method_at
from .config import Experiment
from .dry_run import of_user
from .hyperparameters import build_method
from .naming import naming
from .refusals import Refusals


def why_unfit(name: str, method: ju.Unlearner, text: str, problem: ju.Problem) -> str:
    """Why a method cannot work on a request; '' where it can."""
    with of_user(name, "check"):
        try:
            method.check(problem, exact=data.parse_request(text).exact)
        except InputError as error:
            return str(error)
    return ""


def check_method(
    name: str,
    method: ju.Unlearner,
    text: str,
    problem: ju.Problem,
    refusals: Refusals,
    *,
    asked: bool = True,
) -> int:
    """Note what of a method does not fit a request.

    Args:
      name: the method's.
      method: with its hyperparameters.
      text: the request.
      problem: what the method is to see.
      refusals: what is noted.
      asked: whether somebody asked for the size of its batches. Where nobody did, all there is
        makes one.

    Returns:
      The size of batches to take instead of the method's own; 0 where its own will do.
    """
    if why := why_unfit(name, method, text, problem):
        field = why.partition("=")[0]
        if not hasattr(method, field):
            refusals.say(f"requests={text!r}: {name}: {why}; --skip-unfit leaves it out there")
            return 0
        mended = _mended(name, method, field, text, problem)
        if mended is None:
            refusals.say(f"{name}.{why}")
            return 0
        refusals.say(f"{name}.{why}", f"{name}.{field}", getattr(mended, field))
        method = mended
    with of_user(name, "pool"):
        rows = method.count_rows(problem)
    if not asked and 0 < rows < method.batch_size:
        return rows
    refusals.batch(name, method.batch_size, rows, text)
    check_steps(f"{name} on {text}", -(-rows // method.batch_size) * method.num_epochs)
    return 0


def _mended(
    name: str, method: ju.Unlearner, field: str, text: str, problem: ju.Problem
) -> ju.Unlearner | None:
    """The method with the largest smaller number in a field that fits; None where none does."""
    value = getattr(method, field)
    # Numbers of things for each image, that is; larger ones are not to be tried one by one.
    few = isinstance(value, int) and value <= 32
    for smaller in range(value - 1, 0, -1) if few else ():
        changed = dataclasses.replace(method, **{field: smaller})
        if not why_unfit(name, changed, text, problem):
            return changed
    return None


def check_split(
    experiment: Experiment, arguments: Mapping[str, Mapping[str, Mapping[str, Any]]], devices: int
) -> None:
    """Raise InputError where devices that each hold a share of the data do not divide a batch.

    Args:
      experiment: the settings.
      arguments: hyperparameters by request and row.
      devices: number of devices of a model.
    """
    with naming("training."):
        experiment.training.recipe().split_batches(devices)
    for text, rows in arguments.items():
        for row, given in rows.items():
            name = method_at(row, text)
            method = build_method(name, given)
            if method.num_epochs:
                with naming(f"{name}."):
                    method.split_batches(devices)
