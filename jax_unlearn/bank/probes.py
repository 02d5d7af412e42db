"""The probes of a bank's models: arrays computed once from weights, beside the models.

One file for each model and request, ``probes/<request>/<address>.npz``: the arrays, and as text how
they were made and their digest. It appears whole or not at all, and another way of making them
replaces it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.bank.data import LOCKS
from jax_unlearn.bank.files import npz_bytes, partial_path, read_npz
from jax_unlearn.bank.store import Bank
from jax_unlearn.core import InputError
from jax_unlearn.files import locked, write_whole

_NOTE = "made_of"


def probe_path(bank: Bank, request: str, address: str) -> Path:
    """Return where the probe of a model lies, whether or not it is there.

    Args:
      bank: the bank.
      request: hash of a request.
      address: of a model.

    Raises:
      InputError: for a malformed hash or address.
    """
    for name, value, count in (("request", request, "8 to 128"), ("address", address, "32")):
        if not re.fullmatch(f"[0-9a-f]{{{count.replace(' to ', ',')}}}", str(value)):
            raise InputError(f"{name}={value!r}: expected {count} hex digits, as banks use")
    return bank.path / "probes" / request / f"{address}.npz"


def store_probe(
    bank: Bank,
    request: str,
    address: str,
    arrays: Mapping[str, np.ndarray],
    made_of: Mapping[str, Any],
) -> None:
    """Store the probe of a model; one that is there is replaced.

    Args:
      bank: the bank.
      request: hash of a request.
      address: of a model.
      arrays: by name.
      made_of: what determines them besides the model; JSON values, none of them infinite.

    Raises:
      InputError: when the disk is full or cannot be written to; what was there is as it was.
    """
    path = probe_path(bank, request, address)
    body = {"made_of": made_of, "digest": _digest(arrays)}
    note = json.dumps(body, sort_keys=True, allow_nan=False)
    try:
        with locked(bank.path / LOCKS / "bank.lock", shared=True):
            content = npz_bytes({**arrays, _NOTE: np.array(note)})
            write_whole(path, content, partial=partial_path(bank.path))
    except OSError as error:
        raise InputError(
            f"bank={str(bank.path)!r}: cannot write the probe of model {address} "
            f"({error.strerror or error}); make room or allow writing there; what was stored "
            "before is as it was"
        ) from error


def read_probe(
    bank: Bank, request: str, address: str, names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a model's probe by name, and what they were made of.

    Args:
      bank: the bank.
      request: hash of a request.
      address: of a model.
      names: of the arrays.

    Raises:
      InputError: if there is none, or it is damaged or of other arrays.
    """
    path = probe_path(bank, request, address)
    *values, text = read_npz(path, (*names, _NOTE), f"probe={str(path)!r}")
    arrays = dict(zip(names, values, strict=True))
    try:
        note = json.loads(str(text))
        whole = note["digest"] == _digest(arrays)
        made_of = note["made_of"]
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise InputError(
            f"probe={str(path)!r}: damaged; fill the bank with the same --probes again"
        )
    return arrays, made_of


def read_made_of(path: Path) -> dict[str, Any]:
    """Return what a probe was made of besides its model, without reading its arrays.

    Args:
      path: its file.

    Raises:
      InputError: if it is missing or damaged.
    """
    (text,) = read_npz(path, (_NOTE,), f"probe={str(path)!r}")
    try:
        return json.loads(str(text))["made_of"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"probe={str(path)!r}: damaged ({type(error).__name__})") from error


def has_probe(
    bank: Bank, request: str, address: str, names: tuple[str, ...], made_of: Mapping[str, Any]
) -> bool:
    """Return whether a sound probe is stored that was made of the same.

    Args:
      bank: the bank.
      request: hash of a request.
      address: of a model.
      names: of the arrays.
      made_of: what determines them besides the model; JSON values.
    """
    try:
        return read_probe(bank, request, address, names)[1] == json.loads(json.dumps(made_of))
    except InputError:
        return False


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
