"""What is published of accelerators: peak, bandwidth and memory; a file in `chips` for each."""

import dataclasses
import functools
import pathlib
import re
import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jax_unlearn.core import InputError, check_choice, check_number

FOLDER = pathlib.Path(__file__).with_name("chips")


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip, by its maker's data sheet.

    Attributes:
      name: the maker's.
      platform: ``'gpu'`` or ``'tpu'``.
      kind: part of JAX's name of the device, such as ``'TPU v5 lite'``.
      peak: by compute type the operations per second.
      bandwidth: of its memory, bytes per second.
      memory: bytes.
      usable: share of the memory that programs get.
      sizes: topologies that programs are compiled for, such as ``'8'`` or ``'2x4'``.
      sources: where this is from.
      compiler: what the compiler must be told of it: of a GPU a GpuTargetConfigProto as text, of a
        TPU the name of a chip's configuration where one of several is meant; '' for nothing.
    """

    name: str
    platform: str
    kind: str
    peak: Mapping[str, float]
    bandwidth: float
    memory: int
    usable: float
    sizes: tuple[str, ...]
    sources: tuple[str, ...]
    compiler: str = ""


@functools.cache
def chips() -> Mapping[str, Chip]:
    """All chips that a file describes, by the file's name.

    Raises:
      InputError: a file lacks a fact or has one that is not known here.
    """
    return MappingProxyType({path.stem: _read(path) for path in sorted(FOLDER.glob("*.toml"))})


FORMS = re.compile(r"NVL|PCIe|PCIE|MIG|lite")
"""Words by which devices of one name are others, with other figures, or parts of one."""


def chip_of(kind: str) -> Chip | None:
    """The chip that a device is, or None where it is not described.

    Args:
      kind: JAX's name of the device, such as NVIDIA H100 80GB HBM3.
    """
    known = [chip for chip in chips().values() if _is(kind, chip)]
    return max(known, key=lambda chip: len(chip.kind)) if known else None


def _is(kind: str, chip: Chip) -> bool:
    """Whether a device's name has these words, and no form or memory that is not described."""
    there = re.search(rf"(?<!\w){re.escape(chip.kind)}(?![A-Z])", kind)
    stated = re.search(r"(?<!\w)(\d+)GB", kind)
    # Makers round, some to powers of ten and some to powers of two.
    as_large = stated is None or abs(chip.memory / (int(stated[1]) * 1e9) - 1) < 0.1
    forms = set(FORMS.findall(kind)) <= set(FORMS.findall(chip.kind))
    return there is not None and as_large and forms


def _check(chip: Chip) -> None:
    """Raise an error for a fact that is of another type, or out of range."""
    check_choice("platform", chip.platform, ("gpu", "tpu"))
    for name in ("name", "kind", "compiler"):
        if not isinstance(getattr(chip, name), str):
            raise TypeError(f"{name}={getattr(chip, name)!r} is no text")
    for name in ("sizes", "sources"):
        if not all(isinstance(one, str) and len(one) for one in getattr(chip, name)):
            raise TypeError(f"{name}={getattr(chip, name)!r} is no list of texts")
    sizes = re.compile(r"[1-9]\d*(x[1-9]\d*)*")
    for size in chip.sizes:
        if not sizes.fullmatch(size):
            raise ValueError(f"sizes: {size!r} is no topology")
    for kind in ("float32", "bfloat16"):
        check_number(f"peak.{kind}", chip.peak[kind], above=0)
    check_number("bandwidth", chip.bandwidth, above=0)
    # Bytes: whoever writes 80 means another unit.
    check_number("memory", chip.memory, low=2**30, whole=True)
    check_number("usable", chip.usable, above=0, high=1)
    if chip.sizes and chip.platform == "gpu" and not chip.compiler.strip():
        raise ValueError("compiler: of a GPU it must be told by a GpuTargetConfigProto")


def _read(path: pathlib.Path) -> Chip:
    try:
        given: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        facts = {field.name for field in dataclasses.fields(Chip)}
        if unknown := sorted(set(given) - facts):
            raise ValueError(f"unknown {', '.join(unknown)}")
        if missing := sorted(facts - set(given) - {"compiler"}):
            raise ValueError(f"{', '.join(missing)} missing")
        given |= {name: tuple(given[name]) for name in ("sizes", "sources")}
        chip = Chip(**given)
        _check(chip)
        return chip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"chip={str(path)!r}: {error}: expected the facts that the other files there have"
        ) from error
