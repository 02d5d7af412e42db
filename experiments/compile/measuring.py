"""Compile a program and read off what the compiler made of it."""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax

from jax_unlearn.engine.shapes import loop_length

from ..shared.chip import Chip
from .convolutions import Convolution, convolutions, flops
from .hlo import parse
from .jobs import Job
from .program import Module
from .roofline import bound, largest_batch
from .target import one_line, quiet
from .traffic import bytes_accessed, collectives, custom_calls, opcodes

Record = dict[str, Any]
"""What is found of a program, as JSON values; of one device."""

COUNTING = 3
"""Version of how programs are counted; records of another are not gone on from."""

CRASHED = "the process ended while this was compiled"
"""The error of a program that has ended the process."""

NO_ROOM = "RESOURCE_EXHAUSTED"
"""What XLA's errors begin with where memory does not suffice."""

LIBRARY_PRODUCTS: dict[str, str | bool] = {"xla_gpu_enable_triton_gemm": False}
"""Options by which matrix products are cuBLAS's, where XLA would make kernels of its own."""

STEPPING = ("scan", "bank")
"""Programs whose outermost loop takes steps: one of them is counted, and what comes before them."""


def measure(
    job: Job,
    chip: Chip,
    dtype: str,
    kernel: Sequence[int],
    known: Mapping[str, Record] = MappingProxyType({}),
) -> Record:
    """Compile a program and describe it, or say in a line why it is not compiled.

    Args:
      job: the program.
      chip: one of the devices that it is compiled for.
      dtype: what the network computes in.
      kernel: height and width of the largest of the network's own convolutions.
      known: what is compiled for this chip already, by name: many methods have the very same step.
    """
    start = time.perf_counter()
    record: Record = {"batch": job.batch, "models": job.models, "shards": job.shards}
    record["padding"] = job.padding
    try:
        with quiet():
            lowered = job.lower(job.batch)
            record["module"] = module(lowered)
            for name, other in known.items():
                if other["error"] is None and other.get("module") == record["module"]:
                    return other | {"same_as": other.get("same_as", name)}
            compiled, refused = _compiled(lowered, chip)
    except Exception as error:  # the compilers raise their own, and have much to say
        return {"error": one_line(error), **record}
    if refused:
        record["own_products_refused"] = refused
    record = {"error": None, "seconds": round(time.perf_counter() - start, 1), **record}
    # The compilers leave no loop of a single step.
    stepping = job.program in STEPPING and loop_length(lowered) > 1
    program = parse(compiled.as_text() or "", loops_once=1 if stepping else 0)
    record |= costs(compiled, program) | memory(compiled) | describe(program, kernel)
    room, shares = chip.memory * chip.usable, record["memory"]
    fixed = shares["total"] - shares["temporaries"]
    most = largest_batch(fixed, shares["temporaries"] / job.batch, room, job.shards)
    least = bound(record["flops"], record["bytes"], peak=chip.peak[dtype], bandwidth=chip.bandwidth)
    return record | {
        "room": room,
        "largest_batch": most,
        "bound_seconds": least.seconds,
        "bound_by": least.by,
    }


def is_too_large(record: Record) -> bool:
    """Whether a program needs more memory than there is, whoever says so.

    XLA compiles it for a GPU all the same, and refuses it for a TPU.
    """
    if record["error"] is None:
        return record["memory"]["total"] > record["room"]
    return NO_ROOM in record["error"]


def is_known(record: Record) -> bool:
    """Whether all is known of a program that its compiler tells: it is compiled or too large."""
    return record["error"] is None or is_too_large(record)


def module(lowered: jax.stages.Lowered) -> str:
    """What tells a program from others before it is compiled."""
    return hashlib.sha256(lowered.as_text().encode()).hexdigest()[:16]


def _compiled(lowered: jax.stages.Lowered, chip: Chip) -> tuple[jax.stages.Compiled, str]:
    """The program, and why XLA's own products for GPUs had no place in it; '' where they have.

    A GPU that is there is asked which of several such kernels is fastest, and those that cannot be
    made are passed over. Without a GPU the first kernel is taken, and if it cannot be made, as of
    images that a ViT enlarges to 224 pixels, the whole program is refused.
    """
    try:
        return lowered.compile(), ""
    except Exception as error:
        if chip.platform == "gpu" and NO_ROOM not in str(error):
            # Refused without these products, too, it is refused for something else.
            with contextlib.suppress(Exception):
                return lowered.compile(compiler_options=LIBRARY_PRODUCTS), one_line(error)
        raise


def costs(compiled: jax.stages.Compiled, program: Module) -> Record:
    """Operations and bytes: the compiler's own count where it gives one, and ours."""
    counted = {"flops": flops(program), "bytes": float(bytes_accessed(program))}
    costs: Any = compiled.cost_analysis() or {}
    if "bytes accessed" not in costs:
        return {**counted, "counted_by": "program", "counted": counted}
    own = {"flops": float(costs["flops"]), "bytes": float(costs["bytes accessed"])}
    # It counts a loop's body once: of several times each counts what ours does. Its bytes are also
    # those that move within the chip, several times as many: no bound follows.
    once = flops(dataclasses.replace(program, loops_once=math.inf))
    given = {
        "flops": own["flops"] * (counted["flops"] / once if once else 1),
        "bytes": counted["bytes"],
    }
    return {**given, "counted_by": "compiler", "counted": counted, "compiler": own}


def memory(compiled: jax.stages.Compiled) -> Record:
    """Bytes that a program takes of a device while it runs."""
    found: Any = compiled.memory_analysis()
    parts = {
        "arguments": found.argument_size_in_bytes,
        # What is written over an argument takes no place of its own.
        "outputs": found.output_size_in_bytes - found.alias_size_in_bytes,
        "temporaries": found.temp_size_in_bytes,
        "code": found.generated_code_size_in_bytes,
    }
    return {"memory": parts | {"total": sum(parts.values())}}


def describe(program: Module, kernel: Sequence[int]) -> Record:
    """What an optimised program consists of.

    Args:
      program: the program.
      kernel: height and width of the largest of the network's own convolutions.
    """
    found, counts = convolutions(program), opcodes(program)
    return {
        "collectives": collectives(program),
        "convolutions": by_window(found),
        "oversized": by_window([one for one in found if is_oversized(one, kernel)]),
        "copies": counts["copy"],
        "transposes": counts["transpose"],
        "loops": counts["while"],
        "loops_untold": program.untold(),
        "custom_calls": custom_calls(program),
    }


def is_oversized(found: Convolution, kernel: Sequence[int]) -> bool:
    """Whether a convolution reaches further than any of the network's own."""
    # A TPU's compiler has axes of its own, in an order of its own.
    reach, own = (sorted(sizes, reverse=True) for sizes in (found.reach, kernel))
    return any(size > most for size, most in itertools.zip_longest(reach, own, fillvalue=1))


def by_window(found: Sequence[Convolution]) -> dict[str, int]:
    """Number of convolutions by what counts as their window, such as 3x3; a product has none."""
    counted = collections.Counter("x".join(map(str, one.reach)) or "product" for one in found)
    return dict(sorted(counted.items()))
