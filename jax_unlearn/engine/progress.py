"""How far runs have come, and of which runs that is: what a checkpoint is made of."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex
import jax
import numpy as np

from jax_unlearn.core import InputError, State, Unlearner


@dataclasses.dataclass
class Progress:
    """How far runs have come: with their keys, all that determines what follows.

    Attributes:
      state: the methods' states, stacked where there are several.
      before: a copy of them from the start of the epoch.
      epoch: number of the epoch under way.
      first: number of its first step.
      offset: how many of its steps are done.
      infos: what those steps reported, name -> float32 [models, steps].
      histories: of each model, the entries so far.
      statuses: of each model, '' while it is under way.
      ends: of each model, the number of steps made.
    """

    state: State
    before: State
    histories: list[list[dict[str, float]]]
    statuses: list[str]
    ends: list[int]
    epoch: int = 0
    first: int = 0
    offset: int = 0
    infos: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    RECORDED = ("histories", "statuses", "ends", "epoch", "first", "offset")

    def record(self) -> dict[str, Any]:
        """What is not arrays on devices, as JSON values."""
        infos = {name: values.tolist() for name, values in self.infos.items()}
        return {**{name: getattr(self, name) for name in self.RECORDED}, "infos": infos}

    def restore(self, tree: dict[str, State], record: dict[str, Any]) -> None:
        """Take over what a checkpoint holds."""
        self.state, self.before = tree["state"], tree["before"]
        for name in self.RECORDED:
            setattr(self, name, record[name])
        self.infos = {k: np.asarray(v, np.float32) for k, v in record["infos"].items()}


def identity(unlearners: Sequence[Unlearner], step_keys: Sequence[chex.PRNGKey]) -> dict[str, str]:
    """Method, its fields and key of each run: what a checkpoint must be a checkpoint of."""
    of = {
        "method": [type(unlearner).__name__ for unlearner in unlearners],
        **{
            field.name: [repr(getattr(unlearner, field.name)) for unlearner in unlearners]
            for field in dataclasses.fields(unlearners[0])
        },
        "key": [np.asarray(jax.random.key_data(key)).tobytes().hex() for key in step_keys],
    }
    return {name: ", ".join(values) for name, values in of.items()}


def check_identity(theirs: dict[str, str], mine: dict[str, str]) -> None:
    """Raise InputError, naming the differences, if a checkpoint is of other runs than these."""
    # Another method has other fields too, which explain nothing.
    names = ["method"] if theirs["method"] != mine["method"] else mine
    differences = [
        f"{name} is {theirs.get(name)} there and {mine[name]} here"
        for name in names
        if theirs.get(name) != mine[name]
    ]
    if differences:
        raise InputError(
            f"checkpoints: they are of another run: {', '.join(differences)}; name another "
            "folder or give the same arguments"
        )
