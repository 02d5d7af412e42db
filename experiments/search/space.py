"""What is searched of a method: ranges of numbers, and points on them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, SearchRange
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method

from ..shared.hyperparameters import build_method

Space = Mapping[str, SearchRange]

NEAR = 0.02
"""A value within this share of a range is at its bound."""


def space_of(name: str) -> Space:
    """What a method declares to be worth searching, by hyperparameter."""
    declared = method_class(find_method(name)).search_space
    return {field: SearchRange(*range_) for field, range_ in declared.items()}


def point(space: Space, shares: np.ndarray) -> dict[str, float]:
    """The point at given shares of every range, float [fields] in [0, 1)."""
    return {
        field: _at(range_, float(share))
        for (field, range_), share in zip(space.items(), shares, strict=True)
    }


def published_point(name: str, fixed: Mapping[str, Any]) -> dict[str, float]:
    """The defaults, or what is set in their place, each moved to the nearest bound if outside.

    Args:
      name: the method.
      fixed: hyperparameters that are set.
    """
    method = build_method(name, fixed)
    return {
        field: min(max(getattr(method, field), range_.low), range_.high)
        for field, range_ in space_of(name).items()
    }


def at_bounds(name: str, arguments: Mapping[str, Any]) -> list[str]:
    """Say of every searched value that lies at a bound where a wider range might hold a better one.

    A bound beyond which the method takes no value, such as a share of 1, is none to widen.

    Args:
      name: the method.
      arguments: all its hyperparameters.
    """
    found = []
    for field, range_ in space_of(name).items():
        share = _share(range_, arguments[field])
        for side, bound, beyond, near in (
            ("lower", range_.low, -NEAR, share <= NEAR),
            ("upper", range_.high, 1.0 + NEAR, share >= 1.0 - NEAR),
        ):
            if near and _takes(name, {**arguments, field: _beyond(range_, bound, beyond)}):
                found.append(f"{field} at its {side} bound {bound:g}; widen")
    return found


def _at(range_: SearchRange, share: float) -> float:
    scale, low, high = range_
    if scale == "log":
        return float(low * (high / low) ** share)
    if scale == "int":
        return int(low) + int(share * (high - low + 1))
    return float(low + share * (high - low))


def _share(range_: SearchRange, value: float) -> float:
    """Where on its range a value lies: 0 is the lower bound, 1 the upper one."""
    scale, low, high = range_
    if scale == "log":
        return float(np.log(value / low) / np.log(high / low))
    return (value - low) / (high - low)


def _beyond(range_: SearchRange, bound: float, share: float) -> float:
    """A value a little outside of a range, on the side of a bound."""
    if range_.scale == "int":
        return int(bound) + (1 if share > 0 else -1)
    return _at(range_, share)


def _takes(name: str, arguments: Mapping[str, Any]) -> bool:
    try:
        build_method(name, arguments)
    except InputError:
        return False
    return True
