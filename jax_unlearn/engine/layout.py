"""How models lie on a mesh: one whose batches all devices share, or several side by side."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jax_unlearn.backend import traced_for
from jax_unlearn.sharding import make_mesh, over_models, over_rows, replicated, shard


@dataclasses.dataclass(frozen=True)
class Layout:
    """Models on a mesh; a static argument of everything that is compiled.

    Several models are stacked: every array has a first axis of models, split over the mesh's axis
    ``model``. Each device works on its own model, so no program communicates between models. One
    model is not stacked, and its program is the plain one.

    Attributes:
      mesh: the devices, on the axes ``model`` and ``data``; of size 1 on ``model`` unless stacked.
      stacked: whether models lie side by side.
    """

    mesh: Mesh
    stacked: bool = False

    @property
    def num_models(self) -> int:
        """How many models are trained at the same time."""
        return self.mesh.shape["model"] if self.stacked else 1

    @property
    def batch_shards(self) -> int:
        """Among how many devices a model's batch is split; its rows are padded to a multiple."""
        return self.mesh.shape["data"]

    @property
    def communicates(self) -> bool:
        """Whether a step's devices wait for each other."""
        return self.batch_shards > 1

    @property
    def platform(self) -> str:
        """Platform of the devices: ``'cpu'``, ``'gpu'`` or ``'tpu'``."""
        return self.mesh.devices.flat[0].platform

    @functools.cached_property
    def home(self) -> Mesh:
        """The mesh on which a single model's weights are handed out."""
        return make_mesh(1, devices=list(self.mesh.devices.flat[:1])) if self.stacked else self.mesh

    def each(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function of one model's trees one of this layout's trees, inside jit."""

        def traced(*trees: Any) -> Any:
            with traced_for(self.platform):
                return fn(*trees)

        if not self.stacked:
            return traced

        def local(*trees: Any) -> Any:
            # Barriers, so that taking a model out of the stack is not fused into its arithmetic:
            # each model then gets the very program, and the very rounding, that it has alone.
            own = jax.lax.optimization_barrier(jax.tree.map(lambda x: x[0], trees))
            out = jax.lax.optimization_barrier(traced(*own))
            return jax.tree.map(lambda x: x[None], out)

        split = PartitionSpec("model")
        # The axis data stays in the compiler's hands: a model may share its batch among devices.
        return jax.shard_map(
            local,
            mesh=self.mesh,
            in_specs=split,
            out_specs=split,
            axis_names={"model"},
            check_vma=False,
        )

    def shard(self, trees: list[Any]) -> Any:
        """Lay out each model's tree, whole on each of the model's devices."""
        return self._shard(trees, ())

    def shard_rows(self, rows: list[Any], axis: int) -> Any:
        """Lay out each model's tree of arrays, split along the axis of a batch's rows."""
        return self._shard(rows, (*[None] * axis, "data"))

    def _shard(self, trees: list[Any], axes: tuple[str | None, ...]) -> Any:
        if self.stacked:
            return shard(jax.tree.map(_stack, *trees), over_models(self.mesh, *axes))
        return shard(
            trees[0], over_rows(self.mesh, axis=len(axes) - 1) if axes else replicated(self.mesh)
        )

    def take(self, tree: Any, index: int) -> Any:
        """The tree of one model, laid out on ``home``."""
        if not self.stacked:
            return tree
        return shard(jax.tree.map(lambda x: _own(x, index), tree), replicated(self.home))

    def choose(self, first: np.ndarray, a: Any, b: Any) -> Any:
        """For each model its part of ``a`` where ``first``, bool [models], says so, or of ``b``."""
        if not self.stacked:
            return a if first[0] else b
        return _choose(shard(first, over_models(self.mesh)), a, b)

    def read(self, tree: Any) -> Any:
        """Bring what models report back to the host, each array with a first axis of models."""
        return jax.tree.map(
            lambda x: np.asarray(x) if self.stacked else np.asarray(x)[None], jax.device_get(tree)
        )


def _stack(*leaves: Any) -> Any:
    if isinstance(leaves[0], jax.Array) and jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])


def _own(x: jax.Array, index: int) -> Any:
    for part in x.addressable_shards:
        if (part.index[0].start or 0) == index:
            if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
                return part.data[0]
            # On the host: an index on every device would be a program for every device. A copy,
            # since the next step overwrites the stack.
            return np.array(part.data)[0]
    raise AssertionError(f"no device holds model {index}")


@jax.jit
def _choose(first: jax.Array, a: Any, b: Any) -> Any:
    def pick(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.where(first.reshape(-1, *[1] * (x.ndim - 1)), x, y)

    return jax.tree.map(pick, a, b)
