"""The same training on 1, 2, 4 and 8 devices: how far the weights differ. Not a matter of speed."""

import functools
import pathlib
import tempfile
from typing import Any

import jax
import numpy as np

import jax_unlearn as ju

from .apart import run_apart
from .cases import Bench, Case, Row
from .workloads import Workload, training

DEVICES = (1, 2, 4, 8)

SMALL = Workload("convnet", 30, side=8, channels=1, width=8)
"""Its batches of 30 are not divided by four or eight devices, and neither is its last one."""


def cases(bench: Bench) -> list[Case]:
    """One case; virtual devices of the CPU, whatever this process has."""
    devices = DEVICES[:2] if bench.quick else DEVICES
    return [Case(str(SMALL), functools.partial(_measure, devices))]


def _measure(devices: tuple[int, ...]) -> list[Row]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for count in devices:
            out = f"{folder}/{count}.npz"
            run_apart("sharding.train", cpu_devices=count, out=out)
            with np.load(pathlib.Path(out)) as file:
                found.append([file[name] for name in file.files])
    size = max(np.abs(leaf).max() for leaf in found[0])
    return [
        Row(
            f"{SMALL} training, {count} virtual CPU devices",
            max(float(np.abs(a - b).max()) for a, b in zip(found[0], leaves, strict=True)),
            "largest difference of a weight",
            f"from one device, after 12 steps; largest weight {size:.2g}",
        )
        for count, leaves in zip(devices[1:], found[1:], strict=True)
    ]


def train(out: str) -> dict[str, Any]:
    """Train on all devices and write the weights."""
    recipe, problem = training(SMALL, epochs=3, learning_rate=0.01)
    outcome = ju.run(recipe, problem, jax.random.key(0))
    leaves = jax.device_get(jax.tree.leaves(outcome.variables))
    np.savez(out, *leaves)
    return {"devices": jax.device_count()}
