"""A MU-Mis step, in both ways to differentiate it, against a cross-entropy step."""

import functools

from .cases import Case, Plan, Row
from .settings import DIGITS, RESNET8, Setting, suppression, training
from .stepping import Stepper, per_step

TARGET = 3.0
"""How many times as long as a cross-entropy step it may take."""


def cases(plan: Plan) -> list[Case]:
    """A case for each network."""
    settings = [DIGITS] if plan.quick else [DIGITS, Setting("resnet10", 128, width=8), RESNET8]
    if plan.accelerator:
        types = ("float32", "bfloat16")
        settings = [Setting("resnet18", 128, dtype=dtype) for dtype in types]
    return [Case(str(setting), functools.partial(_measure, plan, setting)) for setting in settings]


def _measure(plan: Plan, setting: Setting) -> list[Row]:
    steppers = {"cross-entropy": Stepper(*training(setting), scanned=plan.accelerator)}
    for way in ("reverse", "forward"):
        method, problem = suppression(setting, differentiate=way)
        steppers[way] = Stepper(method, problem, scanned=plan.accelerator)
    times = per_step(steppers, plan.seconds)
    base = times.pop("cross-entropy")
    best = min(times, key=lambda way: times[way])
    rows = []
    for way, seconds in times.items():
        met = "met" if seconds <= TARGET * base else "missed"
        verdict = f"; target at most {TARGET:g}: {met}" if way == best else ""
        note = f"{1e3 * seconds:.3g} ms against {1e3 * base:.3g} ms{verdict}"
        rows.append(Row(f"{setting} MU-Mis, {way}", seconds / base, "x cross-entropy", note))
    return rows
