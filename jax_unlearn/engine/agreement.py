"""Processes of one run that go on together: with what process 0 read, or with its error."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jax_unlearn.core import InputError


@contextlib.contextmanager
def same_everywhere() -> Iterator[None]:
    """Raise process 0's InputError on every process, so that none waits for one that has left."""
    problem = ""
    try:
        yield
    except InputError as error:
        if jax.process_count() == 1:
            raise
        problem = str(error)
    if jax.process_count() > 1:
        text = np.frombuffer(problem.encode()[:2000].ljust(2000), np.uint8)
        problem = multihost_utils.broadcast_one_to_all(text).tobytes().decode(errors="ignore")
        if problem.strip():
            raise InputError(problem.strip())


def from_first_process(record: Any, arrays: list[np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """Give every process what process 0 holds, bit for bit.

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
