"""A method's class as a plain function, with its own signature and documentation."""

import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_ENTRY = re.compile(r"^  (\w+): ?(.*)$")


def constructor(cls: Callable[P, T], name: str = "") -> Callable[P, T]:
    """Make of a method's class the function that users call, as ``natmu`` is of ``NatMU``.

    It takes every field of the class and of its bases by keyword, and its documentation says what
    each is. The class is its attribute ``method_class``.

    Args:
      cls: the method's class.
      name: of the function; '' takes the class's in lower case (``MyMethod`` is ``my_method``), or
        of a built-in method its module's.
    """

    def construct(*args: P.args, **kwargs: P.kwargs) -> T:
        return cls(*args, **kwargs)

    name = name or _name(cls)
    construct.__name__ = construct.__qualname__ = name
    construct.__module__ = cls.__module__
    construct.__doc__ = documentation(cls)
    construct.__signature__ = inspect.signature(cls).replace(return_annotation=cls)  # type: ignore[attr-defined]
    construct.method_class = cls  # type: ignore[attr-defined]
    return construct


def _name(cls: Any) -> str:
    package, _, module = cls.__module__.rpartition(".")
    if package == __package__:
        return module
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def method_class(made_by: Any) -> Any:
    """The class that a constructor makes a method of; a class is its own."""
    return getattr(made_by, "method_class", made_by)


def documentation(cls: Any) -> str:
    """The documentation of a method with that of all its fields, those of its bases included."""
    text = inspect.getdoc(cls) or ""
    fields: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        fields |= _entries(inspect.cleandoc(base.__dict__.get("__doc__") or ""))
    names = [name for name in inspect.signature(cls).parameters if name in fields]
    entries = "\n".join(f"  {name}: {fields[name]}" for name in names)
    return f"{_without_entries(text)}\n\nArgs:\n{entries}\n"


def _entries(text: str) -> dict[str, str]:
    """What a docstring's section Attributes says, by name, lines as they are."""
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in text.splitlines():
        if not line.startswith(" ") and line:
            inside, name = line == "Attributes:", ""
        elif inside and (match := _ENTRY.match(line)):
            name = match[1]
            found[name] = match[2]
        elif inside and name and line:
            found[name] += "\n" + line
    return found


def _without_entries(text: str) -> str:
    kept, inside = [], False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            inside = line == "Attributes:"
        if not inside:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
