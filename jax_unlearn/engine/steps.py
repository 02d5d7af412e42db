"""What is compiled: drawing a batch and taking a step, for one model or for several at once.

Several models lie stacked along a first axis that is spread over the mesh's axis ``model``; each
device works on its own, so that no program below communicates between models.
"""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jax_unlearn.core import Augmentation, Batch, Model, Pool, StepInfo
from jax_unlearn.data.augment import augment_flagged
from jax_unlearn.engine.mesh import make_mesh, over_models, over_rows, place, replicated
from jax_unlearn.models.predict import to_unit


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
    taken = jax.tree.map(lambda x: x[jnp.maximum(rows, 0)], pool)
    return make_batch(taken, rows, key, augment)


def make_batch(
    taken: Pool, rows: jax.Array, key: chex.PRNGKey, augment: Augmentation | None
) -> Batch:
    """Make a batch of pool rows that are gathered already; where ``rows`` is -1 it is padding."""
    image = augment_flagged(augment, key, taken.image, taken.augment)
    weight = (rows >= 0).astype(jnp.float32)
    return Batch(to_unit(image), taken.label, taken.role, weight, taken.extra)


def _step_keys(info: StepInfo) -> tuple[chex.PRNGKey, StepInfo]:
    """Of the key of all steps make the one of this step's augmentation and the one of the step."""
    augment_key, step_key = jax.random.split(jax.random.fold_in(info.key, info.step))
    return augment_key, info._replace(key=step_key)


def _for_each(fn, beside: Mesh | None):
    """Make a function of one model's trees one of stacked trees; None leaves it as it is."""
    if beside is None:
        return fn

    def local(*trees):
        # Barriers, so that taking a model out of the stack is not fused into its arithmetic: each
        # model then gets the very program, and the very rounding, that it has alone.
        own = jax.lax.optimization_barrier(jax.tree.map(lambda x: x[0], trees))
        out = jax.lax.optimization_barrier(fn(*own))
        return jax.tree.map(lambda x: x[None], out)

    spread = PartitionSpec("model")
    # The axis data stays in the compiler's hands: a model may share its batch among devices.
    return jax.shard_map(
        local, mesh=beside, in_specs=spread, out_specs=spread, axis_names={"model"}, check_vma=False
    )


class Turn(NamedTuple):
    """Where the loop stands within an epoch; lies on the device, so that no step sends anything.

    Attributes:
      step_info: that of the epoch's first step, with the key of all steps.
      position: int32, number of the step within the epoch.
    """

    step_info: StepInfo
    position: jax.Array

    def now(self) -> StepInfo:
        """The step_info of this step."""
        return self.step_info._replace(step=self.step_info.step + self.position)


@functools.partial(jax.jit, static_argnames=("augment", "beside"))
def draw(pool, rows, turn, *, augment, beside):
    """Batch and step_info of the turn, and the next turn; rows int32 [steps, B]."""

    def one(pool, rows, turn):
        augment_key, step_info = _step_keys(turn.now())
        batch = take_batch(pool, rows[turn.position], augment_key, augment)
        return batch, step_info, turn._replace(position=turn.position + 1)

    return _for_each(one, beside)(pool, rows, turn)


@functools.partial(jax.jit, static_argnames=("augment", "beside"))
def draw_sent(taken, rows, turn, *, augment, beside):
    """As :func:`draw`, of pool rows that the host has gathered; rows int32 [B]."""

    def one(taken, rows, turn):
        augment_key, step_info = _step_keys(turn.now())
        batch = make_batch(taken, rows, augment_key, augment)
        return batch, step_info, turn._replace(position=turn.position + 1)

    return _for_each(one, beside)(taken, rows, turn)


@functools.partial(jax.jit, static_argnames=("model", "beside"), donate_argnames="state")
def step(unlearner, state, batch, step_info, *, model: Model, beside):
    """One update. The heavy program: it knows neither the pool's size nor the epoch's length."""

    def one(unlearner, state, batch, step_info):
        return unlearner.step(model, state, batch, step_info)

    return _for_each(one, beside)(unlearner, state, batch, step_info)


@functools.partial(jax.jit, static_argnames=("model", "augment", "beside"), donate_argnames="state")
def scan(unlearner, state, pool, rows, turn, *, model: Model, augment, beside):
    """As many updates as ``rows`` int32 [steps, B] has, as one compiled loop."""

    def one(unlearner, state, pool, rows, turn):
        def body(carry, rows):
            state, turn = carry
            augment_key, step_info = _step_keys(turn.now())
            batch = take_batch(pool, rows, augment_key, augment)
            state, info = unlearner.step(model, state, batch, step_info)
            return (state, turn._replace(position=turn.position + 1)), info

        (state, turn), infos = jax.lax.scan(body, (state, turn), rows)
        return state, turn, infos

    return _for_each(one, beside)(unlearner, state, pool, rows, turn)


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


@jax.jit
def choose(first: jax.Array, a: Any, b: Any) -> Any:
    """Of stacked trees ``a`` where ``first``, bool [models], says so, else ``b``."""

    def pick(x, y):
        return jnp.where(first.reshape(-1, *[1] * (x.ndim - 1)), x, y)

    return jax.tree.map(pick, a, b)


class Alone:
    """One model on a mesh, whose devices share its batches.

    Attributes:
      beside: what compiled functions are told: None.
      home: the mesh on which a model's weights are handed out.
    """

    beside = None

    def __init__(self, mesh: Mesh):
        self.home = mesh
        self.columns = mesh.shape["data"]
        self.communicates = mesh.size > 1

    def put(self, trees: list[Any]) -> Any:
        """Lay out what every device holds whole."""
        return place(trees[0], replicated(self.home))

    def put_rows(self, rows: list[np.ndarray], axis: int) -> Any:
        """Lay out trees of arrays whose axis number ``axis`` is a batch's."""
        return place(rows[0], over_rows(self.home, axis=axis))

    def take(self, tree: Any, index: int) -> Any:
        """The model's own tree, laid out on ``home``."""
        del index
        return tree

    def choose(self, first: np.ndarray, a: Any, b: Any) -> Any:
        """Tree ``a`` if ``first``, bool [1], says so."""
        return a if first[0] else b

    def read(self, tree: Any) -> Any:
        """Bring scalars back to the host, each as an array [1, ...]."""
        return jax.tree.map(lambda x: np.asarray(x)[None], jax.device_get(tree))


class Beside:
    """Several models on a mesh, one for each place on its axis ``model``.

    Attributes:
      beside: what compiled functions are told: the mesh.
      home: a mesh of one device, on which a model's weights are handed out.
    """

    def __init__(self, mesh: Mesh):
        self.beside = mesh
        self.home = make_mesh(1, devices=mesh.devices.flat[:1])
        self.columns = mesh.shape["data"]
        self.communicates = self.columns > 1

    def put(self, trees: list[Any]) -> Any:
        """Stack the models' trees, each on its own devices."""
        return place(jax.tree.map(_stack, *trees), over_models(self.beside))

    def put_rows(self, rows: list[np.ndarray], axis: int) -> Any:
        """Stack trees of arrays whose axis number ``axis`` is a batch's."""
        then = [None] * axis + ["data"]
        return place(jax.tree.map(_stack, *rows), over_models(self.beside, *then))

    def take(self, tree: Any, index: int) -> Any:
        """One model's tree, laid out on ``home``."""

        def one(x):
            for shard in x.addressable_shards:
                if (shard.index[0].start or 0) == index:
                    return _first(shard.data)
            raise AssertionError(f"no device holds model {index}")

        return place(jax.tree.map(one, tree), replicated(self.home))

    def choose(self, first: np.ndarray, a: Any, b: Any) -> Any:
        """For each model its part of ``a`` or of ``b``."""
        return choose(place(first, over_models(self.beside)), a, b)

    def read(self, tree: Any) -> Any:
        """Bring what models report back to the host, arrays [models, ...]."""
        return jax.device_get(tree)


def _stack(*leaves: Any) -> Any:
    if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])


def _first(x: jax.Array) -> Any:
    # On the host: an index on every device would be a program for every device. A copy, since the
    # next step overwrites the stack.
    return x[0] if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.array(x)[0]
