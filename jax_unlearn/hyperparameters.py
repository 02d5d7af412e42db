"""What makes a class of a method's hyperparameters a frozen dataclass and a pytree."""

import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar, dataclass_transform, overload

import jax
import jax.numpy as jnp

from jax_unlearn.checks import InputError

T = TypeVar("T")


@overload
def static() -> Any: ...
@overload
def static(default: T) -> T: ...
def static(default: Any = dataclasses.MISSING) -> Any:
    """Declare a number of a method as structure: part of the compiled program, never traced.

    Needed for fields annotated ``float`` or ``int`` only; every other annotation (``str``,
    ``bool``, tuples, callables) is static by itself.
    """
    return dataclasses.field(default=default, metadata={"static": True})


# Not with `static` as a field specifier: type checkers overlook a default that is given to one by
# position, and would ask every caller for it.
@dataclass_transform(kw_only_default=True, frozen_default=True)
class Hyperparameters:
    """Makes every subclass a frozen, keyword-only dataclass that is also a pytree.

    A field annotated ``float``, ``int`` or ``jax.Array`` is a leaf, which may be traced (a sweep
    over it compiles once), unless it is declared with :func:`static`. Every other field is part of
    the tree's structure and must be hashable. No decorator is needed::

        class MyMethod(jax_unlearn.Descent):
            epochs: int = 3             # traced
            batch_size: int = static(64)
            target: str = "uniform"     # static by itself

    Raises:
      InputError: at the definition of a class, where it gives a field of a base class a new default
        without an annotation, which Python would silently ignore.
    """

    traced_fields: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that are leaves of the tree."""

    static_fields: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that are its structure."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        own = {name: _resolved(cls, hint) for name, hint in _annotations(cls).items()}
        _check_annotated(cls, own)
        # Real types in place of a future import's texts, for whoever reads the fields' types.
        cls.__annotations__ = own
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        cls.traced_fields = tuple(field.name for field in fields if _is_traced(field))
        cls.static_fields = tuple(field.name for field in fields if not _is_traced(field))
        _register(cls, cls.traced_fields, cls.static_fields)


def as_arrays(values: T) -> T:
    """The numbers as arrays of one type per field: 1, 1.0 and np.float32(1) alike.

    A field declared ``float`` is float32; else each spelling would compile a program of its own.
    """
    floats = {field.name for field in dataclasses.fields(values) if field.type is float}  # type: ignore[arg-type]

    def convert(path: Any, value: Any) -> jax.Array:
        name = getattr(path[0], "name", None)
        return jnp.asarray(value, jnp.float32 if name in floats else None)

    return jax.tree_util.tree_map_with_path(convert, values)


def describe(value: Any) -> str:
    """A field's value as a text that is the same in every process, to tell settings apart by.

    Functions are named by module and name, since their ``repr`` holds an address.
    """
    if isinstance(value, functools.partial):
        given = [describe(x) for x in value.args]
        given += [f"{name}={describe(x)}" for name, x in sorted(value.keywords.items())]
        return f"partial({', '.join([describe(value.func), *given])})"
    if isinstance(value, tuple):
        return f"({', '.join(map(describe, value))})"
    if callable(value) and not dataclasses.is_dataclass(value):
        kind = value if hasattr(value, "__qualname__") else type(value)
        return f"{kind.__module__}:{kind.__qualname__}"
    return repr(value)


def _annotations(cls: type) -> dict[str, Any]:
    """The annotations in the body of a class, not those of its bases."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return dict(annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF))
    return dict(inspect.get_annotations(cls))


def _resolved(cls: type, hint: Any) -> Any:
    """What an annotation that is a text stands for, or the text where that cannot be told."""
    if not isinstance(hint, str):
        return hint

    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    names = {**vars(sys.modules.get(cls.__module__, typing)), cls.__name__: cls}
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)["hint"]
    except Exception:  # names of a function's body, or imported for type checkers alone
        return {"float": float, "int": int}.get(hint, hint)


def _check_annotated(cls: type, own: dict[str, Any]) -> None:
    inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "traced_fields", ())}
    inherited |= {name for base in cls.__mro__[1:] for name in getattr(base, "static_fields", ())}
    for name in sorted(inherited & set(cls.__dict__) - set(own)):
        value = cls.__dict__[name]
        raise InputError(
            f"{name}={value!r}: {cls.__name__} gives the field {name} a value without an "
            f"annotation, which would be ignored: expected `{name}: TYPE = ...`; annotate it, such "
            f"as `{name}: {type(value).__name__} = {value!r}`"
        )


def _is_traced(field: dataclasses.Field) -> bool:
    return field.type in (float, int, jax.Array) and not field.metadata.get("static")


def _register(cls: type, traced: tuple[str, ...], fixed: tuple[str, ...]) -> None:
    def flatten_with_keys(instance: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        children: list[tuple[Any, Any]] = [
            (jax.tree_util.GetAttrKey(name), getattr(instance, name)) for name in traced
        ]
        return children, tuple(getattr(instance, name) for name in fixed)

    def flatten(instance: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(instance, name) for name in traced], tuple(
            getattr(instance, name) for name in fixed
        )

    def unflatten(structure: tuple[Any, ...], leaves: Iterable[Any]) -> Any:
        # Not through __init__: JAX rebuilds trees with placeholders that no check should see.
        instance: Any = object.__new__(cls)
        instance.__dict__.update(zip(traced, leaves, strict=True))
        instance.__dict__.update(zip(fixed, structure, strict=True))
        return instance

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
