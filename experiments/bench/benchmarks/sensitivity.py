"""A MU-Mis step, in both ways to differentiate it, against a cross-entropy step."""

import functools

from jax_unlearn.functional.sensitivity import DIFFERENTIATIONS

from .cases import Bench, Case, Row
from .stepping import Stepper, per_step
from .workloads import DIGITS, RESNET8, Workload, suppression, training

TARGET = 3.0
"""How many times as long as a cross-entropy step it may take."""


def cases(bench: Bench) -> list[Case]:
    """A case for each network."""
    loads = [DIGITS] if bench.quick else [DIGITS, Workload("resnet10", 128, width=8), RESNET8]
    if bench.accelerator:
        types = ("float32", "bfloat16")
        loads = [Workload("resnet18", 128, dtype=dtype) for dtype in types]
    return [Case(str(load), functools.partial(_measure, bench, load)) for load in loads]


def _measure(bench: Bench, load: Workload) -> list[Row]:
    steppers = {"cross-entropy": Stepper(*training(load), scanned=bench.accelerator)}
    for way in DIFFERENTIATIONS:
        method, problem = suppression(load, differentiate=way)
        steppers[way] = Stepper(method, problem, scanned=bench.accelerator)
    times = per_step(steppers, bench.seconds)
    base = times.pop("cross-entropy")
    best = min(times, key=lambda way: times[way])
    rows = []
    for way, seconds in times.items():
        met = "met" if seconds <= TARGET * base else "missed"
        verdict = f"; target at most {TARGET:g}: {met}" if way == best else ""
        note = f"{1e3 * seconds:.3g} ms against {1e3 * base:.3g} ms{verdict}"
        rows.append(Row(f"{load} MU-Mis, {way}", seconds / base, "x cross-entropy", note))
    return rows
