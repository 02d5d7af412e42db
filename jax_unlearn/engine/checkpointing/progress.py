"""How far runs have come, and which runs they are: what a checkpoint is made of."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import chex
import jax
import numpy as np

from jax_unlearn.core import Examples, InputError, Problem, State, Unlearner, Variables
from jax_unlearn.hyperparameters import describe


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


IMAGES, WEIGHTS = 64, 8
"""Images of a set, and weights of an array, by which a checkpoint recognises it; all images may be
more than memory holds, and other hardware draws and rounds weights differently."""


def _digest(*parts: Any) -> str:
    found = hashlib.sha256()
    for part in parts:
        array = np.asarray(part)
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()[:16]


def _examples(examples: Examples | None) -> str:
    if examples is None:
        return "none"
    rows = np.unique(np.linspace(0, len(examples.label) - 1, IMAGES).astype(int))
    first = np.asarray(examples.image[rows]) if len(examples.label) else np.zeros(0)
    return _digest(examples.id, examples.label, first)


def weights_sample(variables: Variables) -> list[float]:
    """A few weights of every array, evenly spaced, by which a checkpoint knows where it began."""
    parts = []
    for leaf in jax.tree.leaves(variables):
        flat = np.asarray(leaf).reshape(-1)
        rows = np.unique(np.linspace(0, max(flat.size - 1, 0), WEIGHTS).astype(int))
        parts += flat[rows[: flat.size]].astype(float).tolist()
    return parts


def check_weights(theirs: Sequence[list[float]], mine: Sequence[list[float]]) -> None:
    """Raise InputError if a checkpoint began from other weights; other hardware may round them."""
    for here, there in zip(mine, theirs, strict=True):
        if len(here) != len(there) or not np.allclose(here, there, 1e-3, 1e-6, equal_nan=True):
            raise InputError(
                "checkpoints: they are of another run: it began from other weights; name another "
                "folder or give the same arguments"
            )


def identity(
    unlearners: Sequence[Unlearner],
    step_keys: Sequence[chex.PRNGKey],
    problems: Sequence[Problem],
) -> dict[str, str]:
    """What a checkpoint must be a checkpoint of, for each run.

    The method, its fields and key, the network's name and how it was built, the augmentation,
    and digests of the examples: all ids and labels, and some images.
    """
    of = {
        "method": [type(unlearner).__name__ for unlearner in unlearners],
        **{
            field.name: [describe(getattr(unlearner, field.name)) for unlearner in unlearners]
            for field in dataclasses.fields(unlearners[0])
        },
        "key": [np.asarray(jax.random.key_data(key)).tobytes().hex() for key in step_keys],
        "model": [problem.model.name for problem in problems],
        "config": [problem.model.config for problem in problems],
        "augment": [describe(problem.augment) for problem in problems],
        "forget": [_examples(problem.forget) for problem in problems],
        "retain": [_examples(problem.retain) for problem in problems],
        "validation": [_examples(problem.validation) for problem in problems],
    }
    return {name: ", ".join(values) for name, values in of.items()}


def check_identity(theirs: dict[str, str], mine: dict[str, str]) -> None:
    """Raise InputError, naming the differences, if a checkpoint is of other runs than these."""
    # Another method has other fields too, which explain nothing.
    names = ["method"] if theirs.get("method") != mine.get("method") else mine
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
