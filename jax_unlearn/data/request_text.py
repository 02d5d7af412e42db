"""Forget requests as text, for commands: ``class:3``, ``random:0.1,seed=3``, ``ids:set.npy``.

``class:3-then-class:5`` is a sequence: requests that come one after another.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.wording import agree, counted, listed

OPTIONS = {
    "class": (),
    "subclass": (),
    "random": ("seed", "stratified", "part", "group"),
    "hardest": ("seed", "models", "group"),
    "memorization": (),
    "entangled": ("seed",),
    "worst": ("group",),
    "confused": ("seed",),
    "backdoor": ("seed", "patch"),
    "duplicated": ("seed", "copies", "keep"),
    "ids": (),
}
"""By kind of request the options that it takes."""

SCORED_BY = {
    "hardest": "the true-class margins float [N], averaged over models of the scoring seeds",
    "memorization": "how much models of random halves of the data have memorized, float [N]",
    "worst": "the mean loss float [N] of models of random halves that have not seen the image",
    "entangled": "the features float [N, D] of a model of the scoring seed",
}
"""By kind of request what models must say of the training images before any can be chosen."""

BY_HALVES = ("memorization", "worst")
"""Kinds of request that take models of random halves of the data."""

DRAWN = ("random", "confused", "backdoor", "duplicated")
"""Kinds of request that draw images at random."""

CHANGES = ("confused", "backdoor", "duplicated")
"""Kinds of request that change the training data which the original learns."""

_NAMES = {"memorization": 1, "entangled": 1, "confused": 2, "backdoor": 1}
_LEVELS = {"memorization": ("low", "mid", "high", "mix"), "entangled": ("low", "mid", "high")}

_DIGITS = r"[0-9]{1,18}"
_GROUP = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})")
THEN = re.compile(rf"-then-(?=(?:{'|'.join(OPTIONS)}):)")
EXAMPLES = "class:3, class:rocket,sea, random:0.1, random:500,seed=3, hardest:0.1, ids:set.npy"
_EXAMPLES = {
    "memorization": "memorization:high,0.1",
    "entangled": "entangled:high,0.1",
    "confused": "confused:3,5,0.5",
    "backdoor": "backdoor:0,0.1",
}


@dataclasses.dataclass(frozen=True)
class RequestSpec:
    """What a text asks for, before any data is at hand.

    Attributes:
      kind: one of :data:`OPTIONS`.
      classes: numbers or names of classes or fine classes, each once: numbers first, in order. Of
        ``confused`` the two that are confused, of ``backdoor`` the target.
      fraction: share of the training images, of ``confused`` of those of its classes; None where a
        count is given.
      count: number of training images; None where a fraction is given.
      seed: randomness of a random draw; the first scoring model's seed for ``hardest`` and
        ``entangled``.
      stratified: whether a random draw keeps the classes' shares.
      models: number of scoring models for ``hardest``.
      path: file of ids.
      part: which of several random draws of one seed, none of which shares an image with another.
      level: low, mid, high or mix, how much is memorized or entangled.
      patch: side in pixels of the trigger of ``backdoor``; 0 is an eighth of the image's.
      copies: how many ``duplicated`` adds of each image.
      keep: whether these copies are retained.
      group: '2/3' for the second of three groups of what is meant, of rising memorization; '' for
        all of it.
      earlier: what the steps before ask for, where this is the last step of a sequence.
    """

    kind: str
    classes: tuple[str, ...] = ()
    fraction: float | None = None
    count: int | None = None
    seed: int = 0
    stratified: bool = True
    models: int = 3
    path: str = ""
    part: int = 0
    level: str = ""
    patch: int = 0
    copies: int = 1
    keep: bool = True
    group: str = ""
    earlier: "RequestSpec | None" = None

    @property
    def exact(self) -> bool:
        """Whether the data alone tells which images are meant, before any model is trained."""
        return not any(step.kind in SCORED_BY or step.group for step in self.steps)

    @property
    def scored_by(self) -> str:
        """What models must say of the training images before any can be chosen; '' for nothing."""
        return SCORED_BY.get(self.kind, "")

    @property
    def by_halves(self) -> bool:
        """Whether a step takes models of random halves of the data."""
        return any(step.kind in BY_HALVES or step.group for step in self.steps)

    @property
    def position(self) -> tuple[int, int]:
        """Which group of how many; (1, 1) for all."""
        match = _GROUP.fullmatch(self.group)
        return (int(match[1]), int(match[2])) if match else (1, 1)

    @property
    def steps(self) -> "tuple[RequestSpec, ...]":
        """The steps of a sequence, each a request of its own; itself where it is none."""
        own = dataclasses.replace(self, earlier=None)
        return (own,) if self.earlier is None else (*self.earlier.steps, own)

    @property
    def scoring_seeds(self) -> tuple[int, ...]:
        """Seeds of the models, trained on all the data, by which a request chooses."""
        models = {"hardest": self.models, "entangled": 1}.get(self.kind, 0)
        return tuple(range(self.seed, self.seed + models))

    @property
    def slug(self) -> str:
        """Short name fit for a folder, as ``class-3`` or ``random-0.1-seed3``."""
        size = self.count if self.fraction is None else self.fraction
        words = [
            self.kind,
            *self.classes,
            self.level,
            Path(self.path).stem,
            "" if size is None else str(size),
        ]
        for name in OPTIONS[self.kind]:
            if getattr(self, name) != getattr(RequestSpec, name):
                words.append(f"{name}{getattr(self, name)}".lower())
        own = "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-.") for word in words if word)
        return own if self.earlier is None else f"{self.earlier.slug}-then-{own}"


def parse_request(text: str) -> RequestSpec:
    """Read a forget request written as ``kind:value[,option=value...]``.

    - ``class:3``, ``class:3,5``, ``class:rocket``: whole classes, by number or name, in any order;
      a class whose name has a comma or an equals sign goes by its number
    - ``subclass:69``, ``subclass:rocket``: whole fine classes inside coarse ones
    - ``random:0.1``, ``random:500``: a fraction (with a point) or a count; options ``seed``,
      ``stratified`` (true or false), ``part`` (1 is drawn from what 0 leaves, and so on)
    - ``hardest:0.1``, ``hardest:500``: lowest margins; options ``models``, ``seed`` (the first
      model's)
    - ``memorization:high,0.1``: a stratum of memorization scores: low, mid, high or mix (RUM)
    - ``entangled:high,0.1``: images among the retained ones (high) or apart from them (low), in the
      features of a model; option ``seed``, that model's
    - ``worst:0.1``: what models that never saw it know best
    - ``confused:3,5,0.5``: that share of the images of two classes, whose labels are swapped before
      the original is trained; option ``seed``
    - ``backdoor:0,0.1``: that share of the training images, which bear a trigger and the label of
      the class before the original is trained; options ``seed``, ``patch`` (pixels)
    - ``duplicated:0.1``: images of which the original also sees ``copies``; option ``keep``: these
      are retained (true, as by default) or forgotten too
    - ``random:0.1,group=2/3``: of what is meant, the second of three groups of rising
      memorization, as RUM refines a forget set; also of ``hardest`` and ``worst``
    - ``ids:set.npy``: ids from a .npy, .json or .txt file
    - ``class:3-then-class:5``: any of these one after another, each removed from the model that
      the steps before left

    Raises:
      InputError: if the kind, a value or an option is not one of these.
    """
    *earlier, last = THEN.split(text)
    spec = _parse_step(last)
    if not earlier:
        return spec
    for step in (*earlier, last):
        if step.partition(":")[0] in CHANGES:
            raise InputError(
                f"request={text!r}: {step!r} changes the training data, so it cannot be a step of "
                "a sequence: expected requests on data as it is; ask for it by itself"
            )
    return dataclasses.replace(spec, earlier=parse_request("-then-".join(earlier)))


def _parse_step(text: str) -> RequestSpec:
    """Read a request that is no sequence."""
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
    names = _NAMES.get(kind, 0)
    if len(values) != names + 1:
        example = _EXAMPLES.get(kind, f"{kind}:0.1 or {kind}:500")
        before = ("", "one name and ", "two classes and ")[names]
        raise InputError(
            f"request={text!r}: expected {before}one fraction or count, such as {example}"
        )
    parsed: dict[str, Any] = {name: _option(text, name, value) for name, value in options.items()}
    if kind in _LEVELS:
        check_choice(f"request={text!r}: level", values[0], _LEVELS[kind])
        parsed["level"] = values[0]
    elif names:
        parsed["classes"] = _in_order(values[:-1])
    return RequestSpec(kind, **_size(text, values[-1]), **parsed)


def describe_request(text: str) -> str:
    """Write a request as prose: ``'class:3'`` is class 3, ``'random:0.1'`` random 10 %.

    What is no request, such as the name that someone gave to one, stays as it is.
    """
    steps = THEN.split(text)
    if len(steps) > 1:
        return ", then ".join(describe_request(step) for step in steps)
    try:
        spec = parse_request(text)
    except InputError:
        return text
    if spec.kind == "ids":
        return f"ids of {Path(spec.path).name}"
    if spec.kind in ("class", "subclass"):
        word = agree(len(spec.classes), spec.kind, f"{spec.kind}es")
        return f"{word} {listed(spec.classes)}"
    chosen = [" ".join(filter(None, [spec.kind, _which(spec), _share(spec)]))]
    if spec.kind == "hardest" and spec.models != RequestSpec.models:
        chosen.append(f"by {counted(spec.models, 'model')}")
    if spec.seed:
        chosen.append(f"seed {spec.seed}")
    if spec.copies != RequestSpec.copies:
        chosen.append(counted(spec.copies, "copy", "copies"))
    if not spec.keep:
        chosen.append("copies forgotten too")
    if spec.patch:
        chosen.append(f"trigger of {counted(spec.patch, 'pixel')}")
    if spec.part:
        chosen.append(f"part {spec.part}")
    if not spec.stratified:
        chosen.append("not stratified")
    if spec.group:
        number, groups = spec.position
        chosen.append(f"group {number} of {groups} by memorization")
    return ", ".join(chosen)


def _which(spec: RequestSpec) -> str:
    """Which images or classes a size is of."""
    if spec.kind == "backdoor":
        return f"to class {spec.classes[0]},"
    return f"classes {listed(spec.classes)}," if spec.classes else spec.level


def _share(spec: RequestSpec) -> str:
    if spec.fraction is None:
        return counted(spec.count or 0, "example")
    return f"{100 * spec.fraction:.6g} %"


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


def _option(text: str, name: str, word: str) -> int | bool | str:
    if name == "group":
        match = _GROUP.fullmatch(word)
        if match is None or int(match[1]) > int(match[2]):
            raise InputError(
                f"request={text!r}: group={word!r}: expected a number and of how many, such as 1/3"
            )
        return "" if match[2] == "1" else word
    if name in ("stratified", "keep"):
        check_choice(f"request={text!r}: {name}", word, ("false", "true"))
        return word == "true"
    low = 1 if name in ("models", "copies") else 0
    if not re.fullmatch(_DIGITS, word):
        raise InputError(
            f"request={text!r}: {name}={word!r}: expected a whole number >= {low} of at most 18 "
            "digits"
        )
    check_number(f"request={text!r}: {name}", int(word), low=low)
    return int(word)
