"""What is said about a value that a user gave and that cannot be used."""

import difflib
import os
from typing import Any

import jax
import numpy as np

LARGEST = 2**63
"""Above every whole number that arrays and files hold."""

LARGEST_TRACED = 2**31 - 1
"""Largest whole number that devices hold, whose arrays are of 32 bits: steps and what is traced."""


class InputError(ValueError):
    """A value that a user gave is wrong: one line with the argument, its value and the remedy."""


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    above: float = -np.inf,
    whole: bool = False,
) -> None:
    """Raise InputError unless ``value`` is a finite number in range; traced values pass unseen.

    Whole numbers that 64 bits do not hold are out of any range.

    Args:
      name: the argument's name, for the message.
      value: what the user gave.
      low: smallest value allowed.
      high: largest value allowed.
      above: value that must be exceeded.
      whole: whether it must be an integer.
    """
    if isinstance(value, jax.core.Tracer):
        return
    if isinstance(value, jax.Array) and value.ndim == 0:
        value = value.item()
    numbers = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    number = isinstance(value, numbers) and not isinstance(value, bool)
    kind = "a whole number" if whole else "a number"
    limits = ((">=", low), (">", above), ("<=", high))
    bounds = [f"{sign} {limit:g}" for sign, limit in limits if np.isfinite(limit)]
    fits = not isinstance(value, int) or abs(value) < LARGEST
    if not fits and not np.isfinite(high):
        bounds.append("of at most 63 bits")
    expected = " ".join([kind, " and ".join(bounds)]).strip()
    if not (number and fits and np.isfinite(value) and low <= value <= high and value > above):
        raise InputError(f"{name}={value!r}: expected {expected}")


def check_traced(name: str, value: Any) -> None:
    """Raise InputError for a finite number that an array of 32 bits does not hold."""
    if isinstance(value, int | np.integer) and abs(int(value)) > LARGEST_TRACED:
        raise InputError(f"{name}={value!r}: expected a whole number of at most {LARGEST_TRACED}")
    largest = float(np.finfo(np.float32).max)
    if isinstance(value, float) and largest < abs(value) < np.inf:
        raise InputError(f"{name}={value!r}: expected a number of at most {largest:.3g}")


def check_steps(name: str, steps: int) -> None:
    """Raise InputError if a run has more steps than devices can count.

    Args:
      name: what has too many, in words or as an argument.
      steps: as many as are planned.
    """
    if steps > LARGEST_TRACED:
        raise InputError(
            f"{name}: {steps:.3g} steps: expected at most {LARGEST_TRACED}; take fewer epochs"
        )


def check_memory(what: str, needed: float, remedy: str) -> None:
    """Raise InputError where something takes more than the machine's memory, if that is known.

    Args:
      what: begins the message.
      needed: bytes.
      remedy: ends it.
    """
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if needed > there:
        raise InputError(
            f"{what} take {needed / 1e9:.3g} GB of the {there / 1e9:.3g} GB of memory: expected "
            f"fewer; {remedy}"
        )


def check_flag(name: str, value: Any) -> None:
    """Raise InputError unless ``value`` is true or false: a text would count as true."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name}={value!r}: expected True or False")


def check_labels(
    name: str, labels: Any, num_classes: int, *, remedy: str = "count them from 0"
) -> None:
    """Raise InputError for a class out of [0, num_classes); traced values pass unseen."""
    if isinstance(labels, jax.core.Tracer) or labels.size == 0:
        return
    # By NumPy: inside jit JAX would trace the minimum of a constant, too.
    labels = np.asarray(labels)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise InputError(
            f"{name}={low if low < 0 else high}: expected classes in [0, {num_classes}); {remedy}"
        )


def check_choice(name: str, value: Any, choices: Any, also: str = "") -> None:
    """Raise InputError unless ``value`` is one of ``choices``, naming those that come near.

    Args:
      name: of the argument.
      value: as given.
      choices: what is taken.
      also: what could have been given in their place, in words.
    """
    choices = sorted(map(str, choices))
    if value in choices:
        return
    near = difflib.get_close_matches(str(value), choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    other = f", or {also}" if also else ""
    raise InputError(f"{name}={value!r}: {hint}expected one of {', '.join(choices)}{other}")
