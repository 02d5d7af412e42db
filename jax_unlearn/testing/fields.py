"""What a method's fields promise: a frozen pytree, whose numbers are traced."""

import contextlib
import dataclasses
from typing import Any

import jax
import numpy as np

from jax_unlearn.core import split_variables
from jax_unlearn.testing.battery import Battery, distance


def is_a_pytree(b: Battery) -> None:
    """Its fields are frozen; the traced ones are numbers, the static ones can be hashed."""
    leaves, structure = jax.tree.flatten(b.unlearner)
    b.require(
        jax.tree.unflatten(structure, leaves) == b.unlearner,
        "flattened and put together again it is another method",
    )
    b.require(
        all(isinstance(leaf, (int, float, np.number, jax.Array)) for leaf in leaves),
        f"traced fields hold {leaves}: expected numbers; declare the others otherwise",
    )
    try:
        hash(structure)
    except TypeError as error:
        raise AssertionError(
            f"{b.name}: a static field cannot be hashed ({error}); give a tuple, not a list"
        ) from error
    field = dataclasses.fields(b.unlearner)[0].name
    try:
        setattr(b.unlearner, field, None)
    except dataclasses.FrozenInstanceError:
        return
    raise AssertionError(f"{b.name}: its fields can be set; expected a frozen dataclass")


def numbers_compile_once(b: Battery) -> None:
    """A run with other numbers in its traced fields compiles nothing."""
    b.run()
    once = len(b.traces)
    others = {
        field.name: other
        for field in dataclasses.fields(b.unlearner)
        if field.type is float and field.name in b.unlearner.traced_fields
        if (other := _other_value(b, field.name)) is not None
    }
    if others:
        b.run(unlearner=b.changed(**others))
        names = ", ".join(others)
        b.require(len(b.traces) == once, f"other values of {names} compile anew")


def _other_value(b: Battery, name: str) -> float | None:
    """A number that the method takes, too; None where its own is the only one."""
    value = getattr(b.unlearner, name)
    for other in (0.9 * value, 1.1 * value):
        with contextlib.suppress(ValueError):
            b.changed(**{name: other})
            return other
    return None


def takes_traced_numbers(b: Battery) -> None:
    """At rate 0 a step moves nothing, at another rate something."""
    if "learning_rate" not in b.unlearner.traced_fields:
        return
    before = split_variables(b.first[0].variables)[0]

    def after(rate: float) -> Any:
        state, _ = b.step(b.changed(learning_rate=rate), *b.first)
        return split_variables(state.variables)[0]

    b.require_same(after(0.0), before, "at rate 0 a step moves weights")
    moved = distance(after(0.01), before)
    b.require(moved > 0, "at rate 0.01 a step moves no weight")
