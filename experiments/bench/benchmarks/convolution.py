"""Training on a CPU: a plain step, the library's, and PyTorch's on the same net."""

import functools
import os
import pathlib
import sys
from typing import Any

from jax_unlearn.engine.timing import Stopwatch

from .apart import run_apart, run_json
from .cases import Bench, Case, Row
from .stepping import Stepper, per_step
from .workloads import DIGITS, Workload, training

RESNET20 = Workload("resnet20", 128)
"""The three-stage ResNet of width 16 at which the target is set."""

TARGET = 2.0
"""How many times as fast as a plain step the library's is to be, at best."""

PLAIN: dict[str, Any] = {"cpu_devices": 1, "keep_memory": False, "plain": True}
"""A step as JAX alone runs it: `nn.Conv`, one device, memory handed back to the system."""

ROUNDS = {DIGITS: 5, RESNET20: 2}
"""Processes for each way, in turn: what else a machine does must not fall on one way alone. Short
steps differ more from process to process."""

WAYS: dict[str, dict[str, Any]] = {
    "plain convolution, memory kept": {**PLAIN, "keep_memory": True},
    "library": {"cpu_devices": 1, "plain": False},
    "library, 2 virtual devices": {"cpu_devices": 2, "plain": False},
    "library, 4 virtual devices": {"cpu_devices": 4, "plain": False},
}

LAYOUTS = {"contiguous": False, "channels last": True}


def cases(bench: Bench) -> list[Case]:
    """A case for each network, and for each memory layout of PyTorch; none on accelerators."""
    if bench.accelerator:
        return []
    loads = [DIGITS] if bench.quick else [DIGITS, RESNET20]
    listed = [Case(str(load), functools.partial(_measure, bench, load)) for load in loads]
    if bench.torch_python:
        for layout, last in LAYOUTS.items():
            measure = functools.partial(_torch, bench, RESNET20, layout, last)
            listed.append(Case(f"{RESNET20} PyTorch, {layout}", measure))
    return listed


def _measure(bench: Bench, load: Workload) -> list[Row]:
    # As the commands do; see experiments.shared.config.Experiment.keeps_memory.
    given: dict[str, Any] = {"load": load.to_json(), "seconds": bench.seconds}
    given["keep_memory"] = load != DIGITS
    rounds = [
        [run_apart("convolution.train", **given | options) for options in (PLAIN, *WAYS.values())]
        for _ in range(1 if bench.quick else ROUNDS[load])
    ]
    plain, *others = (min(found, key=lambda f: f["seconds"]) for found in zip(*rounds, strict=True))
    note = f"one device, compiled in {plain['compile_seconds']:.1f} s"
    rate = load.batch / plain["seconds"]
    rows = [Row(f"{load} plain step", rate, "images/s", note)]
    for (way, options), found in zip(WAYS.items(), others, strict=True):
        times = plain["seconds"] / found["seconds"]
        note = f"{times:.2f} times as fast, compiled in {found['compile_seconds']:.1f} s"
        if load == RESNET20 and not options["plain"]:
            met = "met" if times >= TARGET else "missed"
            note += f"; target {TARGET:g} times: {met}"
        rows.append(Row(f"{load} {way}", load.batch / found["seconds"], "images/s", note))
    return rows


def train(load: dict[str, Any], seconds: float, plain: bool) -> dict[str, float]:
    """Take training steps on all devices; JSON values."""
    if plain:
        from jax_unlearn.models import convolution

        # No input is large enough for it: every convolution is the plain one.
        convolution.SMALLEST = sys.maxsize
    watch = Stopwatch()
    with watch.running():
        stepper = Stepper(*training(Workload(**load)), scanned=False)
        stepper(1)
    return {
        "seconds": per_step({"step": stepper}, seconds)["step"],
        "compile_seconds": watch.compile,
    }


def _torch(bench: Bench, load: Workload, layout: str, last: bool) -> list[Row]:
    script = pathlib.Path(__file__).with_name("torch_step.py")
    message = {
        "method": "training",
        "batch": load.batch,
        "side": load.side,
        "channels": load.channels,
        "width": 16,
        "blocks": [3, 3, 3],
        "channels_last": last,
        "bfloat16": False,
        "compiled": False,
        "seconds": bench.seconds,
        "threads": os.cpu_count(),
    }
    found = run_json([str(bench.torch_python), str(script)], message, {})
    note = f"PyTorch {found['version']}, no augmentation"
    rate = load.batch / found["seconds"]
    return [Row(f"{load} PyTorch, {layout}", rate, "images/s", note)]
