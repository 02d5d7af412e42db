"""An optimised program: its computations, their instructions, and which of them run."""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator

_CALLED = re.compile(r"\b(?:calls|body|condition|to_apply|\w+_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")

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
      number: of a parameter, which operand it stands for; None of others.
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


@dataclasses.dataclass(frozen=True)
class Module:
    """A program.

    Attributes:
      computations: by name.
      entry: name of the one that is called.
    """

    computations: dict[str, Computation]
    entry: str

    def executed(self) -> Iterator[tuple[Instruction, Computation]]:
        """Every instruction that runs, with its computation; a loop's body and condition once."""
        waiting, seen = [self.entry], set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self.computations:
                continue
            seen.add(name)
            for instruction in self.computations[name].values():
                yield instruction, self.computations[name]
                if instruction.opcode in RUN_INSIDE:
                    waiting += instruction.called

    def computed(self) -> Iterator[tuple[Instruction, Computation]]:
        """Every instruction that runs, those inside of fusions, too."""
        waiting = list(self.executed())
        while waiting:
            instruction, computation = waiting.pop()
            yield instruction, computation
            if instruction.opcode == "fusion":
                for name in instruction.called:
                    inner = self.computations.get(name, {})
                    waiting += [(inside, inner) for inside in inner.values()]
