"""The Hessian and its inverse, as products with a vector: neither is ever written down.

XLA's memory analysis of a ResNet-18 (float32, 32x32 images, compiled for one CPU device, jax
0.10.2), temporary buffers in MiB: a product with the Hessian at batch 32, 499; 8 examples of
:func:`woodfisher`, 508; a training step at batch 128, 980.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jax_unlearn.batching import fold_batches
from jax_unlearn.core import Variables, check_number, split_variables, with_params
from jax_unlearn.functional.gradients import (
    LossFn,
    gradient,
    per_example_gradients,
    weighted_sum,
    zeros_like_trained,
)
from jax_unlearn.sharding import to_host


def inner(a: Any, b: Any) -> jax.Array:
    """Return the inner product of two pytrees of one structure, a scalar."""
    return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, a, b)), start=jnp.zeros(()))


@functools.partial(jax.jit, static_argnames="loss_fn", donate_argnames="total")
def _add_product(
    total: Any, *batch: jax.Array, variables: Variables, vector: Any, loss_fn: LossFn
) -> Any:
    """Add the Hessian of the summed loss times the vector: the gradient's derivative along it."""
    *rows, weight = batch
    params, _ = split_variables(variables)

    def slope(params: Any) -> Any:
        return gradient(
            lambda given: weighted_sum(loss_fn(given, *rows), weight),
            with_params(variables, params),
        )

    along = jax.tree.map(lambda v, p: v.astype(p.dtype), vector, params)
    _, product = jax.jvp(slope, (params,), (along,))
    return jax.tree.map(jnp.add, total, product)


def hessian_vector_product(
    loss_fn: LossFn,
    variables: Variables,
    vector: Any,
    arrays: Sequence[Any],
    batch_size: int,
    *,
    sharding: jax.sharding.Sharding | None = None,
) -> Any:
    """Return the Hessian of the mean loss over a data set times a vector, forward over reverse.

    Exact up to rounding. It takes about twice a gradient's time and memory.

    Args:
      loss_fn: the loss of each row.
      variables: weights; of a mapping with ``'params'`` those are differentiated.
      vector: pytree like what is trained.
      arrays: arrays [N, ...] of one length N >= 1, such as images and labels, NumPy or JAX.
      batch_size: rows at a time; the result does not depend on it, but for rounding.
      sharding: of a batch, as :func:`~jax_unlearn.functional.fold_batches` takes it.

    Returns:
      A pytree like what is trained, float32 at least.

    Raises:
      InputError: for a batch size below 1, no rows, or arrays of different lengths.
    """
    add = functools.partial(_add_product, variables=variables, vector=vector, loss_fn=loss_fn)
    total = fold_batches(add, zeros_like_trained(variables), arrays, batch_size, sharding=sharding)
    return jax.tree.map(lambda x: x / len(arrays[0]), total)


class Solution(NamedTuple):
    """What conjugate gradients found.

    Attributes:
      x: the solution, a pytree like the right-hand side.
      residual: norm of what is left of the right-hand side, relative to all of it.
      steps: how many products it took.
      indefinite: whether it ended at a direction in which the operator is not positive.
    """

    x: Any
    residual: float
    steps: int
    indefinite: bool


@jax.jit
def _advance(x: Any, left: Any, along: Any, product: Any, square: jax.Array) -> Any:
    """Go along a direction to the least energy, and choose the next one, conjugate to it."""
    length = square / inner(along, product)
    x = jax.tree.map(lambda a, d: a + length * d, x, along)
    left = jax.tree.map(lambda r, p: r - length * p, left, product)
    after = inner(left, left)
    along = jax.tree.map(lambda r, d: r + after / square * d, left, along)
    return x, left, along, after


def conjugate_gradients(
    operator: Callable[[Any], Any], b: Any, *, max_steps: int = 100, tolerance: float = 1e-5
) -> Solution:
    """Solve operator(x) = b for a symmetric positive operator that is given by its products.

    In exact arithmetic it ends after as many steps as the operator has distinct eigenvalues. It
    stops at a direction of no or negative curvature, since from there on it could go anywhere.

    Args:
      operator: maps a pytree like ``b`` to another; not traced, so it may loop over a data set.
      b: pytree of float arrays.
      max_steps: most products, >= 1.
      tolerance: of the residual's norm, relative to that of ``b``, >= 0.

    Returns:
      What was found: the solution like ``b``, and how good it is.

    Raises:
      InputError: for ``max_steps`` or a ``tolerance`` out of range.

    References:
      Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", 1952.
    """
    check_number("max_steps", max_steps, low=1, whole=True)
    check_number("tolerance", tolerance, low=0)
    x, left, along = jax.tree.map(jnp.zeros_like, b), b, b
    square = inner(b, b)
    whole = now = float(to_host(square))
    steps = 0
    while steps < max_steps and now > tolerance**2 * whole:
        product, steps = operator(along), steps + 1
        if not float(to_host(inner(along, product))) > 0:
            return Solution(x, (now / whole) ** 0.5, steps, True)
        x, left, along, square = _advance(x, left, along, product, square)
        now = float(to_host(square))
    return Solution(x, (now / whole) ** 0.5 if whole else 0.0, steps, False)


class WoodFisher(NamedTuple):
    """What the released WoodFisher recursion carries from example to example.

    Attributes:
      solution: what it makes of the vector.
      direction: the first example's gradient, shrunk by every later one.
      started: bool, whether there was an example yet.
    """

    solution: Any
    direction: Any
    started: jax.Array


def woodfisher_step(state: WoodFisher, gradient: Any, count: jax.Array | float) -> WoodFisher:
    """Take one example's gradient g into the recursion, as released codes do.

    The first g becomes the direction o. Later ones give t = o.g, and then
    k <- k - (k.g) / (count + t) * o and o <- o - t / (count + t) * o.
    In the identity of Woodbury o would be the inverse so far times g, another vector for every
    example: here it is the first gradient's direction throughout, so k differs from the vector that
    was given along that direction alone.

    Args:
      state: solution k, direction o.
      gradient: pytree g like the trained weights.
      count: the number of examples that the code divides by, > 0.

    Returns:
      The state after the example.
    """
    k, o, started = state
    t, along = inner(o, gradient), inner(k, gradient)
    moved = jax.tree.map(lambda a, b: a - along / (count + t) * b, k, o)
    shrunk = jax.tree.map(lambda b: b - t / (count + t) * b, o)
    choose = functools.partial(jax.tree.map, functools.partial(jnp.where, started))
    return WoodFisher(choose(moved, k), choose(shrunk, gradient), jnp.ones((), bool))


@functools.partial(jax.jit, static_argnames="loss_fn")
def _take_in(
    state: WoodFisher,
    *batch: jax.Array,
    variables: Variables,
    count: jax.Array | float,
    loss_fn: LossFn,
) -> WoodFisher:
    *rows, weight = batch
    gradients = per_example_gradients(loss_fn, variables, *rows)

    def body(state: WoodFisher, one: Any) -> tuple[WoodFisher, None]:
        gradient, weight = one
        after = woodfisher_step(state, gradient, count)
        return jax.tree.map(functools.partial(jnp.where, weight > 0), after, state), None

    return jax.lax.scan(body, state, (gradients, weight))[0]


def woodfisher(
    loss_fn: LossFn,
    variables: Variables,
    vector: Any,
    arrays: Sequence[Any],
    count: float,
    *,
    chunk: int,
) -> Any:
    """Return what the released WoodFisher recursion makes of a vector; see :func:`woodfisher_step`.

    Gradients are those at the given weights, so a chunk's are computed at once and then taken in
    one after the other.

    Args:
      loss_fn: the loss of each row.
      variables: weights; of a mapping with ``'params'`` those are differentiated.
      vector: pytree like what is trained.
      arrays: arrays [N, ...] of one length N >= 1, such as images and labels, in this order.
      count: the number of examples that the code divides by, > 0.
      chunk: examples at a time, whose gradients are in memory; the result does not depend on it.

    Returns:
      A pytree like ``vector``.
    """
    check_number("count", count, above=0)
    start = WoodFisher(vector, jax.tree.map(jnp.zeros_like, vector), jnp.zeros((), bool))
    take_in = functools.partial(_take_in, variables=variables, count=count, loss_fn=loss_fn)
    return fold_batches(take_in, start, arrays, chunk).solution
