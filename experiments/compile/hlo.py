"""The text of an optimised program: its computations, their instructions, and what is executed."""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
_NAME = re.compile(r"%([\w.\-]+)")
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
    """

    dtype: str
    dims: tuple[int, ...]

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
    """

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    rest: str
    is_root: bool

    @property
    def bytes(self) -> int:
        """Bytes of the result."""
        return sum(shape.bytes for shape in self.shapes)

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


def parse(text: str) -> Module:
    """Read the text that ``compiled.as_text()`` gives."""
    computations: dict[str, Computation] = {}
    entry, current = "", None
    for line in text.splitlines():
        header = _COMPUTATION.match(line)
        if header:
            current = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (start := _INSTRUCTION.match(line)):
            instruction = _instruction(line[start.end() :], start[2], is_root=bool(start[1]))
            current[instruction.name] = instruction
    return Module(computations, entry)


def _instruction(text: str, name: str, *, is_root: bool) -> Instruction:
    end = _closing(text) if text.startswith("(") else text.index(" ")
    kind, text = text[:end], text[end:].lstrip()
    opcode, _, given = text.partition("(")
    end = _closing("(" + given)
    operands, rest = given[: end - 2], given[end - 1 :]
    return Instruction(
        name=name,
        opcode=opcode,
        shapes=tuple(Shape(t, _numbers(d)) for t, d in _SHAPE.findall(kind)),
        operands=tuple(_NAME.findall(operands)),
        rest=rest,
        is_root=is_root,
    )


def _closing(text: str) -> int:
    """Position behind the parenthesis that closes the one with which a text begins."""
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return index + 1
    return len(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)
