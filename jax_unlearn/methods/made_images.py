"""Images that a method makes: floats in its state, named by rows of a pool of 8-bit pixels.

A pool's images are bytes, which augmentation works on and which may lie unread in files. What an
attack or an optimizer makes is not: rounded, it would no longer be what was looked for.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    Batch,
    Examples,
    Model,
    Pool,
    Problem,
    Variables,
    pool_rows,
    to_unit,
)
from jax_unlearn.sharding import batch_sharding

MADE = "made"
"""A pool's further leaf: the number of the image that stands for the row's own; -1 for none."""


@functools.partial(jax.jit, static_argnames=("fn", "model", "structure"))
def _of_batch(
    fn: Callable[..., Any],
    model: Model,
    structure: tuple[tuple[str, Any], ...],
    variables: Variables,
    numbers: Mapping[str, Any],
    images: jax.Array,
    *rows: jax.Array,
) -> Any:
    logits_fn = functools.partial(model.logits, variables)
    return fn(logits_fn, to_unit(images), *rows, **numbers, **dict(structure))


def make_images(
    fn: Callable[..., Any],
    problem: Problem,
    arrays: Sequence[Any],
    batch_size: int,
    *,
    numbers: Mapping[str, chex.Numeric],
    **structure: Any,
) -> Any:
    """Ask the original, in eval mode, for something of every image, chunk by chunk.

    Args:
      fn: ``fn(logits_fn, images, *rows, **numbers, **structure) -> pytree of arrays [B, ...]``,
        with images float [B, H, W, C] in [0, 1]; equal to itself from call to call, as functions
        of a module are.
      problem: with the network and the original's weights.
      arrays: images, and what else there is of each, arrays [N, ...].
      batch_size: images at a time.
      numbers: arguments that are traced: other values compile nothing.
      **structure: arguments that are part of the program.

    Returns:
      A pytree of arrays [N, ...] on the default device.
    """
    ask = functools.partial(
        _of_batch, fn, problem.model, tuple(structure.items()), problem.variables, dict(numbers)
    )
    sharding = batch_sharding(problem.variables)
    return jax.tree.map(
        jnp.asarray, functional.map_batches(ask, arrays, batch_size, sharding=sharding)
    )


def with_made(pool: Pool, numbers: jax.Array | np.ndarray | None = None) -> Pool:
    """The pool whose rows stand for made images.

    Args:
      pool: its rows.
      numbers: int [M], which image each row shows; None where they show their own.
    """
    if numbers is None:
        numbers = np.full(len(pool.label), -1)
    return pool._replace(extra={**pool.extra, MADE: np.asarray(numbers, np.int32)})


def made_rows(labels: np.ndarray, like: np.ndarray) -> Pool:
    """Forget rows for images that are made: row i shows image i, and is black where it is stored.

    Args:
      labels: int [N].
      like: images [M, H, W, C] of the size and type of the pool's others.
    """
    blank = np.zeros((len(labels), *like.shape[1:]), like.dtype)
    numbers = np.arange(len(labels))
    return with_made(pool_rows(Examples(blank, labels, numbers), FORGET, augment=False), numbers)


def show_made(batch: Batch, images: jax.Array, labels: jax.Array | None = None) -> Batch:
    """The batch with made images, and their labels, in the rows that name one.

    Args:
      batch: rows of a pool from :func:`with_made`.
      images: float [N, H * W * C], all that were made, see :func:`jax_unlearn.core.flat_images`.
      labels: int32 [N], theirs; None leaves the rows'.
    """
    made, number = batch.extra[MADE] >= 0, jnp.maximum(batch.extra[MADE], 0)
    shown = images[number].reshape(batch.image.shape).astype(batch.image.dtype)
    image = jnp.where(made[:, None, None, None], shown, batch.image)
    label = batch.label if labels is None else jnp.where(made, labels[number], batch.label)
    return batch._replace(image=image, label=label)
