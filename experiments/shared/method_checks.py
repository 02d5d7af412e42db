"""Whether a method can work on a request, as far as sizes tell."""

from collections.abc import Mapping
from typing import Any

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.core import InputError

from .composed import method_at
from .config import Experiment
from .dry_run import of_user
from .hyperparameters import build_method
from .naming import naming


def why_unfit(name: str, method: ju.Unlearner, text: str, problem: ju.Problem) -> str:
    """Why a method cannot work on a request; '' where it can."""
    with of_user(name, "check"):
        try:
            method.check(problem, exact=data.parse_request(text).exact)
        except InputError as error:
            return str(error)
    return ""


def check_method(name: str, method: ju.Unlearner, text: str, problem: ju.Problem) -> list[str]:
    """Check a method on a request; what is to be said of its batch size."""
    with naming(f"{name}."), of_user(name, "check or pool"):
        method.check(problem, exact=data.parse_request(text).exact)
        rows = method.count_rows(problem)
    return too_large_batch(name, method.batch_size, rows, text)


def too_large_batch(owner: str, batch_size: int, rows: int, whose: str) -> list[str]:
    """What to say of a batch that is larger than what it is drawn from; nothing of others."""
    if batch_size <= rows:
        return []
    return [
        f"{owner}.batch_size={batch_size}: there are only {rows} examples to draw from for "
        f"{whose}; use at most {rows}"
    ]


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
