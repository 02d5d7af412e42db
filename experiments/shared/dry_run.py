"""A user's own method tried out: traced once, before anything is trained or written."""

import contextlib
import inspect
import pathlib
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

import jax_unlearn as ju
from jax_unlearn.core import Batch, InputError, Problem, State, StepInfo, Unlearner
from jax_unlearn.engine import run_keys
from jax_unlearn.engine.shapes import (
    bare_pool,
    batch_shapes,
    pool_shapes,
    state_shapes,
    step_info,
)
from jax_unlearn.engine.steps import check_unchanged
from jax_unlearn.hyperparameters import as_arrays
from jax_unlearn.methods import method_class
from jax_unlearn.registry import find_method
from jax_unlearn.user_code import briefly

from .naming import as_typed


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
        raise InputError(
            f"methods={name!r}: its {part} raises {type(error).__name__}{_line_of(name, error)}: "
            f"{briefly(error)}; try it with jax_unlearn.testing.check_method"
        ) from error


def _line_of(name: str, error: Exception) -> str:
    """Where in the user's own file an error came from; '' if that cannot be told."""
    file = inspect.getsourcefile(method_class(find_method(name)))
    if file is None:
        return ""
    own = pathlib.Path(file).resolve()
    raised = traceback.extract_tb(error.__traceback__)
    lines = [at.lineno for at in raised if pathlib.Path(at.filename).resolve() == own]
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
        state = state_shapes(method, problem, keys.init)
    if not method.num_epochs:
        return
    with of_user(name, "pool"):
        pool = bare_pool(method, problem, keys.pool)
    with of_user(name, "batch_indices"):
        rows = np.shape(method.batch_indices(keys.batch_indices, 0, pool))[1]
    batch = batch_shapes(pool_shapes(pool, problem), rows, problem.augment)
    with as_typed(f"methods={name!r}"), of_user(name, "step"):
        jax.eval_shape(_step(problem), as_arrays(method), state, batch, step_info())


def _step(problem: Problem) -> Callable[..., Any]:
    def step(method: Unlearner, state: State, batch: Batch, info: StepInfo) -> Any:
        after, reported = method.step(problem.model, state, batch, info)
        check_unchanged(method, state, after)
        return reported

    return step
