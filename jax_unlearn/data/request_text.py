"""Forget requests as text, for commands: ``class:3``, ``random:0.1,seed=3``, ``ids:set.npy``."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.data import requests
from jax_unlearn.data.dataset import Dataset
from jax_unlearn.wording import agree, counted, listed

OPTIONS = {
    "class": (),
    "subclass": (),
    "random": ("seed", "stratified"),
    "hardest": ("seed", "models"),
    "ids": (),
}
_DIGITS = r"[0-9]{1,18}"
EXAMPLES = "class:3, class:rocket,sea, random:0.1, random:500,seed=3, hardest:0.1, ids:set.npy"


@dataclasses.dataclass(frozen=True)
class RequestSpec:
    """What a text asks for, before any data is at hand.

    Attributes:
      kind: class, subclass, random, hardest or ids.
      classes: numbers or names of classes or fine classes, each once: numbers first, in order.
      fraction: share of the training images; None where a count is given.
      count: number of training images; None where a fraction is given.
      seed: randomness of a random draw; the first scoring model's seed for ``hardest``.
      stratified: whether a random draw keeps the classes' shares.
      models: number of scoring models for ``hardest``.
      path: file of ids.
    """

    kind: str
    classes: tuple[str, ...] = ()
    fraction: float | None = None
    count: int | None = None
    seed: int = 0
    stratified: bool = True
    models: int = 3
    path: str = ""

    @property
    def scoring_seeds(self) -> tuple[int, ...]:
        """Seeds of the models whose margins ``hardest`` averages; empty for other kinds."""
        return tuple(range(self.seed, self.seed + self.models)) if self.kind == "hardest" else ()

    @property
    def slug(self) -> str:
        """Short name fit for a folder, as ``class-3`` or ``random-0.1-seed3``."""
        size = self.count if self.fraction is None else self.fraction
        words = [
            self.kind,
            *self.classes,
            Path(self.path).stem,
            "" if size is None else str(size),
        ]
        for name in OPTIONS[self.kind]:
            if getattr(self, name) != getattr(RequestSpec, name):
                words.append(f"{name}{getattr(self, name)}".lower())
        return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-.") for word in words if word)


def parse_request(text: str) -> RequestSpec:
    """Read a forget request written as ``kind:value[,option=value...]``.

    - ``class:3``, ``class:3,5``, ``class:rocket``: whole classes, by number or name, in any order;
      a class whose name has a comma or an equals sign goes by its number
    - ``subclass:69``, ``subclass:rocket``: whole fine classes inside coarse ones
    - ``random:0.1``, ``random:500``: a fraction (with a point) or a count; options ``seed``,
      ``stratified`` (true or false)
    - ``hardest:0.1``, ``hardest:500``: lowest margins; options ``models``, ``seed`` (the first
      model's)
    - ``ids:set.npy``: ids from a .npy, .json or .txt file

    Raises:
      InputError: if the kind, a value or an option is not one of these.
    """
    kind, colon, body = text.partition(":")
    check_choice("request", kind, OPTIONS)
    if not colon or not body:
        raise InputError(f"request={text!r}: expected a value after the colon, such as {EXAMPLES}")
    if kind == "ids":
        return RequestSpec(kind, path=body)
    words = [word.strip() for word in body.split(",")]
    values = [word for word in words if "=" not in word]
    options = _options(text, kind, [word for word in words if "=" in word])
    if kind in ("class", "subclass"):
        if not all(values):
            raise InputError(f"request={text!r}: expected classes such as {EXAMPLES}")
        return RequestSpec(kind, classes=_in_order(values))
    if len(values) != 1:
        raise InputError(
            f"request={text!r}: expected one fraction or count, such as {kind}:0.1 or {kind}:500"
        )
    parsed: dict[str, Any] = {name: _option(text, name, value) for name, value in options.items()}
    return RequestSpec(kind, **_size(text, values[0]), **parsed)


def describe_request(text: str) -> str:
    """Write a request as prose: ``'class:3'`` is class 3, ``'random:0.1'`` random 10 %.

    What is no request, such as the name that someone gave to one, stays as it is.
    """
    try:
        spec = parse_request(text)
    except InputError:
        return text
    if spec.kind == "ids":
        return f"ids of {Path(spec.path).name}"
    if spec.classes:
        word = agree(len(spec.classes), spec.kind, f"{spec.kind}es")
        return f"{word} {listed(spec.classes)}"
    chosen = [f"{spec.kind} {_share(spec)}"]
    if spec.kind == "hardest" and spec.models != RequestSpec.models:
        chosen.append(f"by {counted(spec.models, 'model')}")
    if spec.seed:
        chosen.append(f"seed {spec.seed}")
    if not spec.stratified:
        chosen.append("not stratified")
    return ", ".join(chosen)


def _share(spec: RequestSpec) -> str:
    if spec.fraction is None:
        return counted(spec.count or 0, "example")
    return f"{100 * spec.fraction:.6g} %"


def make_request(
    spec: RequestSpec | str, dataset: Dataset, margins: np.ndarray | None = None
) -> requests.Request:
    """Choose the ids that a specification asks for.

    Args:
      spec: the specification or its text.
      dataset: where the images come from.
      margins: float [N], for ``hardest``: true-class margin of each training image, averaged over
        models trained with ``spec.scoring_seeds``.

    Raises:
      InputError: if the request does not fit the dataset, or ``hardest`` lacks margins.
    """
    spec = parse_request(spec) if isinstance(spec, str) else spec
    if spec.kind == "class":
        return requests.by_class(dataset, spec.classes)
    if spec.kind == "subclass":
        return requests.by_subclass(dataset, spec.classes)
    if spec.kind == "ids":
        return requests.by_ids(dataset, spec.path)
    if spec.kind == "random":
        return requests.random(dataset, spec.fraction, spec.count, spec.seed, spec.stratified)
    if margins is None:
        raise InputError(
            f"margins=None: {spec.slug} needs the margin of each training image: expected float "
            f"[N] averaged over models trained with the seeds {list(spec.scoring_seeds)}"
        )
    arguments = {"models": spec.models, "seeds": list(spec.scoring_seeds)}
    return requests.hardest(dataset, margins, spec.fraction, spec.count, arguments)


def _in_order(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes in one order, each once, so that one request has one text and one folder."""
    plain = {re.sub(r"^0+(?=[0-9]+$)", "", name) for name in classes}
    numbers = {name for name in plain if re.fullmatch(r"[0-9]+", name)}
    return *sorted(numbers, key=lambda name: (len(name), name)), *sorted(plain - numbers)


def _options(text: str, kind: str, words: Sequence[str]) -> dict[str, str]:
    pairs = [(name.strip(), value.strip()) for name, _, value in (w.partition("=") for w in words)]
    names = [name for name, _ in pairs]
    for name in names:
        if not OPTIONS[kind]:
            raise InputError(
                f"request={text!r}: option={name!r}: expected no options; refer to a class whose "
                "name has an equals sign by its number"
            )
        check_choice(f"request={text!r}: option", name, OPTIONS[kind])
        if names.count(name) > 1:
            raise InputError(f"request={text!r}: {name} is given twice: expected once")
    return dict(pairs)


def _size(text: str, word: str) -> dict[str, Any]:
    """Read a count if the word is a whole number, else a fraction."""
    if re.fullmatch(_DIGITS, word):
        check_number(f"request={text!r}: count", int(word), low=1, whole=True)
        return {"count": int(word)}
    try:
        # Python's float() also takes 0.1_5 and the digits of other scripts.
        fraction = float(word if word.isascii() and "_" not in word else "")
    except ValueError:
        raise InputError(
            f"request={text!r}: {word!r} is not a number: expected a fraction such as 0.1 or a "
            "count such as 500"
        ) from None
    check_number(f"request={text!r}: fraction", fraction, above=0, high=1)
    return {"fraction": fraction}


def _option(text: str, name: str, word: str) -> int | bool:
    if name == "stratified":
        check_choice(f"request={text!r}: stratified", word, ("false", "true"))
        return word == "true"
    if not re.fullmatch(_DIGITS, word):
        raise InputError(
            f"request={text!r}: {name}={word!r}: expected a whole number >= 0 of at most 18 digits"
        )
    check_number(f"request={text!r}: {name}", int(word), low=1 if name == "models" else 0)
    return int(word)
