"""Command, date, versions and hardware: what a number must be read with."""

import contextlib
import datetime
import os
import pathlib
import platform
import shlex
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax

PACKAGES = (
    "jax_unlearn",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "numpy",
    "scipy",
    "scikit-learn",
    "optuna",
)


def provenance(machine: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Command, date, versions and hardware: what a number must be read with.

    Args:
      machine: what :func:`hardware` gave in a process that may touch the devices; None asks here.
    """
    return {
        "command": _command(),
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "hardware": hardware() if machine is None else dict(machine),
    }


def hardware() -> dict[str, Any]:
    """Devices and host."""
    return {
        "platform": jax.default_backend(),
        "devices": [str(device.device_kind) for device in jax.devices()],
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
    }


def _command() -> str:
    """The command as it can be given again; an installed package's has a name of its own."""
    said = shlex.join(["python", "-m", _module_name(), *sys.argv[1:]])
    return said.replace("python -m jax_unlearn.commands.", "jax-unlearn ", 1)


def _module_name() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    # A command that is a folder runs as its __main__.
    return spec.name.removesuffix(".__main__") if spec else pathlib.Path(sys.argv[0]).stem


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
