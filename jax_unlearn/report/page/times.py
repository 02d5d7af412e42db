"""What the runs of an audit took, method by method, beside retraining."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn.audit.measures.statistics import interval
from jax_unlearn.report.formats import FEW, duration, finite, percent


class RunTime(NamedTuple):
    """Times of a row's models in words, '-' for what is not known.

    Attributes:
      mean: mean run time of a model.
      spread: 95 % t interval of the mean, '' below two models, and the number of models.
      share: of the mean run time of the oracles.
      compiling: mean compile time of a model, which the run time does not hold.
    """

    mean: str
    spread: str
    share: str
    compiling: str


def run_times(audit: Mapping[str, Any]) -> dict[str, RunTime]:
    """Return the times of the oracles and of every method, '-' where the record holds none."""
    methods = audit["models"]["methods"]
    files = {"oracle": (audit.get("files") or {}).get("oracle") or ()}
    files |= {name: method.get("files") or () for name, method in methods.items()}
    # Those of models that count, where all of them are known.
    kept = audit["curves"].get("seconds") or {}
    runs = {
        name: _known(
            kept.get(name)
            or methods.get(name, {}).get("seconds")
            or [file.get("seconds") for file in files[name]]
        )
        for name in files
    }
    compiling = {
        name: _known(file.get("compile_seconds") for file in listed)
        for name, listed in files.items()
    }
    retraining = float(np.mean(runs["oracle"])) if runs["oracle"] else math.nan
    return {name: _told(runs[name], compiling[name], retraining) for name in files}


def _told(runs: list[float], compiling: list[float], retraining: float) -> RunTime:
    compiled = duration(float(np.mean(compiling))) if compiling else "-"
    if not runs:
        return RunTime("-", "", "-", compiled)
    mean, low, high, n = interval(runs)
    # A normal interval of a few spread times reaches below zero, a time does not.
    ends = "" if n < FEW else f"{duration(max(low, 0.0))} to {duration(high)}, "
    share = percent(mean / retraining) if retraining > 0 else "-"
    return RunTime(duration(mean), f"{ends}n\u00a0{n}", share, compiled)


def _known(values: Iterable[Any]) -> list[float]:
    return [value for value in map(finite, values) if math.isfinite(value)]
