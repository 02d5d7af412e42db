"""A method's class as a plain function, with its own signature and documentation."""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from jax_unlearn.core import InputError, Unlearner
from jax_unlearn.user_code import briefly

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


def checked(made_by: Any, argument: str, text: str = "") -> Any:
    """What was given if it makes a method.

    A plain function that returns a method becomes the constructor of a class of its own, whose
    fields have that method's values as defaults. Its own arguments are no settings.

    Args:
      made_by: a method's class, its constructor, or a function that needs no arguments.
      argument: what it was given for, for error messages.
      text: how a user named it; '' for ``made_by`` itself.

    Raises:
      InputError: it makes no method.
    """
    cls = method_class(made_by)
    if isinstance(cls, type) and issubclass(cls, Unlearner):
        return made_by
    source = f"{argument}={text or made_by!r}"
    kind = f"an object of type {type(made_by).__name__}"
    if isinstance(made_by, Unlearner):
        kind = "an instance"
    elif inspect.isfunction(made_by) or isinstance(made_by, functools.partial):
        found = _of_function(made_by, source)
        if not isinstance(found, str):
            return found
        kind = f"a function that returns {found}"
    raise InputError(
        f"{source}: it is {kind}: expected a class derived from jax_unlearn.Unlearner, its "
        "constructor, or a function without arguments that returns a method; give the class"
    )


def _of_function(make: Callable[[], Any], source: str) -> Any:
    """The constructor that a user's function stands for, or the name of the type it returns."""
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{source}: it is a function, {error}: expected one that returns a method when called "
            "without arguments; give every argument a default"
        ) from error
    try:
        return _constructor_of(make)
    except InputError:
        raise
    except Exception as error:  # a user's code can raise anything
        raise InputError(
            f"{source}: calling it raises {type(error).__name__}: {briefly(error)}: expected a "
            "function that returns a method; try it in Python"
        ) from error


# Asked for again, the same function must give the same class, which compiled programs go by.
@functools.cache
def _constructor_of(make: Callable[[], Any]) -> Callable[..., Unlearner] | str:
    """The constructor of a class derived from that of a function's method."""
    method = make()
    if not isinstance(method, Unlearner):
        return type(method).__name__
    cls = type(method)
    function = make.func if isinstance(make, functools.partial) else make
    fields = dataclasses.fields(cls)
    body: dict[str, Any] = {
        field.name: dataclasses.field(
            default=_plain(getattr(method, field.name)), metadata=field.metadata
        )
        for field in fields
    }
    body |= {
        "__annotations__": {field.name: field.type for field in fields},
        "__module__": function.__module__,
        "__doc__": inspect.getdoc(method_class(function)) or inspect.getdoc(cls),
    }
    if cls.__module__.startswith("jax_unlearn."):
        # It is the user's method now, and the library's title would be that of another row.
        body["title"] = ""
    return constructor(type(getattr(function, "__name__", cls.__name__), (cls,), body))


def _plain(value: Any) -> Any:
    """An array's number: a default of a field must have a hash."""
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value


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
            inside = line in ("Attributes:", "Args:")
        if not inside:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
