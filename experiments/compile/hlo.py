"""The text of an optimised program, read."""

import re

from .program import Computation, Instruction, Module, Shape

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_NAME = re.compile(r"%([\w.\-]+)")
_WHOLE = re.compile(r"-?\d+")

NUMBERED = ("parameter", "constant")
"""Operations behind which a number stands, not the names of operands."""


def parse(text: str, *, loops_once: float = 0) -> Module:
    """Read the text that ``compiled.as_text()`` gives.

    Args:
      text: of an optimised program.
      loops_once: see :class:`.program.Module`.
    """
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
    return Module(computations, entry, loops_once)


def _instruction(text: str, name: str, *, is_root: bool) -> Instruction:
    end = _closing(text) if text.startswith("(") else text.index(" ")
    kind, text = text[:end], text[end:].lstrip()
    opcode, _, given = text.partition("(")
    end = _closing("(" + given)
    operands, rest = given[: end - 2], given[end - 1 :]
    return Instruction(
        name=name,
        opcode=opcode,
        shapes=tuple(
            Shape(dtype, _numbers(dims), _on_chip(layout))
            for dtype, dims, layout in _SHAPE.findall(kind)
        ),
        operands=tuple(_NAME.findall(operands)),
        rest=rest,
        is_root=is_root,
        number=int(operands) if opcode in NUMBERED and _WHOLE.fullmatch(operands) else None,
    )


def _closing(text: str) -> int:
    """Position behind the parenthesis that closes the one with which a text begins."""
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return index + 1
    return len(text)


def _on_chip(layout: str) -> bool:
    """Whether a layout says so; one with tiles, since on a GPU space 1 is part of its memory.

    Space 3 is what a v4 has besides; 5 is the host's.
    """
    return "T(" in layout and ("S(1)" in layout or "S(3)" in layout)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)
