"""Processes of one run continue together or end together, all with the same error."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jax_unlearn.core import InputError


@contextlib.contextmanager
def same_everywhere() -> Iterator[None]:
    """Raise any process's InputError on all of them, so that none waits for one that has left.

    If several processes raise, the error of the first is used.
    """
    problem = ""
    try:
        yield
    except InputError as error:
        if jax.process_count() == 1:
            raise
        problem = str(error)
    if jax.process_count() > 1:
        text = np.frombuffer(problem.encode()[:2000].ljust(2000), np.uint8)
        for rank, told in enumerate(np.asarray(multihost_utils.process_allgather(text))):
            problem = told.tobytes().decode(errors="ignore").strip()
            if problem:
                raise InputError(f"process {rank}: {problem}" if rank else problem)


def check_same(values: Mapping[str, Any]) -> None:
    """Check that every process was started with the same settings.

    With other settings the programs would differ too, and wait for each other forever.

    Args:
      values: JSON values.

    Raises:
      InputError: on every process, if one has other values than process 0.
    """
    if jax.process_count() == 1:
        return
    first, _ = from_first_process(dict(values), [])
    with same_everywhere():
        found = differences(first, values, ("for process 0", "here"))
        if found:
            raise InputError(
                f"started with other settings than process 0: {', '.join(found)}; start all "
                "processes with the same"
            )


def differences(
    theirs: Mapping[str, Any], mine: Mapping[str, Any], places: tuple[str, str] = ("there", "here")
) -> list[str]:
    """Say where two sets of settings differ, with both values.

    Args:
      theirs: JSON values; an object inside stands for settings of its own.
      mine: the same of the other side.
      places: what the two sides are called.

    Returns:
      Of each setting that differs, by its path with dots: ``'a.b is 1 there and 2 here'``.
    """
    one, other = (dict(_leaves(json.loads(json.dumps(dict(side))))) for side in (theirs, mine))
    return [
        f"{name} is {_short(one.get(name))} {places[0]} and {_short(other.get(name))} {places[1]}"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inside in value.items():
        yield from _leaves(inside, f"{path}.{key}" if path else key)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else text[:297] + "..."


def from_first_process(record: Any, arrays: list[np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """Give every process what process 0 has, bit for bit.

    Args:
      record: JSON value; that of process 0 counts.
      arrays: on process 0 the arrays, elsewhere any of the same shapes and types.
    """
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.asarray(text.size, np.int32)))
    text = text if jax.process_index() == 0 else np.zeros(size, np.uint8)
    record = json.loads(multihost_utils.broadcast_one_to_all(text).tobytes())
    if record is None:
        return None, []
    # Bytes: the broadcast is a sum over processes, which loses the sign of a zero.
    data = [np.frombuffer(x.tobytes(), np.uint8) for x in arrays]
    data = multihost_utils.broadcast_one_to_all(data)
    return record, [b.view(x.dtype).reshape(x.shape) for b, x in zip(data, arrays, strict=True)]
