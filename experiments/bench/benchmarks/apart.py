"""Measurements in a process of their own: with their own devices, caches and memory."""

import importlib
import json
import os
import subprocess
import sys
from typing import Any

from jax_unlearn.engine.cpu import use_cpu_devices

LIMIT = 900
"""Seconds after which a process is given up."""


def run_apart(
    function: str,
    *,
    limit: float = LIMIT,
    cpu_devices: int = 0,
    keep_memory: bool = True,
    environment: dict[str, str] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Call a function of this package in a new process.

    Args:
      function: MODULE.NAME in this package, or beside it as ..PACKAGE.MODULE.NAME; returns JSON
        values.
      limit: seconds after which the process is ended.
      cpu_devices: virtual devices to run on, which makes it run on the CPU; 0 takes the devices
        that this process has.
      keep_memory: see :func:`jax_unlearn.engine.cpu.use_cpu_devices`.
      environment: variables to set or replace.
      **given: JSON values for the function.

    Raises:
      RuntimeError: the process failed; with the last line that it wrote. Or it took too long.
    """
    message = {
        "function": function,
        "cpu_devices": cpu_devices,
        "keep_memory": keep_memory,
        "given": given,
    }
    # A second process beside this one must be content with the memory that is left.
    own = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **(environment or {})}
    if cpu_devices:
        own["JAX_PLATFORMS"] = "cpu"
    return run_json([sys.executable, "-m", __name__], message, own, limit=limit)


def run_json(
    command: list[str],
    message: dict[str, Any],
    environment: dict[str, str],
    *,
    limit: float = LIMIT,
) -> dict[str, Any]:
    """Run a program that reads one JSON value and whose last line is another.

    Raises:
      RuntimeError: it failed; with the last line that it wrote. Or it took more than ``limit``
        seconds.
    """
    try:
        done = subprocess.run(
            command,
            input=json.dumps(message),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {limit:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(lines[-1])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Read what to call, call it, print what it returns."""
    message = json.load(sys.stdin)
    use_cpu_devices(message["cpu_devices"], keep_memory=message["keep_memory"])
    module, _, name = message["function"].rpartition(".")
    module = module if module.startswith(".") else f".{module}"
    function = getattr(importlib.import_module(module, __package__), name)
    print(json.dumps(function(**message["given"])))


if __name__ == "__main__":
    main()
