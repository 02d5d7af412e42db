"""The words of a session on an accelerator: the machine, a part, its process."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from ...shared.provenance import hardware
from ..benchmarks.apart import run_apart
from ..benchmarks.cases import Row
from ..benchmarks.workloads import Workload

PROGRAMS = "programs"
"""Folder of what is compiled: the next process, and the next session, find it there."""


@dataclasses.dataclass(frozen=True)
class Session:
    """What all parts are told. Nothing here touches a device.

    Attributes:
      quick: small workloads, to see that everything runs.
      platforms: value of ``JAX_PLATFORMS`` that gives the devices, such as ``cuda``.
      machine: see :func:`experiments.shared.provenance.hardware`.
      torch_python: a Python that has PyTorch; None leaves it out.
      data_dir: folder of CIFAR-10; '' where there is none.
      out: the session's folder.
    """

    quick: bool
    platforms: str
    machine: dict[str, Any]
    torch_python: str | None
    data_dir: str
    out: pathlib.Path

    @property
    def devices(self) -> int:
        """How many there are; a batch is spread over all."""
        return len(self.machine["devices"])

    @property
    def kind(self) -> str:
        """Name of a device, such as NVIDIA H200."""
        return self.machine["devices"][0]

    @property
    def accelerator(self) -> bool:
        """Whether the devices are GPUs or TPUs."""
        return self.machine["platform"] != "cpu"

    @property
    def load(self) -> Workload:
        """The network whose steps are measured, with a batch for all devices together."""
        if not self.accelerator:
            return Workload("convnet", 16 * self.devices, side=8, channels=1, width=4)
        return Workload("resnet18", (128 if self.quick else 512) * self.devices, dtype="bfloat16")

    @property
    def seconds(self) -> float:
        """Time spent on the repeats of one figure."""
        return 0.5 if self.quick else 4.0

    @property
    def environment(self) -> dict[str, str]:
        """Of every process: its devices, all their memory, and what others have compiled."""
        programs = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(self.out / PROGRAMS))
        return {
            "JAX_PLATFORMS": self.platforms,
            "JAX_COMPILATION_CACHE_DIR": programs,
            "XLA_PYTHON_CLIENT_PREALLOCATE": "true",
        }

    def run(self, function: str, limit: float, **given: Any) -> dict[str, Any]:
        """As :func:`run_apart`, in a process that has the devices."""
        return run_apart(function, limit=limit, environment=self.environment, **given)


class Part(NamedTuple):
    """Something that is measured, or fails, on its own.

    Attributes:
      name: unique.
      needs: seconds that must be left for it to begin.
      most: seconds after which it is ended.
      measure: gives the rows, or raises UnfinishedError; takes the seconds after which it is ended.
    """

    name: str
    needs: float
    most: float
    measure: Callable[[float], list[Row]]


class UnfinishedError(Exception):
    """A part that is to be begun again: it was cut off, or what it found is to be mended first.

    Attributes:
      rows: how far it has come.
    """

    def __init__(self, rows: Sequence[Row]):
        super().__init__(rows[0].note)
        self.rows = list(rows)


def look() -> dict[str, Any]:
    """Which machine this is; JSON values, of a process that may touch the devices."""
    machine = hardware()
    version = str(jax.devices()[0].client.platform_version).lower()
    # JAX calls both gpu, and starts neither by that name alone.
    own = ("rocm" if "rocm" in version else "cuda") if machine["platform"] == "gpu" else ""
    return {"machine": machine, "platforms": own or machine["platform"]}
