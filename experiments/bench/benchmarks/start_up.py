"""Time to compile a step, without and with the persistent cache, and the memory it needs."""

import functools
import pathlib
import tempfile
from typing import Any

import jax

from jax_unlearn.engine.timing import Stopwatch

from .apart import run_apart
from .cases import Bench, Case, Row
from .stepping import Stepper
from .workloads import DIGITS, RESNET8, STEPS, Workload


def cases(bench: Bench) -> list[Case]:
    """A case for each network and kind of step."""
    loads = [DIGITS] if bench.quick else [DIGITS, RESNET8]
    if bench.accelerator:
        loads = [Workload("resnet18", 128 if bench.quick else 512)]
    kinds = ["training"] if bench.quick else ["training", "MU-Mis"]
    return [
        Case(f"{load} {kind}", functools.partial(_measure, bench, load, kind))
        for load in loads
        for kind in kinds
    ]


def _measure(bench: Bench, load: Workload, kind: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "JAX_ENABLE_COMPILATION_CACHE": "true",
        }
        first, second = (
            run_apart(
                "start_up.start",
                cpu_devices=0 if bench.accelerator else 1,
                environment=environment,
                load=load.to_json(),
                kind=kind,
                scanned=bench.accelerator,
            )
            for _ in range(2)
        )
    name = f"{load} {kind}"
    where = "device" if bench.accelerator else "process, compilation included"
    return [
        Row(f"{name}, compile cold", first["compile_seconds"], "s", "empty cache"),
        Row(f"{name}, compile cached", second["compile_seconds"], "s", "a new process"),
        Row(f"{name}, peak memory", second["peak_bytes"] / 2**20, "MiB", where),
    ]


def start(load: dict[str, Any], kind: str, scanned: bool) -> dict[str, float]:
    """Compile a step and take it twice; JSON values."""
    stepper = Stepper(*STEPS[kind](Workload(**load)), scanned=scanned)
    watch = Stopwatch()
    with watch.running():
        stepper(2)
    return {"compile_seconds": watch.compile, "peak_bytes": peak_bytes()}


def peak_bytes() -> float:
    """Most memory that was in use: of the first device, or of the process where that is a CPU."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics:
        return float(statistics["peak_bytes_in_use"])
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024.0 * int(line.split()[1])
    raise RuntimeError("neither the device nor the system says how much memory was in use")
