"""Records of a bank's models, addressed by how a model was made."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_unlearn.core import InputError, check_choice

KINDS = ("original", "oracle", "subset", "unlearned")

INGREDIENTS = (
    "kind",
    "data",
    "removed",
    "request",
    "network",
    "recipe",
    "seed",
    "version",
    "method",
    "original",
)


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of one model of a bank.

    Attributes:
      address: where it is stored, see :func:`address_of`.
      ingredients: all that determines the model.
      outcome: what came of its training: status, steps, seconds.
    """

    address: str
    ingredients: Mapping[str, Any]
    outcome: Mapping[str, Any]


def ids_digest(ids: np.ndarray) -> str:
    """Digest of a set of ids, for the ingredient ``removed``: 32 hex digits, whatever the order.

    Args:
      ids: integers [R].
    """
    return hashlib.sha256(np.sort(np.asarray(ids)).astype("<i8").tobytes()).hexdigest()[:32]


def address_of(ingredients: Mapping[str, Any]) -> str:
    """Address of a model: the first 32 hex digits of the sha256 of its ingredients' JSON.

    Keys are sorted, so their order does not matter; 1 and 1.0 are different ingredients.

    Args:
      ingredients: a mapping with exactly these keys: ``kind`` (original, oracle, subset or
        unlearned), ``data`` (the dataset's fingerprint), ``removed`` (:func:`ids_digest` of the
        training ids left out, or None), ``request`` (the request's hash or None), ``network`` and
        ``recipe`` (mappings), ``seed`` and ``version`` (whole numbers; the version is that of the
        recipe's code), ``method`` (name and arguments, or None) and ``original`` (the address
        of the model that was unlearned, or None).

    Raises:
      InputError: for other keys, an unknown kind, a seed or version that is no whole number, or
        values that JSON cannot hold.
    """
    odd = sorted(set(ingredients) ^ set(INGREDIENTS))
    if odd:
        raise InputError(
            f"ingredients: {', '.join(odd)} missing or unknown: expected exactly "
            f"{', '.join(INGREDIENTS)}"
        )
    check_choice("ingredients: kind", ingredients["kind"], KINDS)
    for name in ("seed", "version"):
        if type(ingredients[name]) is not int:
            raise InputError(f"ingredients: {name}={ingredients[name]!r}: expected an int")
    try:
        # Read back first: keys that are numbers become text, and may sort differently then.
        return digest(json.loads(json.dumps(ingredients, allow_nan=False)))[:32]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"ingredients: {error}: expected plain finite numbers, texts, lists and mappings"
        ) from error


def digest(value: Any) -> str:
    """Sha256, in hex, of a value's JSON with sorted keys and no spaces.

    Raises:
      TypeError: the value holds what JSON has no word for.
      ValueError: the same, for a mapping that holds itself.
    """
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
