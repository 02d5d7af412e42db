"""A user's own method tried out: traced once, before anything is trained or written."""

import contextlib
import dataclasses
import textwrap
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn.core import (
    Batch,
    InputError,
    Pool,
    Problem,
    State,
    StepInfo,
    Unlearner,
    without_pixels,
)
from jax_unlearn.engine import run_keys
from jax_unlearn.engine.steps import check_unchanged

from .naming import as_typed

LONGEST = 200
"""Characters of an exception's message that are shown: JAX's fill a screen."""


@contextlib.contextmanager
def of_user(name: str, part: str) -> Iterator[None]:
    """Say in one line what a part of a user's method raises; the error is the line's cause.

    Args:
      name: the method's; those of the library are left alone.
      part: the function that is called.

    Raises:
      InputError: in place of any other exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if name in ju.METHODS:
            raise
        said = textwrap.shorten(str(error), LONGEST, placeholder=" ...")
        raise InputError(
            f"methods={name!r}: its {part} raises {type(error).__name__}{_line_of(name, error)}: "
            f"{said}; try it with jax_unlearn.testing.check_method"
        ) from error


def _line_of(name: str, error: Exception) -> str:
    """Where in the user's own file an error came from; '' if that cannot be told."""
    file = name.rpartition(":")[0]
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == file]
    return f" in line {lines[-1]}" if lines else ""


def try_out(name: str, method: Unlearner, problem: Problem) -> None:
    """Make a method's first batch and trace its first step; nothing is trained.

    Args:
      name: the method's.
      method: with its hyperparameters.
      problem: what it is to see; its weights may be missing.

    Raises:
      InputError: one of its functions raises something, or a step changes the form of its state.
    """
    keys = run_keys(jax.random.key(0))
    with of_user(name, "init"):
        state = _state(method, problem, keys.init)
    if not method.num_epochs:
        return
    with of_user(name, "pool"):
        pool = _pool(method, problem, keys.pool)
    with of_user(name, "batch_indices"):
        rows = np.shape(method.batch_indices(keys.batch_indices, 0, pool))[1]
    batch = _batch(pool, rows, problem)
    with as_typed(f"methods={name!r}"), of_user(name, "step"):
        jax.eval_shape(_step(problem), _as_arrays(method), state, batch, _first())


def _state(method: Unlearner, problem: Problem, key: jax.Array) -> State:
    """Shapes of the state."""

    def init(variables: Any) -> State:
        given = dataclasses.replace(problem, variables=variables, initial=variables)
        return method.init(key, given)

    try:
        return jax.eval_shape(init, jax.eval_shape(problem.model.init, key))
    except Exception:
        # The engine does not compile init, so that it may look at numbers, which tracing refuses.
        return init(problem.model.init(key))


def _pool(method: Unlearner, problem: Problem, key: jax.Array) -> Pool:
    """The pool, without pixels where it can be made so."""
    try:
        # A pool of the pixels would be a copy of the data set.
        return method.pool(key, without_pixels(problem))
    except Exception:
        variables = problem.model.init(key)
        given = dataclasses.replace(problem, variables=variables, initial=variables)
        return method.pool(key, given)


def _batch(pool: Pool, rows: int, problem: Problem) -> Batch:
    """Shapes of a batch of the pool's rows."""

    def of(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct((rows, *shape), dtype)

    examples = problem.forget if problem.retain is None else problem.retain
    assert examples is not None
    extra = jax.tree.map(lambda leaf: of(jnp.asarray(leaf[:1]).dtype, *leaf.shape[1:]), pool.extra)
    image = of(jnp.float32, *examples.image.shape[1:])
    return Batch(image, of(jnp.int32), of(jnp.int32), of(jnp.float32), extra)


def _first() -> StepInfo:
    step, steps, epoch, epochs = (jnp.int32(n) for n in (0, 2, 0, 1))
    return StepInfo(step, steps, epoch, epochs, jax.random.key(0))


def _as_arrays(method: Unlearner) -> Unlearner:
    """The method with its numbers as arrays, to be traced as the engine traces them."""

    def convert(x: Any) -> jax.Array:
        return jnp.asarray(x, jnp.float32 if isinstance(x, float) else None)

    return jax.tree.map(convert, method)


def _step(problem: Problem) -> Callable[..., Any]:
    def step(method: Unlearner, state: State, batch: Batch, info: StepInfo) -> Any:
        after, reported = method.step(problem.model, state, batch, info)
        check_unchanged(method, state, after)
        return reported

    return step
