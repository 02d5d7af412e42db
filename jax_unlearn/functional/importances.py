"""How much a loss depends on each weight: diagonal Fisher information and its relatives.

A per-example gradient is as large as the network, so the examples go through in chunks: of a chunk
all gradients are in memory, by default at most half a GiB of them on each device. That is less than
training takes, and a batch's one gradient as much. XLA's memory analysis of a ResNet-18 (float32,
32x32 images, compiled for one CPU device, jax 0.10.2), temporary buffers in MiB: a training step at
batch 128, 980; the 12 examples of a chunk of :func:`exact_importance`, 742; a batch of 128 of
:func:`batch_importance`, 984.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from jax_unlearn.batching import fold_batches
from jax_unlearn.core import Variables, check_number, split_variables
from jax_unlearn.functional.gradients import (
    LossFn,
    gradient,
    per_example_gradients,
    zeros_like_trained,
)
from jax_unlearn.functional.losses import cross_entropy, weighted_mean

Measure = Callable[[jax.Array], jax.Array]
"""What a gradient counts as, entry by entry: ``jnp.square``, ``jnp.abs``, or a function of one's
own that has a hash."""

CHUNK_BYTES = 2**29
MOST_ROWS = 256
"""Rows of a chunk for a small network: more gain nothing, and their activations take memory too."""


@dataclasses.dataclass(frozen=True)
class _Loss:
    """A loss of each row, all counting alike."""

    loss_fn: LossFn

    def __call__(
        self, variables: Variables, chosen: Any, *rows: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        del chosen
        losses = self.loss_fn(variables, *rows)
        return losses, jnp.ones_like(losses)


@dataclasses.dataclass(frozen=True)
class _OfClass:
    """Cross-entropy with one class, and the probability that the network gives it."""

    logits_fn: Callable[..., jax.Array]

    def __call__(
        self, variables: Variables, chosen: Any, *rows: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        logits = self.logits_fn(variables, *rows)
        labels = jnp.full(logits.shape[:1], chosen, jnp.int32)
        probability = jnp.take_along_axis(jax.nn.softmax(logits), labels[:, None], axis=1)[:, 0]
        return cross_entropy(logits, labels), probability


def _sum_of_examples(
    variables: Variables, chosen: Any, rows: Any, weight: jax.Array, fn: Any, measure: Measure
) -> Any:
    """Sum over rows of weight * factor * measure(gradient of the row's loss)."""

    def losses(variables: Variables, *rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        return fn(variables, chosen, *rows)

    gradients, factor = per_example_gradients(losses, variables, *rows, has_aux=True)
    weight = weight.astype(factor.dtype) * factor
    return jax.tree.map(
        lambda g: jnp.tensordot(weight.astype(g.dtype), measure(g), axes=1), gradients
    )


@functools.partial(jax.jit, static_argnames=("fn", "measure", "sharding"), donate_argnames="total")
def _add_examples(
    total: Any,
    rows: Any,
    weight: jax.Array,
    *,
    variables: Variables,
    chosen: Any,
    fn: Any,
    measure: Measure,
    sharding: NamedSharding | None,
) -> Any:
    """Add what the examples of a chunk come to, each device those of its own rows."""

    def of_device(variables: Variables, chosen: Any, rows: Any, weight: jax.Array) -> Any:
        found = _sum_of_examples(variables, chosen, rows, weight, fn, measure)
        return found if sharding is None else jax.lax.psum(found, "data")

    if sharding is not None:
        # Left to the compiler, gradients that lie on one device each are sent to all others.
        whole, split = PartitionSpec(), PartitionSpec("data")
        of_device = jax.shard_map(
            of_device,
            mesh=sharding.mesh,
            in_specs=(whole, whole, split, split),
            out_specs=whole,
            check_vma=False,
        )
    return jax.tree.map(jnp.add, total, of_device(variables, chosen, rows, weight))


@functools.partial(jax.jit, static_argnames=("fn", "measure"), donate_argnames="total")
def _add_batch(
    total: Any,
    rows: Any,
    weight: jax.Array,
    *,
    variables: Variables,
    chosen: Any,
    fn: Any,
    measure: Measure,
) -> Any:
    """Add factor * measure(gradient) of the mean loss of a batch."""

    def mean_loss(given: Variables) -> jax.Array:
        return weighted_mean(fn(given, chosen, *rows)[0], weight)

    factor = weighted_mean(fn(variables, chosen, *rows)[1], weight)
    gradients = gradient(mean_loss, variables)
    return jax.tree.map(lambda t, g: t + factor.astype(g.dtype) * measure(g), total, gradients)


def _fold(
    add: Any, classes: range, variables: Variables, arrays: Any, batch_size: int, sharding: Any
) -> Any:
    """Fold batches into a sum over them, and over classes where there are any."""

    def fn(total: Any, *batch: jax.Array) -> Any:
        *rows, weight = batch
        for chosen in classes:
            total = add(total, tuple(rows), weight, variables=variables, chosen=jnp.int32(chosen))
        return total

    return fold_batches(fn, zeros_like_trained(variables), arrays, batch_size, sharding=sharding)


def _mean_over_examples(
    fn: Any,
    classes: range,
    variables: Variables,
    arrays: Sequence[Any],
    measure: Measure,
    chunk_bytes: int,
    sharding: NamedSharding | None,
) -> Any:
    add = functools.partial(_add_examples, fn=fn, measure=measure, sharding=sharding)
    rows = rows_of_chunk(variables, chunk_bytes)
    devices = 1 if sharding is None else sharding.mesh.shape["data"]
    total = _fold(add, classes, variables, arrays, rows * devices, sharding)
    return jax.tree.map(lambda x: x / len(arrays[0]), total)


def _mean_over_batches(
    fn: Any,
    classes: range,
    variables: Variables,
    arrays: Sequence[Any],
    measure: Measure,
    batch_size: int,
    sharding: NamedSharding | None,
) -> Any:
    add = functools.partial(_add_batch, fn=fn, measure=measure)
    total = _fold(add, classes, variables, arrays, batch_size, sharding)
    return jax.tree.map(lambda x: x / -(-len(arrays[0]) // batch_size), total)


def rows_of_chunk(variables: Variables, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Number of examples, 1 to 256, whose gradients take at most ``chunk_bytes``."""
    check_number("chunk_bytes", chunk_bytes, low=1, whole=True)
    weights = jax.tree.leaves(split_variables(variables)[0])
    bytes_each = sum(x.size * max(x.dtype.itemsize, 4) for x in weights)
    return min(max(chunk_bytes // max(bytes_each, 1), 1), MOST_ROWS)


def exact_importance(
    loss_fn: LossFn,
    variables: Variables,
    arrays: Sequence[Any],
    *,
    measure: Measure = jnp.square,
    chunk_bytes: int = CHUNK_BYTES,
    sharding: NamedSharding | None = None,
) -> Any:
    """Return the mean over examples of each example's measured gradient.

    With ``jnp.square`` and cross-entropy it is the diagonal of the empirical Fisher information.

    Args:
      loss_fn: the loss of each row.
      variables: weights; of a mapping with ``'params'`` those are differentiated.
      arrays: arrays [N, ...] of one length N >= 1, such as images and labels, NumPy or JAX.
      measure: what a gradient counts as.
      chunk_bytes: most bytes that per-example gradients take on a device, but for one example's.
      sharding: of rows, over an axis ``data``; None leaves all to one device.

    Returns:
      A pytree like what is trained, float32 at least.

    Raises:
      InputError: for ``chunk_bytes`` below 1, no rows, or arrays of different lengths.
    """
    fn = _Loss(loss_fn)
    return _mean_over_examples(fn, range(1), variables, arrays, measure, chunk_bytes, sharding)


def batch_importance(
    loss_fn: LossFn,
    variables: Variables,
    arrays: Sequence[Any],
    batch_size: int,
    *,
    measure: Measure = jnp.square,
    sharding: NamedSharding | None = None,
) -> Any:
    """Return the mean over batches of the measured gradient of each batch's mean loss.

    What released codes call importance or Fisher information. Squared gradients of a batch are
    about a batch size smaller than those of its examples, so two importances compare only at equal
    batch sizes; a last, shorter batch counts as much as the others. Batches are in the given order.

    Args:
      loss_fn: the loss of each row.
      variables: weights; of a mapping with ``'params'`` those are differentiated.
      arrays: arrays [N, ...] of one length N >= 1, such as images and labels, NumPy or JAX.
      batch_size: rows of a batch; the result depends on it.
      measure: what a gradient counts as.
      sharding: of a batch; None leaves all to one device.

    Returns:
      A pytree like what is trained, float32 at least.

    Raises:
      InputError: for a batch size below 1, no rows, or arrays of different lengths.
    """
    fn = _Loss(loss_fn)
    return _mean_over_batches(fn, range(1), variables, arrays, measure, batch_size, sharding)


def fisher_information(
    logits_fn: Callable[..., jax.Array],
    variables: Variables,
    arrays: Sequence[Any],
    num_classes: int,
    *,
    batch_size: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    sharding: NamedSharding | None = None,
) -> Any:
    """Return the diagonal of the Fisher information: labels as the network itself would draw them.

    The mean over examples x of sum_c p(c | x) * (d log p(c | x) / d theta)^2; it takes a gradient
    for every class, and no labels.

    Args:
      logits_fn: ``logits_fn(variables, *rows) -> logits [B, K]`` in eval mode; hashable.
      variables: weights; of a mapping with ``'params'`` those are differentiated.
      arrays: arrays [N, ...] of one length N >= 1, such as images alone, NumPy or JAX.
      num_classes: number of outputs K.
      batch_size: None is the definition above. A number puts each batch's mean gradient, and mean
        probability, in place of the example's, as a released code does; see
        :func:`batch_importance`.
      chunk_bytes: most bytes that per-example gradients take on a device, but for one example's.
      sharding: of rows, over an axis ``data``; None leaves all to one device.

    Returns:
      A pytree like what is trained, float32 at least, >= 0.

    Raises:
      InputError: for a ``batch_size`` or ``chunk_bytes`` below 1, no rows, or arrays of different
        lengths.
    """
    fn, classes = _OfClass(logits_fn), range(num_classes)
    if batch_size is None:
        return _mean_over_examples(
            fn, classes, variables, arrays, jnp.square, chunk_bytes, sharding
        )
    return _mean_over_batches(fn, classes, variables, arrays, jnp.square, batch_size, sharding)
