"""What `--help` prints: every flag on one line, most used first, on two screens at most."""

import dataclasses
import inspect
import re
import shutil
import textwrap
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import tyro

FOOTER = (
    "--help-all explains every flag and preset in full. --debug shows where in the code an error "
    "was raised."
)

MORE = ", ..."
"""What follows the entries of a list for which a line has room."""

_METAVARS = {str: "STR", int: "INT", float: "FLOAT"}
_WIDEST, _LEFT = 100, 32
_LONG = 8
"""Entries of a list above which it keeps their names alone."""


class Flag(NamedTuple):
    """One flag as the help shows it.

    Attributes:
      name: as typed, with what it takes.
      key: the name alone, without dashes.
      text: what it does.
      value: its default, as typed; empty where that says nothing.
      nested: whether it is one of a group's, such as ``--data.name``.
    """

    name: str
    key: str
    text: str
    value: str
    nested: bool


def short_help(
    cls: type[Any], prog: str, description: str, default: Any = None, first: Sequence[str] = ()
) -> str:
    """Write the help of a command.

    Args:
      cls: the dataclass of its flags, each explained under Attributes in a docstring.
      prog: how it is called.
      description: what it does.
      default: an instance; None takes the class's own defaults.
      first: flags that are used most, without dashes.
    """
    width = min(_WIDEST, shutil.get_terminal_size((80, 24)).columns)
    default = cls() if default is None else default
    # A group's own flags after those of the command.
    flags = sorted(_flags(cls, default), key=lambda flag: flag.nested)
    by_key = {flag.key: flag for flag in flags}
    used = [by_key[key] for key in first if key in by_key]
    rest = [flag for flag in flags if flag not in used]
    names = "".join(f" [{flag.name}]" for flag in flags if not flag.name.startswith("-"))
    parts = [f"usage: {prog}{names} [FLAGS]", _wrapped(description, width)]
    if used:
        parts.append(_lines("most used flags:", used, width))
    parts.append(_lines("other flags:" if used else "flags:", rest, width))
    return "\n\n".join([*parts, textwrap.fill(FOOTER, width)])


def explained(cls: type[Any]) -> dict[str, str]:
    """What a dataclass's docstring says of each attribute, those of its bases too."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        text = inspect.cleandoc(one.__dict__.get("__doc__") or "")
        _, _, attributes = text.partition("Attributes:\n")
        entries = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", attributes, re.MULTILINE)
        found |= {name: " ".join(said.split()) for name, said in entries}
    return found


def _flags(cls: type[Any], default: Any, prefix: str = "") -> Iterator[Flag]:
    texts = explained(cls)
    for name, kind in typing.get_type_hints(cls, include_extras=True).items():
        marks = getattr(kind, "__metadata__", ())
        kind = typing.get_args(kind)[0] if marks else kind
        value = getattr(default, name)
        if dataclasses.is_dataclass(kind):
            unnamed = any(getattr(mark, "name", None) == "" for mark in marks)
            below = prefix if unnamed else f"{prefix}{name}."
            for flag in _flags(typing.cast(type, kind), value, below):
                yield flag._replace(nested=True)
            continue
        key = f"{prefix}{name}".replace("_", "-")
        shown = f"--no-{key}" if value is True else f"--{key}"
        if prefix and value is True:
            shown = f"--{prefix}no-{name}".replace("_", "-")
        if tyro.conf.Positional in marks:
            shown = f"{name.upper()} ..."
        elif kind is not bool:
            shown += f" {_metavar(kind)}"
        text = texts.get(name, "")
        if value is True:
            text = f"turns off: {text.removeprefix('whether ')}"
        yield Flag(shown, key, text, _typed(value), False)


def _typed(value: Any) -> str:
    """A default as it is typed; nothing of those that stand for "none" or "as it comes"."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value) if value and not isinstance(value, bool) else ""


def _metavar(kind: Any) -> str:
    arguments = [one for one in typing.get_args(kind) if one is not type(None)]
    several = " ..." if typing.get_origin(kind) is tuple else ""
    inner = arguments[0] if arguments else kind
    return f"{_METAVARS.get(inner, 'VALUE')}{several}"


def _lines(head: str, flags: Iterable[Flag], width: int) -> str:
    found = [head]
    for flag in flags:
        name = f"  {flag.name}".ljust(_LEFT)
        line = f"{name} {_in_short(flag.text, width - len(name) - 1)}".rstrip()
        value = f" [{flag.value}]"
        found.append(line + value if flag.value and len(line + value) <= width else line)
    return "\n".join(found)


def _in_short(text: str, room: int) -> str:
    """What a text says first, in a line: the first clause says what a flag is, the others when."""
    clause = re.split(r"[;.] | \(", text)[0].rstrip(".;")
    # Of a clause that is too long the part that ends in a comma says something, too.
    kept = clause
    while len(kept) > room and "," in kept:
        kept = kept.rpartition(",")[0]
    # A list that is cut must not look whole.
    listed = re.search(r"\b(or|and)\b", clause[len(kept) :])
    if listed and len(kept) + len(MORE) > room and "," in kept:
        kept = kept.rpartition(",")[0]
    return textwrap.shorten(f"{kept}{MORE if listed else ''}", room, placeholder="...")


def _wrapped(text: str, width: int) -> str:
    """Fill paragraphs; indented lines stay, those of a list are cut or, where many, only named."""
    found = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if all(re.match(r"  \S+ {2,}\S", line) for line in lines):
            names = ", ".join(line.split()[0] for line in lines)
            cut = [line if len(line) <= width else f"{line[: width - 3]}..." for line in lines]
            room = width - 2
            named = textwrap.indent(textwrap.fill(names, room), "  ")
            found.append("\n".join(cut) if len(lines) <= _LONG else named)
        elif any(line.startswith(" ") for line in lines):
            found.append("\n".join(lines))
        else:
            found.append(textwrap.fill(" ".join(lines), width))
    return "\n\n".join(found)
