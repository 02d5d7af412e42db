"""What `python -m experiments.bench` measures, by name; each file holds one question.

A benchmark is a function of a :class:`~experiments.bench.benchmarks.cases.Bench` that lists its
cases; a case is measured on its own and its rows are kept, so that a run that was cut off goes on.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from . import (
    convolution,
    dispatch,
    many_models,
    overhead,
    sensitivity,
    sharding,
    start_up,
    throughput,
)
from .cases import Bench, Case

BENCHMARKS: Mapping[str, Callable[[Bench], list[Case]]] = MappingProxyType(
    {
        "throughput": throughput.cases,
        "overhead": overhead.cases,
        "dispatch": dispatch.cases,
        "sensitivity": sensitivity.cases,
        "start_up": start_up.cases,
        "bank": many_models.bank_cases,
        "sweep": many_models.sweep_cases,
        "sharding": sharding.cases,
        "convolution": convolution.cases,
    }
)
"""Benchmarks by name, in the order in which they run."""
