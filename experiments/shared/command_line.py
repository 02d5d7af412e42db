"""The command line: flags into a dataclass, what is wrong with them into one line."""

import contextlib
import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import tyro

from jax_unlearn.core import InputError

from .command import as_called
from .help_text import short_help

_T = TypeVar("_T")

KINDS: Mapping[Any, str] = types.MappingProxyType(
    {
        str: "a text",
        str | None: "a text",
        int: "a whole number",
        int | None: "a whole number",
        float: "a number",
        tuple[str, ...]: "texts",
        tuple[int, ...]: "whole numbers",
    }
)
"""What a flag of a type takes, in words."""


def parse(
    cls: type[_T],
    module: str,
    description: str | None,
    *,
    default: _T | None = None,
    first: Sequence[str] = (),
) -> _T:
    """Read the command line into a dataclass.

    ``--help`` prints every flag on a line, ``--help-all`` what tyro makes of all that is known.

    Args:
      cls: the dataclass.
      module: name of the command's module.
      description: shown by ``--help``.
      default: values of flags that are not given; None takes the class's own.
      first: flags that ``--help`` shows first.

    Raises:
      InputError: a flag is unknown or its value cannot be read.
    """
    types_by_flag = flags_of(cls)

    def refuse(event: Any) -> None:
        said = _what_is_wrong(event, types_by_flag, sys.argv[1:])
        if said:
            raise InputError(f"{said}{'' if said.endswith('?') else ';'} see --help")

    given = sys.argv[1:]
    called, said = as_called(f"python -m {module}"), as_called(description or "")
    if {"-h", "--help"}.intersection(given):
        print(short_help(cls, called, said, default, first))
        raise SystemExit(0)
    if any(argument.startswith("--tyro-") for argument in given):
        # The shell knows a command by one word; `jax-unlearn --completion` puts them together.
        called = f"jax-unlearn-{module.rpartition('.')[2]}"
    all_of_it = ["--help" if argument == "--help-all" else argument for argument in given]
    with _refusing(refuse):
        options: dict[str, Any] = {} if default is None else {"default": default}
        found = tyro.cli(cls, prog=called, description=said, args=all_of_it, **options)
    if getattr(found, "out", None) == "" and getattr(cls, "out", ""):
        # An empty path is the folder in which one stands.
        raise InputError("out='': expected a path of what is written; see --help")
    return found


def _refusing(hook: Callable[[Any], None]) -> contextlib.AbstractContextManager[None]:
    """Have tyro call a hook before it refuses a command line.

    tyro keeps its hooks in a private module, and has no public way to a message but the framed text
    that it prints. Where a version of tyro has none, or tells something that is not known here, it
    prints that text and ends with 2; tests/experiments/shared/test_command_line.py fails then.
    """
    try:
        from tyro._errors import on_parse_error
    except ImportError:
        return contextlib.nullcontext()
    return on_parse_error(hook)


def _what_is_wrong(event: Any, types_by_flag: Mapping[str, Any], given: list[str]) -> str:
    """What to say of something that tyro refuses; '' where that is not known."""
    kind = type(event).__name__
    if kind == "UnrecognizedArgs":
        return _unknown(list(event.tokens), types_by_flag)
    if kind not in ("BadValue", "InstantiationFailure") or event.argument is None:
        return ""
    flag = event.argument.display_name()
    name, expected = flag.lstrip("-").replace("-", "_"), KINDS.get(types_by_flag.get(flag))
    if expected is None:
        return ""
    if kind == "BadValue":
        return f"{flag} has no value after it: expected {expected}"
    return f"{name}={' '.join(_values(flag, given))!r}: expected {expected}"


def _unknown(tokens: list[str], types_by_flag: Mapping[str, Any]) -> str:
    unknown = [token.partition("=")[0] for token in tokens if token.startswith("-")]
    if not unknown:
        return (
            f"{tokens[0]!r} belongs to no flag: expected flags, each with as many values as it "
            "takes; a switch such as --overwrite takes none"
        )
    near = [flag for one in unknown for flag in _near(one, types_by_flag)]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"{' and '.join(unknown)}: no such flag{hint}"


def _near(flag: str, known: Mapping[str, Any]) -> list[str]:
    """Flags that end as one does, or else that are spelt nearly so."""
    flag = flag.replace("_", "-")
    last = flag.lstrip("-").rpartition(".")[2]
    same = [name for name in known if name.lstrip("-").rpartition(".")[2] == last]
    return same or difflib.get_close_matches(flag, known, n=1, cutoff=0.7)


def _values(flag: str, given: list[str]) -> list[str]:
    """The values that follow a flag on the command line; the last time that it is given."""
    values: list[str] = []
    inside = False
    for token in given:
        name, equals, value = token.partition("=")
        if token.startswith("--"):
            inside = name.replace("_", "-") == flag
            values = ([value] if equals else []) if inside else values
        elif inside:
            values.append(token)
    return values


def flags_of(cls: type[Any], prefix: str = "") -> dict[str, Any]:
    """The flags of a dataclass with the types of their values, as tyro names them."""
    found: dict[str, Any] = {}
    for name, kind in typing.get_type_hints(cls, include_extras=True).items():
        marks = getattr(kind, "__metadata__", ())
        kind = typing.get_args(kind)[0] if marks else kind
        if dataclasses.is_dataclass(kind):
            unnamed = any(getattr(mark, "name", None) == "" for mark in marks)
            found |= flags_of(typing.cast(type, kind), prefix if unnamed else f"{prefix}{name}.")
        elif tyro.conf.Positional not in marks:
            found[f"--{prefix}{name}".replace("_", "-")] = kind
            if kind is bool:
                found[f"--{prefix}no-{name}".replace("_", "-")] = kind
    return found
