"""Many models at once: a bank against one after another, and a sweep of NatMU on digits."""

import functools
import os
import time
from typing import Any

import jax
import numpy as np

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.engine import RunSpec, run_many

from ...configs import preset
from ...shared.loading import load_data, make_network
from .apart import run_apart
from .cases import Bench, Case, Row
from .workloads import DIGITS, Workload, training

SWEEP_TARGET = 120.0
"""Seconds that 64 settings of NatMU on digits may take on two CPU cores."""


def _virtual(bench: Bench) -> int:
    """Devices of the process that measures: those of the accelerator, or one for each core."""
    return 0 if bench.accelerator else min(8, os.cpu_count() or 1)


def bank_cases(bench: Bench) -> list[Case]:
    """A case for each network that is trained many times."""
    loads = [Workload("resnet18", 128)] if bench.accelerator else [DIGITS]
    return [Case(str(load), functools.partial(_bank, bench, load)) for load in loads]


def _bank(bench: Bench, load: Workload) -> list[Row]:
    found = run_apart(
        "many_models.train_bank",
        cpu_devices=_virtual(bench),
        load=load.to_json(),
        epochs=5 if bench.quick else 25,
    )
    name, steps = f"{load} {found['steps']} steps", f"{found['devices']} devices"
    beside, alone = found["beside_seconds"], found["alone_seconds"]
    return [
        Row(f"{name}, one after another", 3600 / alone, "models/hour", "each on one device"),
        Row(
            f"{name}, side by side",
            3600 / beside,
            "models/hour",
            f"{steps}, {alone / beside:.2f} times as many; compilation counted in neither",
        ),
    ]


def train_bank(load: dict[str, Any], epochs: int) -> dict[str, float]:
    """Train a model for each device, side by side and one after another; JSON values."""
    recipe, problem = training(Workload(**load), epochs=epochs, learning_rate=0.01)
    places = jax.device_count()
    jobs = [RunSpec(recipe, problem, jax.random.key(seed)) for seed in range(places)]
    alone = ju.make_mesh(1)
    seconds: dict[str, list[float]] = {"beside": [], "alone": []}
    # The first round compiles; after it both take turns.
    for _ in range(3):
        start = time.perf_counter()
        outcomes = run_many(jobs)
        seconds["beside"].append((time.perf_counter() - start) / places)
        start = time.perf_counter()
        for job in jobs:
            ju.run(*job, mesh=alone)
        seconds["alone"].append((time.perf_counter() - start) / places)
    return {
        "devices": places,
        "steps": outcomes[0].steps,
        "beside_seconds": min(seconds["beside"][1:]),
        "alone_seconds": min(seconds["alone"][1:]),
    }


def sweep_cases(bench: Bench) -> list[Case]:
    """NatMU on digits, on the CPU."""
    return [Case("NatMU on digits", functools.partial(_sweep, 16 if bench.quick else 64))]


def _sweep(count: int) -> list[Row]:
    found = run_apart(
        "many_models.sweep_natmu", cpu_devices=min(2, os.cpu_count() or 1), count=count
    )
    seconds = found["seconds"]
    met = "met" if seconds <= SWEEP_TARGET else "missed"
    verdict = f"; target for 64 is {SWEEP_TARGET:g} s: {met}" if count == 64 else ""
    note = f"{found['steps']:g} steps each, compilation of {found['programs']:g} s included"
    return [Row(f"sweep of {count} settings of NatMU on digits", seconds, "s", note + verdict)]


def sweep_natmu(count: int) -> dict[str, float]:
    """Sweep NatMU's rate, decay and delta over the quickstart's digits; JSON values."""
    experiment = preset("quickstart")
    dataset = load_data(experiment)
    forget, retain = data.split(dataset, data.make_request(data.parse_request("class:3"), dataset))
    model = make_network(experiment, dataset)
    problem = ju.Problem(
        model=model,
        variables=model.init(jax.random.key(0)),
        forget=forget,
        retain=retain,
        num_classes=dataset.num_classes,
        augment=ju.crop_and_flip(experiment.data.padding, experiment.data.flip),
    )
    rates, deltas = (np.linspace(*ends, 4).tolist() for ends in ((1e-3, 1e-2), (-0.2, 0.2)))
    decays = np.linspace(0, 5e-3, count // 16).tolist()
    grid = {"learning_rate": rates, "weight_decay": decays, "delta": deltas}
    start = time.perf_counter()
    trials = ju.engine.sweep(ju.natmu, grid, problem, jax.random.key(1), batch_size=50)
    return {
        "seconds": time.perf_counter() - start,
        "steps": trials[0].result.steps,
        "programs": sum(trial.result.compile_seconds for trial in trials),
    }
