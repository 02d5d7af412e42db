"""Settings as JSON values, and back."""

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

from jax_unlearn.core import InputError, check_choice

from .config import Data, Experiment, Network, Training

HOW = ("cpu_devices", "loop")
"""Settings of how the machine is used: no result depends on them, but for rounding."""


def to_json(settings: Any) -> dict[str, Any]:
    """Settings, or another dataclass of plain values, as JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def what_is_computed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of :func:`to_json`'s values those that results depend on."""
    return {name: value for name, value in values.items() if name not in HOW}


def from_json(values: Mapping[str, Any], source: str) -> Experiment:
    """Rebuild settings from :func:`to_json`.

    Raises:
      InputError: a key is unknown, or a value is not of its kind.
    """
    sections = {"data": Data, "network": Network, "training": Training}

    def build(cls: type[Any], given: Any, where: str) -> Any:
        if not isinstance(given, Mapping):
            raise InputError(f"{source}: {where} is {given!r}; expected an object with settings")
        kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(cls)}
        built: dict[str, Any] = {}
        for key, value in given.items():
            check_choice(f"{source}: key", key, kinds)
            if cls is Experiment and key in sections:
                built[key] = build(sections[key], value, key)
                continue
            built[key] = tuple(value) if isinstance(value, list) else value
            if not _fits(built[key], kinds[key]):
                raise InputError(f"{source}: {key}={value!r}: expected {_KINDS[kinds[key]]}")
        return cls(**built)

    return build(Experiment, values, "experiment")


_KINDS = {
    str: "a text",
    str | None: "a text or null",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple[str, ...]: "a list of texts",
    tuple[int, ...]: "a list of whole numbers",
}


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value that came from JSON is of an annotated kind."""
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return isinstance(value, tuple) and all(_fits(entry, item) for entry in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
