"""What is compiled for: a chip that is described, and devices of it that are not there."""

import contextlib
import dataclasses
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from jax_unlearn.core import InputError, check_choice

from ..shared.chip import Chip, chips
from .restarting import WORDS

COMPILERS = {
    "gpu": (("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12"), "jax_unlearn[gpu]"),
    "tpu": (("libtpu",), "jax_unlearn[tpu]"),
}
"""By platform the packages one of which brings XLA's compiler, and what to install for it."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A chip, and how many of it.

    Attributes:
      text: as given, such as ``tpu:v5e:2x2``.
      chip: what is published of one.
      size: their topology.
    """

    text: str
    chip: Chip
    size: str


def parse_target(text: str) -> Target:
    """Read PLATFORM:CHIP:TOPOLOGY, such as ``gpu:h100:8`` or ``tpu:v5e:2x2``.

    Raises:
      InputError: the form is another, or there is no such chip or topology.
    """
    parts = text.split(":")
    if len(parts) != 3 or parts[0] not in COMPILERS:
        raise InputError(
            f"target={text!r}: expected PLATFORM:CHIP:TOPOLOGY, such as gpu:h100:8 or tpu:v5e:2x2"
        )
    platform, name, size = parts
    if name not in chips():
        # Those that can be compiled for.
        check_choice(f"target={text!r}: chip", name, [n for n, one in chips().items() if one.sizes])
    chip = chips()[name]
    if chip.platform != platform:
        raise InputError(
            f"target={text!r}: {name} is a {chip.platform}: expected {chip.platform}:{name}:{size}"
        )
    if not chip.sizes:
        raise InputError(
            f"target={text!r}: nothing is known of {name} that XLA's compiler must be told: "
            "expected a chip whose file in experiments/shared/chips lists sizes"
        )
    if size not in chip.sizes:
        raise InputError(
            f"target={text!r}: topology={size!r}: expected one of {', '.join(chip.sizes)}"
        )
    return Target(text, chip, size)


def check_compiler(target: Target) -> None:
    """Raise InputError where XLA's compiler for the target's platform is not installed."""
    modules, extra = COMPILERS[target.chip.platform]
    if not any(map(_is_there, modules)):
        raise InputError(
            f"target={target.text!r}: XLA's compiler for {target.chip.platform}s is not installed: "
            f"expected one of the packages {', '.join(modules)}; pip install '{extra}'"
        )


def _is_there(module: str) -> bool:
    with contextlib.suppress(ImportError):
        return importlib.util.find_spec(module) is not None
    return False


def devices_of(target: Target) -> list[Any]:
    """The target's devices, for a mesh; nothing can run on them.

    Raises:
      InputError: XLA refuses the topology.
    """
    from jax.experimental import topologies

    # libtpu would ask a server, which only a cloud machine has, what it runs on; and it would let
    # one process alone in, as if it used a chip.
    for name in ("TPU_SKIP_MDS_QUERY", "ALLOW_MULTIPLE_LIBTPU_LOAD"):
        os.environ.setdefault(name, "1")
    try:
        with quiet():
            found = topologies.get_topology_desc(**_topology(target))
    except Exception as error:  # of XLA's plugins each raises its own
        raise InputError(f"target={target.text!r}: {one_line(error)}") from error
    return list(found.devices)


def _topology(target: Target) -> dict[str, Any]:
    """What JAX is asked for."""
    chip, name = target.chip, target.text.split(":")[1]
    if chip.platform == "gpu":
        # One host with all the devices.
        return {
            "platform": "cuda",
            "topology_name": name,
            "topology": f"1x1x{target.size}",
            "target_config": chip.compiler,
        }
    found: dict[str, Any] = {"platform": "tpu", "topology_name": f"{name}:{target.size}"}
    if target.size == "1x1":
        # By default a host has four chips, of which a single one is no part.
        found["chips_per_host_bounds"] = (1, 1, 1)
    return found | ({"chip_config_name": chip.compiler} if chip.compiler else {})


def one_line(error: Exception) -> str:
    """What an error says first, cut to a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the compilers, which are libraries, from writing to the terminal.

    What they write last is left to who started this process, should they end it.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    # Opened anew each time: what was said of another program is gone.
    words = os.environ.get(WORDS)
    with open(words, "wb") if words else tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
