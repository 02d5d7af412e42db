"""What a run puts on its devices, as shapes alone: its programs, for devices that are not there.

A mesh may be of devices that are described and not present, see `jax.experimental.topologies`. What
is lowered here for such a mesh are the jitted functions that a run calls, with the shapes and the
shardings of what it passes them::

    shapes = run_shapes(ju.natmu(), problem)
    compiled = lower_step(shapes, Layout(mesh)).compile()
"""

import contextlib
import dataclasses
import functools
import math
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.backend import traced_for
from jax_unlearn.core import (
    Augmentation,
    Batch,
    Examples,
    Model,
    Pool,
    Problem,
    State,
    StepInfo,
    Unlearner,
    Variables,
    without_pixels,
)
from jax_unlearn.engine import steps
from jax_unlearn.engine.shares import count_dealt
from jax_unlearn.engine.steps import run_keys, take_batch
from jax_unlearn.engine.trainer import loop_steps
from jax_unlearn.hyperparameters import as_arrays
from jax_unlearn.models.predict import BATCH_SIZE, batch_logits
from jax_unlearn.sharding import Layout


class RunShapes(NamedTuple):
    """What a run of one model computes with, as shapes.

    Attributes:
      unlearner: the method, its numbers as shapes.
      state: what it carries.
      pool: its rows, M of them.
      roles: of each role that there is how many.
      batches: int32 [steps, B], which rows the steps of the first epoch see.
      model: the network.
      augment: see :class:`~jax_unlearn.core.Problem`.
    """

    unlearner: Unlearner
    state: State
    pool: Pool
    roles: tuple[int, ...]
    batches: jax.ShapeDtypeStruct
    model: Model
    augment: Augmentation | None


def run_shapes(
    unlearner: Unlearner, problem: Problem, *, sample: Problem | None = None
) -> RunShapes:
    """Shapes of a run; nothing is trained and no pixel is read where that can be avoided.

    Args:
      unlearner: the method, one that takes steps.
      problem: what it is to see; its weights may be missing.
      sample: the same with fewer examples and fresh weights, for a method that has to look at
        numbers to make its state or its pool; what its state holds of each example is then of the
        sample's size. None takes the problem itself.
    """
    keys = run_keys(jax.random.key(0))
    state = state_shapes(unlearner, problem, keys.init, sample=sample)
    pool = bare_pool(unlearner, problem, keys.pool, sample=sample)
    batches = np.shape(unlearner.batch_indices(keys.batch_indices, 0, pool))
    return RunShapes(
        unlearner=jax.eval_shape(as_arrays, unlearner),
        state=state,
        pool=pool_shapes(pool, problem),
        roles=tuple(np.unique(np.asarray(pool.role), return_counts=True)[1].tolist()),
        batches=jax.ShapeDtypeStruct(batches, np.int32),
        model=problem.model,
        augment=problem.augment,
    )


def state_shapes(
    unlearner: Unlearner, problem: Problem, key: chex.PRNGKey, *, sample: Problem | None = None
) -> State:
    """Shapes of a method's state; arguments are those of :func:`run_shapes`."""

    def init(variables: Variables, problem: Problem = problem) -> State:
        given = dataclasses.replace(problem, variables=variables, initial=variables)
        return unlearner.init(key, given)

    try:
        return jax.eval_shape(init, jax.eval_shape(problem.model.init, key))
    except Exception:
        # The engine does not compile init, so that it may look at numbers, which tracing refuses.
        return jax.tree.map(_shape, init(problem.model.init(key), sample or problem))


def bare_pool(
    unlearner: Unlearner, problem: Problem, key: chex.PRNGKey, *, sample: Problem | None = None
) -> Pool:
    """A method's pool, without pixels where it can be made so, else with the sample's.

    Arguments are those of :func:`run_shapes`. The rows of a sample's pool are repeated to the
    number that the problem's has. Of the network a pool's shapes may depend on the number of
    logits, not on which weights there are: where a pool looks at logits, a single layer gives them.
    """
    with contextlib.suppress(Exception):
        # A pool of the pixels would be a copy of the data set.
        return unlearner.pool(key, without_pixels(problem))
    given = sample or problem
    try:
        # It asks for logits, whose number alone tells: a large network would take minutes.
        linear = _linear(math.prod(_some(given).image.shape[1:]), given.num_classes)
        pool = unlearner.pool(key, _with_weights(given, linear, key))
    except Exception:
        pool = unlearner.pool(key, _with_weights(given, problem.model, key))
    if sample is None:
        return pool
    count = unlearner.count_rows(problem)

    def repeated(x: Any) -> np.ndarray:
        return np.resize(np.asarray(x), (count, *np.shape(x)[1:]))

    return jax.tree.map(repeated, pool._replace(image=np.zeros((1, 0, 0, 0), np.uint8)))


def _some(problem: Problem) -> Examples:
    """Examples of a problem, as large as all others."""
    examples = problem.forget if problem.retain is None else problem.retain
    assert examples is not None
    return examples


def _with_weights(problem: Problem, model: Model, key: chex.PRNGKey) -> Problem:
    """The problem of a network that nobody has trained."""
    variables = model.init(key)
    return dataclasses.replace(problem, model=model, variables=variables, initial=variables)


# One for each size, since programs are compiled for a model.
@functools.cache
def _linear(size: int, classes: int) -> Model:
    """A single layer in place of a network: as many logits, in a moment."""

    def init(key: chex.PRNGKey) -> Variables:
        return {"params": {"kernel": jax.random.normal(key, (size, classes)) / size}}

    def apply(variables: Variables, images: jax.Array, **_: Any) -> tuple[jax.Array, Variables]:
        flat = images.reshape(len(images), -1)
        return flat @ variables["params"]["kernel"], variables

    return Model(init, apply, "linear")


def pool_shapes(pool: Pool, problem: Problem) -> Pool:
    """Shapes of a pool whose images may be missing, of which the problem has some."""
    examples = _some(problem)
    images: Any = jax.ShapeDtypeStruct((len(pool.label), *examples.image.shape[1:]), np.uint8)
    return jax.tree.map(_shape, pool._replace(image=np.zeros(0)))._replace(image=images)


def batch_shapes(pool: Pool, size: int, augment: Augmentation | None) -> Batch:
    """Shapes of a batch of ``size`` rows of a pool of shapes."""
    rows = jax.ShapeDtypeStruct((size,), np.int32)
    take = functools.partial(take_batch, augment=augment)
    return jax.eval_shape(take, pool, rows, jax.eval_shape(jax.random.key, 0))


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    x = x if hasattr(x, "dtype") else np.asarray(x)
    dtype = x.dtype if isinstance(x, jax.Array) else jax.dtypes.canonicalize_dtype(x.dtype)
    return jax.ShapeDtypeStruct(x.shape, dtype)


def step_info() -> StepInfo:
    """Shapes of what a step is told of the run."""
    number: Any = jax.ShapeDtypeStruct((), jnp.int32)
    return StepInfo(number, number, number, number, jax.eval_shape(jax.random.key, 0))


def lower_step(shapes: RunShapes, layout: Layout) -> jax.stages.Lowered:
    """The program of one step, which runs on CPUs and with data on the host call."""
    shapes = _padded(shapes, layout)
    batch = batch_shapes(shapes.pool, shapes.batches.shape[1], shapes.augment)
    return steps.step.lower(
        layout.shapes(shapes.unlearner),
        layout.shapes(shapes.state),
        layout.shapes_of_rows(batch, 0),
        layout.shapes(step_info()),
        model=shapes.model,
        layout=layout,
    )


def lower_scan(shapes: RunShapes, layout: Layout) -> jax.stages.Lowered:
    """The compiled loop of many steps, which runs with data on accelerators call."""
    shapes = _padded(shapes, layout)
    count, width = shapes.batches.shape
    chunk = jax.ShapeDtypeStruct((loop_steps(count), width), np.int32)
    return steps.scan.lower(
        layout.shapes(shapes.unlearner),
        layout.shapes(shapes.state),
        _laid_out(shapes, layout),
        layout.shapes_of_rows(chunk, 1),
        layout.shapes(step_info()),
        model=shapes.model,
        image_shape=shapes.pool.image.shape[1:],
        augment=shapes.augment,
        layout=layout,
    )


def loop_length(lowered: jax.stages.Lowered) -> int:
    """Steps of the loop that :func:`lower_scan` made."""
    rows = lowered.args_info[0][3]
    return int(rows.shape[-2])


def lower_draw(shapes: RunShapes, layout: Layout) -> jax.stages.Lowered:
    """The program that draws a step's batch from the data on the device."""
    shapes = _padded(shapes, layout)
    return steps.draw.lower(
        _laid_out(shapes, layout),
        layout.shapes_of_rows(shapes.batches, 1),
        layout.shapes(jax.ShapeDtypeStruct((), np.int32)),
        layout.shapes(step_info()),
        image_shape=shapes.pool.image.shape[1:],
        augment=shapes.augment,
        layout=layout,
    )


def lower_evaluation(
    model: Model, image_shape: tuple[int, ...], layout: Layout, *, batch_size: int = BATCH_SIZE
) -> jax.stages.Lowered:
    """The program of :func:`jax_unlearn.models.predict.predict_logits` on one model's devices.

    Args:
      model: the network.
      image_shape: height, width and channels.
      layout: how the model lies; not stacked.
      batch_size: images at a time, padded to what the devices divide.
    """
    size = -(-batch_size // layout.batch_shards) * layout.batch_shards
    images = jax.ShapeDtypeStruct((size, *image_shape), np.uint8)
    variables = jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))
    with traced_for(layout.platform):
        return batch_logits.lower(model, layout.shapes(variables), layout.shapes_of_rows(images, 0))


def _laid_out(shapes: RunShapes, layout: Layout) -> Any:
    """Shapes of a run's pool as it lies on the devices."""
    pool = jax.eval_shape(steps.flat_pool, shapes.pool)
    if not layout.splits_pool:
        return layout.shapes(pool)
    rows = count_dealt(shapes.roles, layout.batch_shards)

    def dealt(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype)

    return layout.shapes_of_rows(jax.tree.map(dealt, pool), 0)


def _padded(shapes: RunShapes, layout: Layout) -> RunShapes:
    """With batches of a width that the devices divide."""
    count, width = shapes.batches.shape
    width = -(-width // layout.batch_shards) * layout.batch_shards
    return shapes._replace(batches=jax.ShapeDtypeStruct((count, width), np.int32))
