"""Gradients of a loss over data sets of any size: of each example, and their mean."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from jax_unlearn.backend import tracing_examples_apart
from jax_unlearn.batching import fold_batches
from jax_unlearn.core import Variables, at_least_float32, split_variables, with_params
from jax_unlearn.sharding import split_rows

LossFn = Callable[..., jax.Array]
"""``loss_fn(variables, *rows) -> losses [B]``, float, of rows [B, ...] that do not see each other
(eval mode). It is part of the compiled program, so it must be hashable, and equal to itself."""


def zeros_like_trained(variables: Variables) -> Any:
    """Zeros like what is trained of the variables, float32 at least: a sum over examples."""
    params, _ = split_variables(variables)
    return jax.tree.map(lambda x: jnp.zeros_like(at_least_float32(x)), params)


def per_example_gradients(
    loss_fn: LossFn | Callable[..., tuple[jax.Array, Any]],
    variables: Variables,
    *rows: jax.Array,
    sharding: NamedSharding | None = None,
    has_aux: bool = False,
) -> Any:
    """Return the gradient of every example's loss, all at once.

    It holds B times as many numbers as the network has weights. In a step of a run each device
    computes those of its own rows. Elsewhere it must be told of rows that lie on several devices:
    left to itself, the compiler splits a convolution's gradients of each example wrongly (JAX
    0.10.2, seen on CPU devices).

    Args:
      loss_fn: the loss of each row.
      variables: weights; of a mapping with ``'params'`` those are differentiated.
      *rows: arrays [B, ...], such as images and labels.
      sharding: of rows that are split outside a run, as of
        :func:`~jax_unlearn.functional.fold_batches`; its devices must divide B.
      has_aux: whether ``loss_fn`` gives ``(losses, aux)``, with ``aux`` a pytree of arrays
        [B, ...] that it computes on the way.

    Returns:
      A pytree like what is trained, each leaf [B, ...], float32 at least; with ``has_aux`` it and
      ``aux``.
    """

    def of_one(row: tuple[jax.Array, ...], variables: Variables) -> Any:
        def own(given: Variables) -> Any:
            found = loss_fn(given, *(x[None] for x in row))
            return jax.tree.map(lambda x: x[0], found)

        return gradient(own, variables, has_aux=has_aux)

    mesh = None if sharding is None else sharding.mesh
    with tracing_examples_apart():
        return split_rows(jax.vmap(of_one, (0, None)), rows, variables, mesh=mesh)


def gradient(fn: Callable[[Variables], Any], variables: Variables, *, has_aux: bool = False) -> Any:
    """Return the gradient of a scalar function of the variables in what is trained of them.

    With ``has_aux`` the function gives something else beside the scalar, and this does, too.
    """
    params, _ = split_variables(variables)
    differentiate = jax.grad(lambda params: fn(with_params(variables, params)), has_aux=has_aux)
    found, *aux = differentiate(params) if has_aux else (differentiate(params),)
    found = jax.tree.map(at_least_float32, found)
    return (found, *aux) if has_aux else found


def weighted_sum(losses: jax.Array, weight: jax.Array) -> jax.Array:
    """Sum losses [B] by weight [B]; rows of weight 0 do not count, whatever they hold."""
    return jnp.sum(weight.astype(losses.dtype) * jnp.where(weight != 0, losses, 0))


@functools.partial(jax.jit, static_argnames="loss_fn", donate_argnames="total")
def _add_gradient(total: Any, *batch: jax.Array, variables: Variables, loss_fn: LossFn) -> Any:
    *rows, weight = batch

    def loss(given: Variables) -> jax.Array:
        return weighted_sum(loss_fn(given, *rows), weight)

    return jax.tree.map(jnp.add, total, gradient(loss, variables))


def mean_gradient(
    loss_fn: LossFn,
    variables: Variables,
    arrays: Sequence[Any],
    batch_size: int,
    *,
    sharding: jax.sharding.Sharding | None = None,
) -> Any:
    """Return the gradient of the mean loss over a whole data set.

    Args:
      loss_fn: the loss of each row.
      variables: weights; of a mapping with ``'params'`` those are differentiated.
      arrays: arrays [N, ...] of one length N >= 1, such as images and labels, NumPy or JAX.
      batch_size: rows at a time; the result does not depend on it, but for rounding.
      sharding: of a batch, as :func:`~jax_unlearn.functional.fold_batches` takes it.

    Returns:
      A pytree like what is trained, float32 at least.

    Raises:
      InputError: for a batch size below 1, no rows, or arrays of different lengths.
    """
    add = functools.partial(_add_gradient, variables=variables, loss_fn=loss_fn)
    total = fold_batches(add, zeros_like_trained(variables), arrays, batch_size, sharding=sharding)
    return jax.tree.map(lambda x: x / len(arrays[0]), total)
