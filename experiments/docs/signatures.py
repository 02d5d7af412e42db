"""Signatures with types by the names that users import."""

import inspect
from collections.abc import Mapping
from typing import Any

import chex
import jax
import optax

PUBLIC = {
    "jax.Array": jax.Array,
    "jax.Device": jax.Device,
    "jax.sharding.Mesh": jax.sharding.Mesh,
    "jax.sharding.Sharding": jax.sharding.Sharding,
    "optax.GradientTransformation": optax.GradientTransformation,
    "optax.OptState": optax.OptState,
    "chex.Numeric": chex.Numeric,
    "chex.ArrayTree": chex.ArrayTree,
}
"""Types by the names that their users import; they call themselves by where they are defined."""


def readable(signature: inspect.Signature) -> inspect.Signature:
    """A signature whose types go by their public names."""
    parameters = [
        parameter.replace(annotation=shown(parameter.annotation))
        for parameter in signature.parameters.values()
    ]
    returned = shown(signature.return_annotation)
    return signature.replace(parameters=parameters, return_annotation=returned)


class _Shown:
    """An annotation of which only the text is wanted."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def shown(annotation: Any) -> Any:
    """An annotation as its text, with public names; what is empty stays so."""
    if annotation is inspect.Signature.empty:
        return annotation
    return _Shown(renamed(inspect.formatannotation(annotation)))


def renamed(text: str) -> str:
    """A text with public names in the place of those of where types are defined."""
    for long, public in _own_names().items():
        text = text.replace(long, public)
    return text.replace("collections.abc.", "").replace("typing.", "")


def _own_names() -> Mapping[str, str]:
    """How types call themselves, with their public names; long ones first, which hold others."""
    names = {inspect.formatannotation(kind): name for name, kind in PUBLIC.items()}
    return dict(sorted(names.items(), key=lambda item: -len(item[0])))
