"""Many settings of one method, with one compilation for each of its static ones."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from jax_unlearn.core import InputError, Problem, Unlearner, check_choice
from jax_unlearn.engine.loop import run_many
from jax_unlearn.engine.run_spec import OPTIONS, Result, RunSpec
from jax_unlearn.methods.constructors import checked, method_class

MOST = 10_000
"""Points that a grid may have: more are a slip of the keyboard."""


class Trial(NamedTuple):
    """One setting of a sweep and what came of it.

    Attributes:
      arguments: the hyperparameters that the sweep chose.
      unlearner: the method with them.
      result: of its run.
    """

    arguments: dict[str, Any]
    unlearner: Unlearner
    result: Result


def sweep(
    constructor: Callable[..., Unlearner],
    grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    problem: Problem,
    key: chex.PRNGKey,
    *,
    on_done: Callable[[int, int], None] | None = None,
    **fixed: Any,
) -> list[Trial]:
    """Run one method with many hyperparameters, spread over the mesh's axis ``model``.

    Fields of any kind may vary. Numbers are traced: settings that differ in them alone share one
    program. Each combination of static fields, which are texts, flags and what is declared with
    :func:`jax_unlearn.static`, such as ``batch_size``, is a program of its own, compiled once
    wherever it stands in the grid. Every run has the same key and the same result as
    :func:`jax_unlearn.run` gives with it::

        trials = ju.sweep(ju.natmu, {"num": [2, 4], "delta": [-0.2, 0.0, 0.2]}, problem, key)
        for trial in trials:
            print(trial.arguments, trial.result)

    Args:
      constructor: the method, such as ``natmu`` or ``METHODS['natmu']``, its class, or a function
        that returns it.
      grid: values by hyperparameter, in lists or arrays of one axis, all combinations of which are
        run, the last one named varying fastest; or a list of settings.
      problem: what the method may see.
      key: randomness of every run.
      on_done: called with the number of runs done and asked for.
      **fixed: hyperparameters that all settings share, and options of
        :func:`jax_unlearn.run_many`, such as ``mesh``, ``loop`` and ``watch``.

    Returns:
      The trials, in the order of the grid.

    Raises:
      InputError: ``constructor`` makes no method, or the grid is no grid, is empty, has more than
        :data:`MOST` points, holds a setting twice, names what the method does not have or what is
        fixed, or holds a value out of range; before anything is run.
    """
    constructor = checked(constructor, "constructor")
    cls = method_class(constructor)
    settings = grid_settings(grid)
    options = {name: fixed.pop(name) for name in OPTIONS if name in fixed}
    names = [field.name for field in dataclasses.fields(cls)]
    for setting in settings:
        for name in (*setting, *fixed):
            check_choice(f"hyperparameter of {cls.__name__}", name, names)
        for name in set(setting) & set(fixed):
            raise InputError(
                f"{name}={fixed[name]!r}: given both as fixed and in the grid; give it once"
            )
    unlearners = [constructor(**fixed, **setting) for setting in settings]
    specs = [RunSpec(unlearner, problem, key) for unlearner in unlearners]
    results = run_many(specs, on_done=on_done, **options)
    return [Trial(*trial) for trial in zip(settings, unlearners, results, strict=True)]


def grid_settings(
    grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """All settings of a grid, the field named last varying fastest; or a list of them, checked.

    Raises:
      InputError: the grid is no grid, is empty, has more than :data:`MOST` points, or holds a value
        or a setting twice.
    """
    if isinstance(grid, Mapping):
        grid = {name: _listed(values) for name, values in grid.items()}
        for name, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise InputError(
                    f"grid: {name}={' '.join(repr(values).split())}: expected a list of one or "
                    "more values"
                )
            for value in _repeated(values):
                raise InputError(f"grid: {name}={value!r}: comes twice: expected each value once")
        _check_size(math.prod(map(len, grid.values())))
        settings = [
            dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
        ]
    elif isinstance(grid, Sequence) and all(isinstance(setting, Mapping) for setting in grid):
        _check_size(len(grid))
        settings = [{name: _plain(v) for name, v in setting.items()} for setting in grid]
        for setting in _repeated([tuple(sorted(setting.items())) for setting in settings]):
            raise InputError(f"grid: {dict(setting)}: comes twice: expected each setting once")
    else:
        raise InputError(f"grid={grid!r}: expected lists of values by name, or a list of settings")
    if not settings or not any(settings):
        raise InputError(f"grid={grid!r}: expected one or more settings of hyperparameters")
    return settings


def _listed(values: Any) -> Any:
    """An array of one axis, and NumPy's or JAX's numbers in a list, as Python's own."""
    if isinstance(values, np.ndarray | jax.Array) and values.ndim == 1:
        return np.asarray(values).tolist()
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [_plain(value) for value in values]
    return values


def _plain(value: Any) -> Any:
    scalar = isinstance(value, np.generic | np.ndarray | jax.Array) and np.ndim(value) == 0
    return np.asarray(value).item() if scalar else value


def _check_size(points: int) -> None:
    if points > MOST:
        raise InputError(f"grid: {points} points: expected at most {MOST}; give fewer values")


def _repeated(values: Sequence[Any]) -> Iterator[Any]:
    """Those values that have come before; what only looks alike, such as 1 and True, has not."""
    seen = set()
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        known = repr(float(value)) if number and abs(value) < 2**53 else repr(value)
        if known in seen:
            yield value
        seen.add(known)
