"""A forget request: which training examples a model must forget, and how they were chosen."""

import dataclasses
import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.data.dataset import Dataset
from jax_unlearn.data.focus import Focus


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """A forget request, in a dataset's own ids.

    Attributes:
      name: how the ids were chosen: the kind of request, or sequence.
      arguments: what the choice depended on; can be written as JSON.
      ids: int64 [F], training ids to forget, distinct and increasing.
      hash: sha256, in hex, of the name, the arguments, the ids and the dataset.
      classes: labels that are forgotten as a whole.
      fine_classes: fine labels that are forgotten as a whole.
      steps: int64 arrays, in a sequence the ids that each step removes, in turn; otherwise empty.
      focus: images on which a measure of its own is taken; None for none.
    """

    name: str
    arguments: Mapping[str, Any]
    ids: np.ndarray
    hash: str
    classes: tuple[int, ...] = ()
    fine_classes: tuple[int, ...] = ()
    steps: tuple[np.ndarray, ...] = ()
    focus: Focus | None = None

    @property
    def step_ids(self) -> np.ndarray:
        """int64, what is to be removed now, from models that earlier steps have unlearned."""
        return self.steps[-1] if self.steps else self.ids


def request_of_rows(
    dataset: Dataset,
    name: str,
    arguments: Mapping[str, Any],
    rows: np.ndarray,
    classes: tuple[int, ...] = (),
    fine_classes: tuple[int, ...] = (),
    focus: Focus | None = None,
) -> Request:
    """Make the request of rows, given by position or mask, and its hash."""
    try:
        text = json.dumps([name, dict(arguments), dataset.fingerprint], sort_keys=True)
    except TypeError as error:
        raise InputError(
            f"arguments={dict(arguments)!r}: {error}: expected plain numbers, texts and lists"
        ) from error
    ids = np.sort(dataset.train.id[rows])
    total = len(dataset.train.id)
    if len(ids) in (0, total):
        raise InputError(
            f"request={name!r} {json.dumps(dict(arguments))}: forgets {len(ids)} of {total} "
            f"training images of {dataset.name}: expected 1 to {total - 1}"
        )
    digest = hashlib.sha256(text.encode() + ids.tobytes()).hexdigest()
    return Request(name, dict(arguments), ids, digest, classes, fine_classes, focus=focus)


def size_of(total: int, fraction: float | None, count: int | None) -> int:
    """The number of images, fewer than all, that a fraction or a count of a total stands for."""
    if count is not None and fraction is None:
        check_number("count", count, low=1, high=total - 1, whole=True)
        return int(count)
    if fraction is None or count is not None:
        raise InputError(
            f"fraction={fraction!r}, count={count!r}: expected exactly one of them; drop the other"
        )
    check_number("fraction", fraction, above=0, high=1)
    if not 1 <= round(fraction * total) <= total - 1:
        raise InputError(
            f"fraction={fraction!r}: is {round(fraction * total)} of {total} training images: "
            f"expected 1 to {total - 1}, so that some are forgotten and some remain"
        )
    return round(fraction * total)


def given_size(fraction: float | None, count: int | None) -> dict[str, float | int]:
    """A fraction or a count as an argument of a request."""
    if fraction is not None:
        return {"fraction": float(fraction)}
    return {} if count is None else {"count": int(count)}


def class_numbers(
    argument: str, classes: Sequence[int | str] | int | str, names: tuple[str, ...]
) -> tuple[int, ...]:
    """Class numbers, distinct and increasing, of numbers and names."""
    single = isinstance(classes, str) or getattr(classes, "ndim", 1) == 0
    given = [*classes] if isinstance(classes, Iterable) and not single else [classes]
    numbers = set()
    for value in given:
        number: Any = _number(argument, value, names) if isinstance(value, str) else value
        check_number(argument, number, low=0, high=len(names) - 1, whole=True)
        numbers.add(int(number))
    return tuple(sorted(numbers))


def _number(argument: str, text: str, names: tuple[str, ...]) -> int:
    """The number of a class that is given as text: its digits or its name."""
    if not re.fullmatch(r"[0-9]+", text):
        try:
            check_choice(argument, text, names)
        except InputError as error:
            raise InputError(f"{error}{_by_number(text, names)}") from error
        return names.index(text)
    # So many digits are out of range in any case.
    number = int(text[-18:] if not text[:-18].strip("0") else "9" * 18)
    if number < len(names) and text in names and names[number] != text:
        warnings.warn(
            f"{argument}={text!r}: digits are a class number, so this is the class named "
            f"{names[number]!r}; for the class named {text!r} give its number, "
            f"{names.index(text)}",
            stacklevel=2,
        )
    return number


def _by_number(text: str, names: tuple[str, ...]) -> str:
    """How to ask for the classes that a command cannot name, if one of them may be meant."""
    meant = [
        f"{name!r} is {number}"
        for number, name in enumerate(names)
        if ("," in name or "=" in name or name != name.strip()) and text.strip() in name
    ]
    if not meant:
        return ""
    return (
        "; on the command line, refer to a class whose name has a comma, an equals sign or outer "
        f"spaces by its number: {', '.join(meant[:3])}"
    )
