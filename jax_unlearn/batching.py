"""Loops over batches outside of training: evaluation, importances, measures."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.backend import platform, platform_of, traced_for
from jax_unlearn.core import InputError, check_number
from jax_unlearn.sharding import batch_sharding, layout_of, shard, to_host, tracing_on


class Instead(NamedTuple):
    """What is done in place of folding, by those who want to know what would be run.

    Attributes:
      sharding: that batches would have.
      fold: ``fold(fn, carry, arrays, batch_size, sharding) -> carry``.
    """

    sharding: jax.sharding.NamedSharding
    fold: Callable[..., Any]


_INSTEAD: contextvars.ContextVar[Instead | None] = contextvars.ContextVar("instead", default=None)


@contextlib.contextmanager
def folding(instead: Instead) -> Iterator[None]:
    """Have something else done where :func:`fold_batches` is called inside."""
    token = _INSTEAD.set(instead)
    try:
        yield
    finally:
        _INSTEAD.reset(token)


def sharding_beside(variables: Any) -> jax.sharding.NamedSharding | None:
    """The sharding of a batch beside variables; see :func:`jax_unlearn.sharding.batch_sharding`."""
    instead = _INSTEAD.get()
    return batch_sharding(variables) if instead is None else instead.sharding


def _batches(
    arrays: Sequence[Any], batch_size: int, sharding: jax.sharding.Sharding | None
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield batches of one size and their weights, float32 [batch], 0 where row 0 is padding."""
    check_number("batch_size", batch_size, low=1, whole=True)
    lengths = [len(array) for array in arrays]
    if not lengths or lengths[0] == 0 or len(set(lengths)) > 1:
        raise InputError(
            f"arrays: lengths {lengths}; expected one or more arrays of one length >= 1"
        )
    size = min(batch_size, lengths[0])
    # Devices that do not divide a batch get more padding, not more rows: what a batch holds must
    # not depend on their number.
    padded = size if sharding is None else size + -size % sharding.num_devices
    for start in range(0, lengths[0], size):
        rows = np.arange(start, start + padded)
        real = rows < min(start + size, lengths[0])
        weight = real.astype(np.float32)
        rows = np.where(real, rows, 0)
        batch = (*(array[rows] for array in arrays), weight)
        # To a single device NumPy's arrays go with the call itself, in a third of the time.
        if sharding is not None and (sharding.num_devices > 1 or not _on_host(batch)):
            batch = shard(batch, sharding)
        yield batch[:-1], batch[-1]


def _platform(sharding: jax.sharding.Sharding | None) -> str:
    """Platform that a call runs on; of one that is traced what was said, be it nothing."""
    # Whatever it is given: a program may have its batches written into it.
    traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    return platform() if traced and sharding is None else platform_of(sharding)


def _on_host(batch: tuple[Any, ...]) -> bool:
    return not any(isinstance(array, jax.Array) for array in batch)


def map_batches(
    fn: Callable[..., Any],
    arrays: Sequence[Any],
    batch_size: int,
    *,
    sharding: jax.sharding.Sharding | None = None,
) -> Any:
    """Apply a function to batches and join its results, as if it had seen all rows at once.

    Every batch has the same size, so a jitted ``fn`` compiles once: the last one is filled up
    with row 0 and its surplus results are cut off. ``fn`` must treat rows independently.

    Args:
      fn: ``fn(*batch) -> pytree of arrays [batch, ...]``, jitted by the caller.
      arrays: arrays [N, ...] of one length N >= 1, NumPy or JAX.
      batch_size: rows per call; at most N are used.
      sharding: of a batch; None leaves it to ``fn``. Without one, and with weights on several
        devices, each of them computes the whole batch.

    Returns:
      A pytree of NumPy arrays [N, ...], or of JAX's where the call is traced.

    Raises:
      InputError: for a batch size below 1, no rows, or arrays of different lengths.
    """
    with traced_for(_platform(sharding)):
        found = [(fn(*batch), weight) for batch, weight in _batches(arrays, batch_size, sharding)]
    join: Callable[..., Any]
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(found)):
        join = jnp.concatenate
    else:
        found, join = jax.tree.map(to_host, found), np.concatenate
    results, weights = zip(*found, strict=True)
    real = np.flatnonzero(np.concatenate(weights))
    return jax.tree.map(lambda *parts: join(parts)[real], *results)


def fold_batches(
    fn: Callable[..., Any],
    carry: Any,
    arrays: Sequence[Any],
    batch_size: int,
    *,
    sharding: jax.sharding.Sharding | None = None,
) -> Any:
    """Run a function over batches, handing its result from one to the next.

    Every batch has the same size, so a jitted ``fn`` compiles once: the last one is filled up
    with row 0 at weight 0.

    Args:
      fn: ``fn(carry, *batch, weight) -> carry``, jitted by the caller; weight is float32
        [batch], 1 for a row and 0 for padding.
      carry: what the first call gets, a pytree.
      arrays: arrays [N, ...] of one length N >= 1, NumPy or JAX.
      batch_size: rows per call; at most N are used.
      sharding: of a batch; None leaves it to ``fn``. Without one, and with weights on several
        devices, each of them computes the whole batch.

    Returns:
      The last carry.

    Raises:
      InputError: for a batch size below 1, no rows, or arrays of different lengths.
    """
    if (instead := _INSTEAD.get()) is not None:
        return instead.fold(fn, carry, arrays, batch_size, sharding)
    # Of what a batch's devices sum, such as gradients, the type is that of a step of a run.
    with traced_for(_platform(sharding)), tracing_on(layout_of(sharding)):
        for batch, weight in _batches(arrays, batch_size, sharding):
            carry = fn(carry, *batch, weight)
    return carry
