"""An optimised program: its computations, their instructions, and how often which of them run."""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_CALLED = re.compile(r"\b(?:calls|body|condition|to_apply|\w+_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')

RUN_INSIDE = ("while", "call", "conditional", "async-start")
"""Operations that run the computations that they name, instruction by instruction. A reduction's,
by contrast, is part of it, and a fusion's is one kernel."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """An array's type and dimensions.

    Attributes:
      dtype: as XLA writes it, such as ``bf16``.
      dims: its dimensions.
      on_chip: whether it lies in a TPU's own memory, beside the device's main one.
    """

    dtype: str
    dims: tuple[int, ...]
    on_chip: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        """Bytes, the padding of a layout's tiles not counted."""
        if self.dtype in ("token", "opaque"):
            return 0
        digits = re.search(r"\d+", self.dtype)
        return -(-self.size * (int(digits[0]) if digits else 8) // 8)

    @property
    def moved(self) -> int:
        """Bytes that go to or from the device's main memory where it is written or read."""
        return 0 if self.on_chip else self.bytes


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
      name: unique in the module.
      opcode: such as ``convolution``.
      shapes: of its result; several where it is a tuple, flat.
      operands: names of instructions of the same computation.
      rest: attributes, as they are written.
      is_root: whether it is its computation's result.
      number: of a parameter, which operand it stands for; of a whole number that is written in
        the program, its value; None of others.
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    rest: str
    is_root: bool
    number: int | None = None

    @property
    def bytes(self) -> int:
        """Bytes of the result."""
        return sum(shape.bytes for shape in self.shapes)

    @property
    def moved(self) -> int:
        """Bytes of the result that go to or from the device's main memory."""
        return sum(shape.moved for shape in self.shapes)

    @functools.cached_property
    def called(self) -> tuple[str, ...]:
        """Computations that it names."""
        branches = _BRANCHES.search(self.rest)
        listed = [name.strip().lstrip("%") for name in branches[1].split(",")] if branches else []
        return (*_CALLED.findall(self.rest), *listed)

    @property
    def target(self) -> str:
        """What a custom call calls; '' for others."""
        found = re.search(r'custom_call_target="([^"]*)"', self.rest)
        return found[1] if found else ""


Computation = dict[str, Instruction]
"""Instructions by name, in the order in which they are written."""


class Executed(NamedTuple):
    """An instruction that runs.

    Attributes:
      instruction: what runs.
      within: its computation.
      times: how often.
      level: how many loops it is inside of.
      kernel: the fusion that it is inside of, or None.
    """

    instruction: Instruction
    within: Computation
    times: int
    level: int
    kernel: Instruction | None = None


@dataclasses.dataclass(frozen=True)
class Module:
    """A program.

    Attributes:
      computations: by name.
      entry: name of the one that is called.
      loops_once: of loops inside of loops, at how many levels from the outermost on a body counts
        once: 1 where the outermost loop takes steps and a step is what is described.
    """

    computations: dict[str, Computation]
    entry: str
    loops_once: float = 0

    def executed(self) -> Iterator[Executed]:
        """Every instruction that runs, those of loops' bodies and conditions among them.

        One that is called from two places comes twice.
        """
        waiting = [(self.entry, 1, 0)]
        while waiting:
            name, times, level = waiting.pop()
            within = self.computations.get(name, {})
            for instruction in within.values():
                yield Executed(instruction, within, times, level)
                if instruction.opcode not in RUN_INSIDE:
                    continue
                inside, deeper = times, level
                if instruction.opcode == "while":
                    counted = 1 if level < self.loops_once else self._trips(instruction, within)
                    inside *= 1 if counted is None else counted
                    deeper += 1
                waiting += [(called, inside, deeper) for called in instruction.called]

    def computed(self) -> Iterator[Executed]:
        """Every instruction that runs, those inside of fusions, too."""
        waiting = list(self.executed())
        while waiting:
            one = waiting.pop()
            yield one
            if one.instruction.opcode == "fusion":
                for name in one.instruction.called:
                    inner = self.computations.get(name, {})
                    kernel = one.kernel or one.instruction
                    waiting += [
                        one._replace(instruction=each, within=inner, kernel=kernel)
                        for each in inner.values()
                    ]

    def untold(self) -> int:
        """Number of loops that count once since the program does not tell how often they run."""
        loops = [one for one in self.executed() if one.instruction.opcode == "while"]
        loops = [one for one in loops if one.level >= self.loops_once]
        return sum(self._trips(one.instruction, one.within) is None for one in loops)

    def _trips(self, loop: Instruction, within: Computation) -> int | None:
        """How often a loop's body runs; None where the program does not tell.

        A GPU's compiler writes it down. A TPU's leaves it to be read off, as of ``jax.lax.scan``:
        its condition compares what its body counts, one by one, with a whole number.
        """
        known = _TRIPS.search(loop.rest)
        if known:
            return int(known[1])
        condition, body = (self._named(loop, role) for role in ("condition", "body"))
        compare, carried, made = root(condition), within[loop.operands[0]], root(body)
        if compare is None or compare.opcode != "compare" or "direction=LT" not in compare.rest:
            return None
        limit = _whole_number(compare.operands[1], condition)
        place = re.search(r"\bindex=(\d+)", condition[compare.operands[0]].rest)
        if limit is None or place is None or made is None:
            return None
        if carried.opcode != "tuple" or made.opcode != "tuple":
            return None
        start = _whole_number(carried.operands[int(place[1])], within)
        if start is None or not _is_one_more(made.operands[int(place[1])], body):
            return None
        return max(limit - start, 0)

    def _named(self, loop: Instruction, role: str) -> Computation:
        """A loop's condition or body."""
        found = re.search(rf"\b{role}=%?([\w.\-]+)", loop.rest)
        return self.computations.get(found[1], {}) if found else {}


def root(computation: Computation) -> Instruction | None:
    """What a computation gives."""
    return next((one for one in computation.values() if one.is_root), None)


def _is_one_more(name: str, within: Computation) -> bool:
    """Whether a value is what something makes of another by adding one."""
    made = within.get(name)
    if made is None or made.opcode != "add":
        return False
    return 1 in (_whole_number(operand, within) for operand in made.operands)


def _whole_number(name: str, within: Computation) -> int | None:
    """What is written in the program for a value, or for what it is a copy of."""
    while name in within and within[name].opcode in ("copy", "bitcast"):
        name = within[name].operands[0]
    return within[name].number if name in within and within[name].opcode == "constant" else None
