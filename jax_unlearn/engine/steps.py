"""What is compiled: drawing a batch from the device and taking a step, for a layout's models."""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import (
    Augmentation,
    Batch,
    InputError,
    Model,
    Pool,
    State,
    StepInfo,
    Unlearner,
    flat_images,
    to_unit,
)
from jax_unlearn.data.augment import augment_flagged
from jax_unlearn.sharding import Layout


class RunKeys(NamedTuple):
    """What the key of a run becomes: one key for each of the method's functions."""

    init: chex.PRNGKey
    pool: chex.PRNGKey
    batch_indices: chex.PRNGKey
    step: chex.PRNGKey


def run_keys(key: chex.PRNGKey) -> RunKeys:
    """Split a run's key, so that a part of the run, such as its pool, can be built again."""
    return RunKeys(*jax.random.split(key, 4))


def take_batch(
    pool: Pool, rows: jax.Array, key: chex.PRNGKey, augment: Augmentation | None
) -> Batch:
    """Gather pool rows int32 [B] into a batch, augmented where the pool says so; -1 is padding."""
    return _make_batch(_gather(pool, rows), rows, key, augment, tuple(pool.image.shape[1:]))


def flat_pool(pool: Pool) -> Pool:
    """The pool as devices hold it, its images rows of pixels."""
    return pool._replace(image=flat_images(pool.image))


def _gather(pool: Pool, rows: jax.Array) -> Pool:
    # Padding has some row, too: -1 the first one, ~row that row.
    return jax.tree.map(lambda x: x[jnp.where(rows < 0, ~rows, rows)], pool)


def _make_batch(
    gathered: Pool,
    rows: jax.Array,
    key: chex.PRNGKey,
    augment: Augmentation | None,
    image_shape: tuple[int, ...],
) -> Batch:
    image, label, role, flags = map(jnp.asarray, gathered[:4])
    weight = (rows >= 0).astype(jnp.float32)
    image = augment_flagged(augment, key, image.reshape(-1, *image_shape), flags)
    return Batch(to_unit(image), label, role, weight, gathered.extra)


def _prepare(
    gathered: Pool,
    rows: jax.Array,
    info: StepInfo,
    augment: Augmentation | None,
    image_shape: tuple[int, ...],
) -> tuple[Batch, StepInfo, StepInfo]:
    """Batch and info of a step, and the info of the step that follows.

    ``info`` comes and goes with the key of all steps; the step's own has a key for it alone.
    """
    augment_key, step_key = jax.random.split(jax.random.fold_in(info.key, info.step))
    batch = _make_batch(gathered, rows, augment_key, augment, image_shape)
    return batch, info._replace(key=step_key), info._replace(step=info.step + 1)


def _update(
    unlearner: Unlearner, model: Model, state: State, batch: Batch, info: StepInfo
) -> tuple[State, dict[str, jax.Array]]:
    """Take the method's step; it must give back a state like the one that it was given."""
    after, reported = unlearner.step(model, state, batch, info)
    check_unchanged(unlearner, state, after)
    return after, reported


def check_unchanged(unlearner: Unlearner, before: State, after: State) -> None:
    """Raise InputError if a step changes the structure, a shape or a type of its state.

    A compiled loop carries the state from step to step, and donation writes the new one over the
    old. Seen while the step is traced, so before anything runs and at no cost.
    """
    told = f"state: a step of {type(unlearner).__name__}"
    kept = "expected the state as init made it; cast what step returns to that"
    structures: list[Any] = [jax.tree.structure(tree) for tree in (before, after)]
    if structures[0] != structures[1]:
        raise InputError(f"{told} returns a tree of another structure; {kept}")
    leaves = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, old), new in leaves:
        mine, theirs = (f"{x.dtype}{list(x.shape)}" for x in map(jnp.asarray, (old, new)))
        if mine != theirs:
            where = jax.tree_util.keystr(path)
            raise InputError(f"{told} changes {where} from {mine} to {theirs}; {kept}")


@functools.partial(jax.jit, static_argnames=("image_shape", "augment", "layout"))
def draw(
    pool: Pool,
    rows: jax.Array,
    first: jax.Array | None,
    info: StepInfo,
    *,
    image_shape: tuple[int, ...],
    augment: Augmentation | None,
    layout: Layout,
) -> tuple[Batch, StepInfo, StepInfo]:
    """Draw the batch of a step.

    Args:
      pool: the rows to draw from, of :func:`flat_pool`; if ``first`` is None, those of this
        step, gathered already.
      rows: int32 [steps, B], positions in the pool of an epoch's steps; if ``first`` is None,
        int32 [B], those of this step. Negative is padding.
      first: number of the epoch's first step, int32.
      info: of this step, with the key of all steps instead of its own.
      image_shape: height, width and channels.
      augment: see :class:`~jax_unlearn.core.Problem`.
      layout: how the models lie.

    Returns:
      The batch, the step's info, and ``info`` of the step that follows.
    """

    def one(
        pool: Pool, rows: jax.Array, first: jax.Array | None, info: StepInfo
    ) -> tuple[Batch, StepInfo, StepInfo]:
        if first is not None:
            rows = rows[info.step - first]
            pool = layout.apart(_gather)(pool, rows)
        return _prepare(pool, rows, info, augment, image_shape)

    return layout.each(one)(pool, rows, first, info)


class OnDevice:
    """Batches of a pool that lies on every device, once: a step sends and fetches nothing.

    :class:`jax_unlearn.engine.from_host.OnHost` has the same methods and gives the same batches.

    Attributes:
      pool: the rows, of each model, see :func:`flat_pool`.
      options: further arguments of :func:`draw` and, beside the network, :func:`scan`.
    """

    def __init__(self, layout: Layout, pools: list[Pool], augment: Augmentation | None):
        held = layout.shard([flat_pool(_in_memory(pool)) for pool in pools])
        self._prepare(layout, held, tuple(pools[0].image.shape[1:]), augment)

    def _prepare(
        self,
        layout: Layout,
        pool: Any,
        image_shape: tuple[int, ...],
        augment: Augmentation | None,
    ) -> None:
        self.pool = pool
        self._layout = layout
        self.options = {"image_shape": image_shape, "augment": augment, "layout": layout}
        self._rows: Any = None
        self._first: Any = None

    def begin(self, rows: list[np.ndarray], first: int, offset: int) -> None:
        """Get ready for an epoch, or for what is left of it after ``offset`` steps.

        Args:
          rows: of each model int32 [steps, B], the pool's rows; -1 is padding.
          first: number of the epoch's first step.
          offset: how many of its steps are done.
        """
        del offset
        self._rows = self._layout.shard_rows(rows, 1)
        self._first = self._layout.shard([np.int32(first)] * len(rows))

    def draw(self, info: StepInfo) -> tuple[Batch, StepInfo, StepInfo]:
        """The batch of a step and its info, and the info of the step that follows.

        Args:
          info: of the step, with the key of all steps instead of its own.
        """
        return draw(self.pool, self._rows, self._first, info, **self.options)

    def close(self) -> None:
        """Nothing is under way."""


def _in_memory(pool: Pool) -> Pool:
    """The pool with its images read, where they were not."""
    image = pool.image
    return pool if isinstance(image, jax.Array) else pool._replace(image=np.asarray(image))


@functools.partial(jax.jit, static_argnames=("model", "layout"), donate_argnames="state")
def step(
    unlearner: Unlearner,
    state: State,
    batch: Batch,
    info: StepInfo,
    *,
    model: Model,
    layout: Layout,
) -> tuple[State, dict[str, jax.Array]]:
    """One update. The heavy program: it knows neither the pool's size nor the epoch's length."""

    def one(
        unlearner: Unlearner, state: State, batch: Batch, info: StepInfo
    ) -> tuple[State, dict[str, jax.Array]]:
        return _update(unlearner, model, state, batch, info)

    return layout.each(one)(unlearner, state, batch, info)


@functools.partial(
    jax.jit,
    static_argnames=("model", "image_shape", "augment", "layout"),
    donate_argnames="state",
)
def scan(
    unlearner: Unlearner,
    state: State,
    pool: Pool,
    rows: jax.Array,
    info: StepInfo,
    *,
    model: Model,
    image_shape: tuple[int, ...],
    augment: Augmentation | None,
    layout: Layout,
) -> tuple[State, StepInfo, dict[str, jax.Array]]:
    """As many updates as ``rows`` int32 [steps, B] has, as one compiled loop; see :func:`draw`.

    Returns:
      The state, the info of the step that follows, and what the steps reported, each [steps].
    """

    def one(
        unlearner: Unlearner, state: State, pool: Pool, rows: jax.Array, info: StepInfo
    ) -> tuple[State, StepInfo, dict[str, jax.Array]]:
        def body(carry: tuple[State, StepInfo], rows: jax.Array) -> Any:
            state, info = carry
            gathered = layout.apart(_gather)(pool, rows)
            batch, now, following = _prepare(gathered, rows, info, augment, image_shape)
            state, reported = _update(unlearner, model, state, batch, now)
            return (state, following), reported

        (state, info), reported = jax.lax.scan(body, (state, info), rows)
        return state, info, reported

    return layout.each(one)(unlearner, state, pool, rows, info)


@functools.partial(jax.jit, static_argnames="stacked")
def finite(tree: Any, *, stacked: bool) -> jax.Array:
    """Whether all floating numbers are finite; bool, or bool [models] of stacked trees."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    whole = [jnp.all(jnp.isfinite(x), axis=tuple(range(int(stacked), x.ndim))) for x in leaves]
    return functools.reduce(jnp.logical_and, whole)


@jax.jit
def copy(tree: Any) -> Any:
    """A copy that the donation of the original does not touch."""
    return jax.tree.map(jnp.copy, tree)
