"""Devices in a mesh, and arrays and whole models laid out on them; in one process or several."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from jax_unlearn.backend import traced_for
from jax_unlearn.core import InputError
from jax_unlearn.wording import agree, counted

_LAYOUT = jax.make_user_context(default_value=None)
"""Layout of the models whose program is being traced; part of the key of jit."""

AXES = ("model", "data")
"""``data`` splits the rows of a batch; ``model`` holds models that are independent."""

_ROWS = PartitionSpec("data")
"""An array whose first axis is split over ``data``."""


def make_mesh(
    data: int | None = None, model: int = 1, *, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Arrange devices on the axes ``model`` and ``data``.

    Args:
      data: number of devices that share a batch; None takes all there are for each model.
      model: number of models trained at the same time.
      devices: the devices; None takes all, those of other processes too.

    Raises:
      InputError: there are fewer devices than that.
    """
    devices = jax.devices() if devices is None else list(devices)
    _check_size("model", model, len(devices))
    data = len(devices) // model if data is None else data
    _check_size("data", data, len(devices) // model)
    # Auto axes: under Explicit ones, indexing a sharded array inside jit is refused.
    return jax.make_mesh((model, data), AXES, (AxisType.Auto,) * 2, devices=devices[: model * data])


def check_mesh(mesh: Any) -> None:
    """Raise InputError for a mesh that is not of the kind that :func:`make_mesh` arranges."""
    if not isinstance(mesh, Mesh):
        found = f"a {type(mesh).__name__}"
    elif mesh.axis_names != AXES:
        found = f"axes {', '.join(map(str, mesh.axis_names))}"
    elif set(mesh.axis_types) != {AxisType.Auto}:
        found = f"axes of types {', '.join(kind.name for kind in mesh.axis_types)}"
    else:
        return
    raise InputError(
        f"mesh: {found}; expected axes {' and '.join(AXES)} of type Auto, as of "
        "jax_unlearn.make_mesh(data, model, devices=...)"
    )


def _check_size(axis: str, size: Any, most: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
        raise InputError(
            f"{axis}={size!r}: expected a whole number, 1 to {most}, the number of devices"
            + (" left for it" if axis == "data" else "")
        )


def parse_mesh(text: str, *, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Arrange all devices by a text: ``data=8`` or ``model=4,data=2``; '' is all on ``data``.

    An axis that is left out is of size 1.

    Args:
      text: sizes by axis.
      devices: the devices; None takes all, those of other processes too.

    Raises:
      InputError: the text names another axis or one twice, or the sizes do not multiply to the
        number of devices.
    """
    sizes: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        axis, _, size = (piece.strip() for piece in part.partition("="))
        if axis not in AXES or axis in sizes or not size.isdecimal() or int(size) < 1:
            raise InputError(
                f"mesh={text!r}: expected axes {' and '.join(AXES)}, each once with a size of 1 or "
                "more, such as data=8 or model=4,data=2"
            )
        sizes[axis] = int(size)
    there = jax.device_count() if devices is None else len(devices)
    model, data = sizes.get("model", 1), sizes.get("data", 1 if sizes else there)
    if model * data != there:
        raise InputError(
            f"mesh={text!r}: model={model} times data={data} is {model * data}, and there "
            f"{agree(there, 'is', 'are')} {counted(there, 'device')}; the sizes must multiply to "
            f"{there}"
        )
    return make_mesh(data, model, devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def over_rows(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
    """Sharding of an array whose axis number ``axis`` is split over ``data``."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def over_models(mesh: Mesh, *then: str | None) -> NamedSharding:
    """Sharding of an array whose first axis is split over ``model``, others as named."""
    return NamedSharding(mesh, PartitionSpec("model", *then))


def batch_sharding(variables: Any) -> NamedSharding | None:
    """Return the sharding of a batch beside these variables; None where no mesh holds them."""
    for leaf in jax.tree.leaves(variables):
        sharding = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and "data" in sharding.mesh.axis_names:
            return NamedSharding(sharding.mesh, PartitionSpec("data"))
    return None


def shard(tree: Any, sharding: jax.sharding.Sharding | None) -> Any:
    """Lay a pytree of arrays out on devices; shares memory with what lies there already.

    Every process calls it with the same arrays.

    Args:
      tree: pytree of arrays and scalars; an array on devices of several processes must be
        replicated there.
      sharding: of every leaf; None is the default device.
    """
    if sharding is None or sharding.is_fully_addressable:
        # All leaves in one call: one by one, small trees would take a tenth of a short step.
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: _shard(x, sharding), tree)


def _shard(x: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """Lay out a leaf on devices of several processes."""
    if isinstance(x, jax.Array):
        if not x.is_fully_addressable:
            return jax.device_put(x, sharding)
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = _shard(jax.random.key_data(x), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    x = np.asarray(x)
    # Not device_put: it would have the processes compare their arrays at every call.
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def to_host(x: Any) -> np.ndarray:
    """Read an array back, also one that is sharded over the devices of several processes."""
    if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(x, tiled=True)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Models on a mesh; a static argument of everything that is compiled.

    Several models are stacked: every array has a first axis of models, split over the mesh's axis
    ``model``. Each device works on its own model, so no program communicates between models. One
    model is not stacked, and its program is the plain one.

    Attributes:
      mesh: the devices, on the axes ``model`` and ``data``; of size 1 on ``model`` unless stacked.
      stacked: whether models lie side by side.
      splits_pool: whether the rows of a model's pool are split over its devices, too, each of which
        draws from its own; otherwise every device has them all.
    """

    mesh: Mesh
    stacked: bool = False
    splits_pool: bool = False

    @property
    def num_models(self) -> int:
        """How many models are trained at the same time."""
        return self.mesh.shape["model"] if self.stacked else 1

    @property
    def batch_shards(self) -> int:
        """Among how many devices a model's batch is split; its rows are padded to a multiple."""
        return self.mesh.shape["data"]

    @property
    def pool_shards(self) -> int:
        """Among how many devices a model's pool is split; 1 where each holds all of it."""
        return self.batch_shards if self.splits_pool else 1

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

    def first(self, count: int) -> "Layout":
        """The layout of ``count`` models, on the first devices of this one."""
        mesh = self.mesh
        fewer = Mesh(mesh.devices[:count], mesh.axis_names, axis_types=mesh.axis_types)
        return dataclasses.replace(self, mesh=fewer)

    def each(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function of one model's trees one of this layout's trees, inside jit."""

        def traced(*trees: Any) -> Any:
            with traced_for(self.platform), _LAYOUT(self):
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

    def apart(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function of rows one of split rows, inside :meth:`each`.

        Each device applies it to its own rows, and nothing is exchanged. Where pools are not split
        the function is as it was.
        """
        return self._over_rows(fn, _ROWS) if self.splits_pool else fn

    def _over_rows(self, fn: Callable[..., Any], in_specs: Any) -> Callable[..., Any]:
        # Of models side by side the mesh is the one of the function around this one.
        mesh = {} if self.stacked else {"mesh": self.mesh}
        return jax.shard_map(
            fn, **mesh, in_specs=in_specs, out_specs=_ROWS, axis_names={"data"}, check_vma=False
        )

    def from_parts(self, shape: Sequence[int], part: Callable[[int, slice], Any]) -> jax.Array:
        """Lay out an array of each model, split along its first axis, a part at a time.

        Args:
          shape: of one model's array.
          part: rows of a model's array, NumPy; called for those of this process's devices.
        """

        def made(index: Any) -> Any:
            if not self.stacked:
                return part(0, index[0])
            return np.stack([part(n, index[1]) for n in range(self.num_models)[index[0]]])

        lead = (self.num_models,) if self.stacked else ()
        return jax.make_array_from_callback((*lead, *shape), self._sharding("data"), made)

    def shard(self, trees: list[Any]) -> Any:
        """Lay out each model's tree, whole on each of the model's devices."""
        return self._shard(trees, self._sharding())

    def shard_rows(self, rows: list[Any], axis: int) -> Any:
        """Lay out each model's tree of arrays, split along the axis of a batch's rows."""
        return self._shard(rows, self._sharding(*[None] * axis, "data"))

    def shapes(self, tree: Any) -> Any:
        """Shapes of what :meth:`shard` lays out of trees like this one; no device is touched."""
        return self._shapes(tree, self._sharding())

    def shapes_of_rows(self, tree: Any, axis: int) -> Any:
        """Shapes of what :meth:`shard_rows` lays out of trees like this one."""
        return self._shapes(tree, self._sharding(*[None] * axis, "data"))

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*["model"] * self.stacked, *axes))

    def _shard(self, trees: list[Any], sharding: NamedSharding) -> Any:
        return shard(jax.tree.map(_stack, *trees) if self.stacked else trees[0], sharding)

    def _shapes(self, tree: Any, sharding: NamedSharding) -> Any:
        lead = (self.num_models,) if self.stacked else ()

        def of(x: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype, sharding=sharding)

        return jax.tree.map(of, tree)

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


@contextlib.contextmanager
def tracing_on(layout: Layout | None) -> Iterator[None]:
    """Trace for a layout, outside :meth:`Layout.each`: what :func:`split_rows` goes by."""
    with contextlib.nullcontext() if layout is None else _LAYOUT(layout):
        yield


def layout_of(sharding: jax.sharding.Sharding | None) -> Layout | None:
    """The layout of one model whose batches have a sharding; None where they are not split."""
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return None
    splits = set(AXES) <= set(sharding.mesh.axis_names) and "data" in sharding.spec[:1]
    return Layout(sharding.mesh) if splits else None


def split_rows(
    fn: Callable[[Any, Any], Any],
    rows: Any,
    whole: Any,
    *,
    mesh: Mesh | AbstractMesh | None = None,
) -> Any:
    """Apply a function of rows, each by itself, where they lie.

    Each device applies it to its own rows, and derivatives of what it has whole are summed over
    devices in the type in which they leave the function. Where no layout is traced for (see
    :meth:`Layout.each` and :func:`tracing_on`), and where devices do not divide the rows, it is the
    plain call, unless a mesh is given.

    Args:
      fn: ``fn(rows, whole)``, a pytree of arrays of as many rows.
      rows: pytree of arrays [B, ...].
      whole: pytree of what all rows share.
      mesh: whose axis ``data`` splits the rows, outside :meth:`Layout.each`.
    """
    around = jax.sharding.get_abstract_mesh()
    if dict(zip(around.axis_names, around.axis_types, strict=True)).get("data") == AxisType.Manual:
        # These are a device's own rows already.
        return fn(rows, whole)
    if mesh is not None:
        return jax.shard_map(
            fn, mesh=mesh, in_specs=(_ROWS, PartitionSpec()), out_specs=_ROWS, check_vma=False
        )(rows, whole)
    layout: Layout | None = _LAYOUT.value
    if layout is None or not layout.communicates or _length(rows) % layout.batch_shards:
        return fn(rows, whole)
    return layout._over_rows(fn, (_ROWS, PartitionSpec()))(rows, whole)


def _length(rows: Any) -> int:
    return len(jax.tree.leaves(rows)[0])


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
