"""Bytes that an optimised program moves, and what it exchanges between devices."""

import collections
import re
from collections.abc import Iterator, Mapping

from .program import Computation, Instruction, Module, Shape, root

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "all-to-all",
    "ragged-all-to-all",
    "reduce-scatter",
    "collective-permute",
    "collective-broadcast",
)

FREE = (
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
    "while",
    "call",
    "conditional",
    "async-start",
    "opt-barrier",
)
"""Operations that move nothing themselves."""

PICKING = ("slice", "dynamic-slice", "gather")
"""Operations that read of their first operand no more than they give."""

LIBRARIES = ("__cublas", "__cudnn")
"""What the names of calls of a GPU's libraries begin with."""

UNMOVED = ("ConcatBitcast", "AllocateBuffer")
"""Custom calls of a TPU that move nothing: one takes arrays that lie behind one another for one,
the other sets room aside that is filled later."""


def bytes_accessed(module: Module) -> int:
    """Bytes of the main memory that are read and written by what runs.

    Of every kernel (a fusion, a library's call, an operation on its own) the operands and the
    result, each once. Of an operand of which a fusion only picks parts, those parts; of a result
    that updates a part of an operand in place, that part. Caches are not modelled; what a TPU's
    compiler places in the chip's own memory counts where it is copied there, or from there.
    """
    return sum(one.times * _moved(module, one.instruction, one.within) for one in module.executed())


def collectives(module: Module) -> dict[str, dict[str, int]]:
    """Number, and bytes of the operands, of what devices exchange, by kind.

    A TPU's compiler puts some of them into fusions: an exchange that goes on beside other work
    stands in several, under one channel, and counts once.
    """
    found: dict[str, dict[str, int]] = {}
    fused: set[str] = set()
    for instruction, within, times, _, kernel in module.computed():
        kind = instruction.opcode.removesuffix("-start")
        if kind not in COLLECTIVES:
            continue
        if kernel is not None:
            channel = re.search(r"channel_id=\d+", instruction.rest)
            name = channel[0] if channel else instruction.name
            if name in fused:
                continue
            fused.add(name)
            kind = _kind_in_fusion(kind, instruction, within)
        entry = found.setdefault(kind, {"count": 0, "bytes": 0})
        entry["count"] += times
        entry["bytes"] += times * _read(instruction, within)
    return dict(sorted(found.items()))


def _kind_in_fusion(kind: str, instruction: Instruction, within: Computation) -> str:
    """A TPU's reduce-scatter is a fusion that gives a device's own part of an all-reduce."""
    result = root(within)
    if kind != "all-reduce" or result is None or result.opcode != "dynamic-slice":
        return kind
    return "reduce-scatter" if _source(result.operands[0], within) == instruction.name else kind


def opcodes(module: Module) -> Mapping[str, int]:
    """How many of each operation there are, those inside of fusions, too; a loop's body once."""
    return collections.Counter(one.instruction.opcode for one in module.computed())


def custom_calls(module: Module) -> dict[str, int]:
    """How many custom calls there are, by what they call; a loop's body once."""
    targets = (one.instruction.target for one in module.computed())
    found = collections.Counter(target for target in targets if target)
    return dict(sorted(found.items()))


def _moved(module: Module, instruction: Instruction, within: Computation) -> int:
    opcode = instruction.opcode
    if opcode in FREE or opcode.endswith("-done") or instruction.target in UNMOVED:
        return 0
    if opcode == "fusion":
        inner = _inside(instruction, module)
        return _read_by_fusion(inner, module) + _written_by_fusion(inner, module)
    if opcode in PICKING:
        return _part(instruction, within, instruction.shapes[0])
    if opcode == "dynamic-update-slice":
        part = within[instruction.operands[1]].shapes[0]
        return part.moved + (0 if instruction.shapes[0].on_chip else part.bytes)
    # The result of what is started lists the operands, too, before what comes of them.
    given = len(instruction.operands)
    if opcode in ("slice-start", "dynamic-slice-start"):
        return _part(instruction, within, instruction.shapes[given])
    if opcode == "copy-start":
        return _moved_of(instruction.operands[0], within) + instruction.shapes[0].moved
    results = instruction.shapes
    if opcode.endswith("-start") and len(results) > given:
        results = results[given : 2 * given]
    elif instruction.target.startswith(LIBRARIES) and len(results) > 1:
        results = tuple(shape for shape in results if not _is_scratch(shape))
    read = sum(_moved_of(name, within) for name in instruction.operands)
    return read + sum(shape.moved for shape in results)


def _is_scratch(shape: Shape) -> bool:
    """Whether a library's call only has this for its own use: a row of bytes beside its results."""
    return shape.dtype in ("s8", "u8") and len(shape.dims) == 1


def _part(instruction: Instruction, within: Computation, part: Shape) -> int:
    """Bytes of a part that is read from the first operand and written elsewhere."""
    source = within[instruction.operands[0]].shapes[0]
    return part.moved + (0 if source.on_chip else part.bytes)


def _moved_of(name: str, within: Computation) -> int:
    return within[name].moved if name in within else 0


def _read(instruction: Instruction, within: Computation) -> int:
    return sum(_bytes_of(name, within) for name in instruction.operands)


def _bytes_of(name: str, within: Computation) -> int:
    return within[name].bytes if name in within else 0


def _inside(fusion: Instruction, module: Module) -> Computation:
    return module.computations.get(fusion.called[0], {})


def _read_by_fusion(inner: Computation, module: Module) -> int:
    return sum(_read_of(one, inner, module) for one in inner.values() if one.opcode == "parameter")


def _read_of(parameter: Instruction, inner: Computation, module: Module) -> int:
    """Bytes of a fusion's operand that it reads, fusions inside of it included."""
    picked = 0
    for user in _users(parameter.name, inner):
        places = [
            n for n, name in enumerate(user.operands) if _source(name, inner) == parameter.name
        ]
        if user.opcode == "fusion":
            further = _inside(user, module)
            given = {one.number: one for one in further.values() if one.opcode == "parameter"}
            picked += sum(_read_of(given[place], further, module) for place in places)
        elif user.opcode in PICKING and places == [0]:
            picked += user.bytes
        elif not (user.opcode == "dynamic-update-slice" and places == [0]):
            return parameter.moved
    return min(picked, parameter.moved)


def _written_by_fusion(inner: Computation, module: Module) -> int:
    made = root(inner)
    if made is None:
        return 0
    results = [inner[n] for n in made.operands] if made.opcode == "tuple" else [made]
    return sum(_written(one, inner, module) for one in results)


def _written(result: Instruction, inner: Computation, module: Module) -> int:
    origin = inner[_source(result.name, inner)]
    if result.shapes[0].on_chip:
        return result.moved
    if origin.opcode == "dynamic-update-slice":
        return _bytes_of(origin.operands[1], inner)
    if origin.opcode == "fusion":
        return _written_by_fusion(_inside(origin, module), module)
    return result.moved


def _users(name: str, inner: Computation) -> Iterator[Instruction]:
    """Who uses a value, be it in another form."""
    for one in inner.values():
        if name in one.operands:
            if one.opcode == "bitcast":
                yield from _users(one.name, inner)
            else:
                yield one


def _source(name: str, inner: Computation) -> str:
    """What a value was before it took other forms."""
    while name in inner and inner[name].opcode == "bitcast":
        name = inner[name].operands[0]
    return name
