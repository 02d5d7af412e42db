"""The one loop: pretraining, retraining and every unlearning method go through it."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jax_unlearn.core import (
    Batch,
    Clock,
    Examples,
    InputError,
    Model,
    Pool,
    Problem,
    State,
    Unlearner,
    Variables,
    check_choice,
)
from jax_unlearn.data.augment import augment
from jax_unlearn.engine.mesh import make_mesh, over_rows, place, replicated
from jax_unlearn.engine.timing import Stopwatch
from jax_unlearn.models.predict import to_unit

LOOPS = ("auto", "python", "scan")


class Outcome(NamedTuple):
    """What a run gives back.

    Attributes:
      variables: the weights at the end, or the last good ones of a collapsed run.
      history: one entry before the first epoch and one after each: the epoch's mean of what steps
        report, what the method measures, what the caller watches, and ``step``.
      status: ``'finished'``; ``'stopped'`` by the method's own rule; or ``'collapsed'``.
      steps: updates that were made.
      run_seconds: time of everything the method does, the caller's watching not counted.
      compile_seconds: time of compilation, not part of ``run_seconds``.
    """

    variables: Variables
    history: list[dict[str, float]]
    status: str
    steps: int
    run_seconds: float
    compile_seconds: float


class RunKeys(NamedTuple):
    """What the key of a run becomes: one key for each of the method's functions."""

    init: chex.PRNGKey
    pool: chex.PRNGKey
    order: chex.PRNGKey
    step: chex.PRNGKey


def run_keys(key: chex.PRNGKey) -> RunKeys:
    """Split a run's key, so that a part of the run, such as its pool, can be built again."""
    return RunKeys(*jax.random.split(key, 4))


def take_batch(pool: Pool, rows: jax.Array, key: chex.PRNGKey, padding: int, flip: bool) -> Batch:
    """Gather pool rows int32 [B] into a batch, augmented where the pool says so; -1 is padding."""
    real = rows >= 0
    rows = jnp.maximum(rows, 0)
    image = augment(key, pool.image[rows], pool.augment[rows], padding=padding, flip=flip)
    return Batch(to_unit(image), pool.label[rows], pool.role[rows], real.astype(jnp.float32))


def _step_keys(key: chex.PRNGKey, step: jax.Array) -> tuple[chex.PRNGKey, chex.PRNGKey]:
    augment_key, step_key = jax.random.split(jax.random.fold_in(key, step))
    return augment_key, step_key


@functools.partial(jax.jit, static_argnames=("padding", "flip"))
def _batch(pool, rows, key, step, padding, flip):
    return take_batch(pool, rows, _step_keys(key, step)[0], padding, flip)


@functools.partial(jax.jit, static_argnames="model", donate_argnames="state")
def _step(unlearner, model, key, state, batch, clock):
    return unlearner.step(model, _step_keys(key, clock.step)[1], state, batch, clock)


@functools.partial(jax.jit, static_argnames=("model", "padding", "flip"), donate_argnames="state")
def _scan_steps(unlearner, model, key, state, pool, rows, clock, padding, flip):
    def body(state, scanned):
        rows, offset = scanned
        now = clock._replace(step=clock.step + offset)
        augment_key, step_key = _step_keys(key, now.step)
        batch = take_batch(pool, rows, augment_key, padding, flip)
        return unlearner.step(model, step_key, state, batch, now)

    state, infos = jax.lax.scan(body, state, (rows, jnp.arange(rows.shape[0], dtype=jnp.int32)))
    return state, jax.tree.map(jnp.mean, infos)


@jax.jit
def _finite(variables):
    leaves = jax.tree.leaves(variables)
    inexact = [x for x in leaves if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in inexact]))


def _scan_epoch(unlearner, problem, key, state, pool, rows, clock, mesh, on_step):
    """One epoch as a single compiled loop."""
    rows = jax.device_put(rows, over_rows(mesh, axis=1))
    state, info = _scan_steps(
        unlearner, problem.model, key, state, pool, rows, clock, problem.padding, problem.flip
    )
    if on_step is not None:
        on_step(int(clock.step) + rows.shape[0])
    return state, info


def _python_epoch(unlearner, problem, key, state, pool, rows, clock, mesh, on_step):
    """One epoch as a Python loop over the jitted step; see ``run`` for when."""
    placement, infos = over_rows(mesh), []
    for offset, row in enumerate(np.asarray(rows)):
        step = np.int32(clock.step + offset)
        row = jax.device_put(row, placement)
        batch = _batch(pool, row, key, step, problem.padding, problem.flip)
        state, info = _step(unlearner, problem.model, key, state, batch, clock._replace(step=step))
        infos.append(info)
        if mesh.size > 1:
            # Virtual CPU devices share one pool of threads: with two steps under way their
            # all-reduces can each wait for a thread that the other holds, for ever.
            jax.block_until_ready(state)
        if on_step is not None:
            on_step(int(step) + 1)
    infos = jax.device_get(infos)
    return state, {name: np.mean([info[name] for info in infos]) for name in infos[0]}


def _check(unlearner: Unlearner, problem: Problem) -> None:
    name = type(unlearner).__name__
    if unlearner.needs_retain and problem.retain is None:
        raise InputError(
            f"retain=None: {name} needs retain examples; give them, or take a method that works "
            "on the forget set alone"
        )
    for part in ("forget", "retain"):
        examples = getattr(problem, part)
        if examples is not None and len(examples.label) == 0:
            raise InputError(f"{part}=[]: expected at least one example")


def _check_pool(unlearner: Unlearner, pool: Pool) -> None:
    rows = pool.label.shape[0]
    if unlearner.batch_size > rows:
        raise InputError(
            f"batch_size={unlearner.batch_size}: {type(unlearner).__name__} has only {rows} "
            f"examples to show; use at most {rows}"
        )


def _as_arrays(unlearner: Unlearner) -> Unlearner:
    """The method with its numbers as arrays of one type per field: 1, 1.0 and np.float32(1) alike.

    A field declared ``float`` is float32; else each spelling would compile a program of its own.
    """
    floats = {field.name for field in dataclasses.fields(unlearner) if field.type is float}

    def convert(path, value):
        name = getattr(path[0], "name", None)
        return jnp.asarray(value, jnp.float32 if name in floats else None)

    return jax.tree_util.tree_map_with_path(convert, unlearner)


def _last_seen(history: list[dict[str, float]]) -> str:
    """What was seen last, for a message."""
    return ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items())


def _pad_columns(rows: jax.Array, mesh: Mesh) -> jax.Array:
    short = -rows.shape[1] % mesh.shape["data"]
    return jnp.pad(rows, ((0, 0), (0, short)), constant_values=-1)


def run(
    unlearner: Unlearner,
    problem: Problem,
    key: chex.PRNGKey,
    *,
    mesh: Mesh | None = None,
    loop: str = "auto",
    watch: Callable[[Variables], dict[str, float]] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run a method on a problem.

    State, key, epoch and step determine everything that follows. The data set stays on the device;
    the state's buffers are donated from step to step; nothing is read back within an epoch.

    Args:
      unlearner: the method; ``retrain`` on a problem that retains everything trains an original.
      problem: what the method may see.
      key: all of the run's randomness.
      mesh: devices over which batches are spread; None takes all.
      loop: ``'scan'`` compiles a whole epoch; ``'python'`` calls the jitted step; ``'auto'`` takes
        scan on accelerators and the Python loop on CPU, where a convolution's weight gradient is
        many times slower inside a compiled loop (jax issue 12868). The steps are the same.
      watch: called with the weights before the first and after every epoch; what it returns joins
        the history, where the method's ``collapsed`` may see it. Its time is not the method's. It
        must copy weights that it keeps: the next step overwrites them.
      on_step: called with the number of steps done and planned.

    Returns:
      The outcome; its weights are laid out on ``mesh``.

    Raises:
      InputError: the problem lacks what the method needs, or the batch is larger than the data.
    """
    check_choice("loop", loop, LOOPS)
    _check(unlearner, problem)
    mesh = make_mesh() if mesh is None else mesh
    scan = loop == "scan" or (loop == "auto" and mesh.devices.flat[0].platform != "cpu")
    everywhere, stopwatch = replicated(mesh), Stopwatch()
    keys = run_keys(key)
    step_key = jax.device_put(keys.step, everywhere)
    history: list[dict[str, float]] = []

    with stopwatch.running():
        problem = dataclasses.replace(problem, variables=place(problem.variables, everywhere))
        pool = None
        if unlearner.num_epochs:
            pool = place(unlearner.pool(keys.pool, problem), everywhere)
            _check_pool(unlearner, pool)
        # A copy, since steps donate the state: the caller's weights must outlive the run.
        # (device_put's may_alias=False does not prevent sharing when the devices change.)
        state = jax.tree.map(jnp.copy, place(unlearner.init(keys.init, problem), everywhere))
        # One transfer for the run; every step traces them.
        traced = place(_as_arrays(unlearner), everywhere)
        jax.block_until_ready((pool, state))
    step, epochs, status = 0, unlearner.num_epochs, "finished"

    def look(entry: dict[str, float], state: State) -> None:
        with stopwatch.running():
            entry.update(unlearner.measure(problem.model, state, problem))
        if watch is not None:
            entry.update(watch(unlearner.finish(state)))
        history.append({"step": float(step), **entry})

    look({}, state)
    for epoch in range(epochs):
        with stopwatch.running():
            # Donation will overwrite the state; a collapse must be able to fall back on this copy.
            good = jax.tree.map(jnp.copy, unlearner.finish(state))
            rows = unlearner.order(keys.order, epoch, pool)
            rows = _pad_columns(rows, mesh)
            planned = step + rows.shape[0] * (epochs - epoch)
            clock = Clock(*map(np.int32, (step, planned, epoch, epochs)))
            epoch_of = _scan_epoch if scan else _python_epoch
            report = None if on_step is None else functools.partial(_report, on_step, planned)
            state, info = epoch_of(
                traced, problem, step_key, state, pool, rows, clock, mesh, report
            )
            jax.block_until_ready(state)
            info = {name: float(value) for name, value in info.items()}
        step += rows.shape[0]
        look(info, state)
        # The last update's damage shows in no loss yet, and a later copy would hold it as good.
        if not _finite(unlearner.finish(state)) or unlearner.collapsed(history):
            status = "collapsed"
            warnings.warn(
                f"{type(unlearner).__name__} collapsed by step {step}: {_last_seen(history)}; "
                f"the weights of step {int(history[-2]['step'])} are kept",
                stacklevel=2,
            )
            break
        if unlearner.stop(history):
            status = "stopped"
            break
    variables = good if status == "collapsed" else unlearner.finish(state)
    return Outcome(variables, history, status, step, stopwatch.run, stopwatch.compile)


def _report(on_step: Callable[[int, int], None], planned: int, done: int) -> None:
    on_step(done, planned)


def train(
    recipe: Unlearner,
    model: Model,
    examples: Examples,
    key: chex.PRNGKey,
    *,
    num_classes: int,
    initial: Variables | None = None,
    padding: int = 4,
    flip: bool = True,
    **options,
) -> Outcome:
    """Train a network on all the examples given: an original, an oracle or a shadow model.

    Args:
      recipe: usually ``retrain(...)`` with the hyperparameters of training.
      model: the network.
      examples: the training set.
      key: all of the run's randomness.
      num_classes: number of outputs K.
      initial: weights to start from; None draws them from ``key``.
      padding: see :class:`~jax_unlearn.core.Problem`.
      flip: see :class:`~jax_unlearn.core.Problem`.
      **options: further arguments of :func:`run`.
    """
    init_key, run_key = jax.random.split(key)
    initial = model.init(init_key) if initial is None else initial
    problem = Problem(
        model=model,
        variables=initial,
        forget=None,
        retain=examples,
        num_classes=num_classes,
        initial=initial,
        padding=padding,
        flip=flip,
    )
    return run(recipe, problem, run_key, **options)
