"""What `--over` says: values of a field, or a range of which values are drawn; all points of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, check_number
from jax_unlearn.engine.sweeps import grid_settings

from .ranges import Range, read_range

_EXAMPLE = "delta=-0.2,0,0.2, masks=gradual,patches or, with --sample, learning_rate=1e-4..1e-1:log"
_TRIES = 100
"""Draws for each setting that a sample wants, before it is said that there are no more."""


Axes = dict[str, tuple[Any, ...] | Range]
"""What each field takes."""


def read_over(texts: Sequence[str]) -> Axes:
    """Read the fields and values that `--over` gives.

    Raises:
      InputError: one is not FIELD=VALUES, a value is missing, a range is none, or a field or a
        value comes twice.
    """
    axes: Axes = {}
    for text in texts:
        field, equals, body = text.partition("=")
        if not (field.isidentifier() and equals and body):
            raise InputError(f"over={text!r}: expected FIELD=VALUES, such as {_EXAMPLE}")
        if field in axes:
            raise InputError(f"over={text!r}: {field} comes twice: expected each field once")
        axes[field] = read_range(text, body) or _read_values(text, body)
    return axes


def _read_values(text: str, body: str) -> tuple[Any, ...]:
    try:
        values = json.loads(f"[{body}]")
    except ValueError:  # Also for numbers of thousands of digits.
        values = [_read_value(text, word.strip()) for word in body.split(",")]
    values = [tuple(value) if isinstance(value, list) else value for value in values]
    try:
        grid_settings({"over": values})
    except InputError:
        raise InputError(f"over={text!r}: a value comes twice: expected each value once") from None
    return tuple(values)


def _read_value(text: str, word: str) -> Any:
    if not word:
        raise InputError(f"over={text!r}: a value is empty; expected FIELD=VALUES, as {_EXAMPLE}")
    try:
        return json.loads(word)
    except ValueError:  # Also for numbers of thousands of digits.
        return word


def grid_points(axes: Mapping[str, tuple[Any, ...] | Range]) -> list[dict[str, Any]]:
    """All combinations of the values.

    Raises:
      InputError: there are too many, or a field has a range, which is endless.
    """
    for field, values in axes.items():
        if isinstance(values, Range):
            raise InputError(
                f"over: {field}={values.low:g}..{values.high:g}: expected values in a whole grid; "
                "list them, or draw from the range with --sample N"
            )
    try:
        return grid_settings(dict(axes))
    except InputError as error:
        raise InputError(str(error).replace("grid: ", "over: ", 1)) from None


def sample_points(axes: Axes, count: int, seed: int, whole: Sequence[str]) -> list[dict[str, Any]]:
    """Different points drawn at random, each field for itself; the same seed gives the same ones.

    Args:
      axes: what each field takes.
      count: number of points.
      seed: randomness of the draw.
      whole: fields that take whole numbers.

    Raises:
      InputError: ``count`` is out of range, or there are not so many different points.
    """
    check_number("sample", count, low=1, high=10_000, whole=True)
    check_number("sample_seed", seed, low=0, whole=True)
    random = np.random.default_rng(seed)
    points: dict[str, dict[str, Any]] = {}
    for _ in range(_TRIES * count):
        point = {
            field: values.draw(random, whole=field in whole)
            if isinstance(values, Range)
            else values[random.integers(len(values))]
            for field, values in axes.items()
        }
        points.setdefault(repr(point), point)
        if len(points) == count:
            return list(points.values())
    raise InputError(
        f"sample={count}: found only {len(points)} different points; ask for fewer, or leave "
        "--sample out for all of them"
    )


def describe_values(values: Mapping[str, Any]) -> str:
    """Write fields with their values in full, as 'num=4, delta=-0.2'."""
    words = {f: str(v).lower() if isinstance(v, bool) else str(v) for f, v in values.items()}
    return ", ".join(f"{field}={word}" for field, word in words.items())
