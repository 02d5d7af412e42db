"""Small steps: started one by one from the host, and as one compiled loop."""

import functools
from typing import Any

from .apart import run_apart
from .cases import Bench, Case, Row
from .stepping import SCANNED, Stepper, per_step
from .workloads import Workload, training

LOADS = (
    Workload("convnet", 16, side=8, channels=1, width=4),
    Workload("convnet", 128, side=8, channels=1, width=16),
)
"""Networks on digits, whose steps are so short that the host may be what they wait for."""


def cases(bench: Bench) -> list[Case]:
    """A case for each load; the first alone where little time is to be taken."""
    loads = LOADS[:1] if bench.quick else LOADS
    return [Case(str(load), functools.partial(_measure, bench, load)) for load in loads]


def _measure(bench: Bench, load: Workload) -> list[Row]:
    given: dict[str, Any] = {"load": load.to_json(), "seconds": bench.seconds}
    found = run_apart("dispatch.take", cpu_devices=0 if bench.accelerator else 1, **given)
    return rows(load, found, compiled_by_default=bench.accelerator)


def rows(load: Workload, found: dict[str, float], *, compiled_by_default: bool) -> list[Row]:
    """Rows of what :func:`take` gave."""
    alone, looped = (1e6 * found[way] for way in ("python", "scan"))
    loop, python = ("scan", "python") if compiled_by_default else ("python", "scan")
    told = {loop: "what loop='auto' takes here", python: f"loop='{python}'"}
    return [
        Row(f"{load} steps one by one", alone, "us a step", told["python"]),
        Row(f"{load} steps in loops of {SCANNED}", looped, "us a step", told["scan"]),
        Row(
            f"{load} one by one, over the loop",
            alone - looped,
            "us a step",
            "what dispatch costs" if alone > looped else "below zero: the loop is slower",
        ),
    ]


def take(load: dict[str, Any], seconds: float) -> dict[str, float]:
    """Take training steps in both ways; JSON values."""
    given = training(Workload(**load))
    return per_step(
        {way: Stepper(*given, scanned=way == "scan") for way in ("python", "scan")}, seconds
    )
