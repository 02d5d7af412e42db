"""Devices in a mesh, and arrays on them and back, with one process or with several."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jax_unlearn.core import InputError

AXES = ("model", "data")
"""``data`` spreads the rows of a batch, ``model`` models that know nothing of each other."""


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


def _check_size(axis: str, size: Any, most: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
        raise InputError(
            f"{axis}={size!r}: expected a whole number, 1 to {most}, the number of devices"
            + (" left for it" if axis == "data" else "")
        )


def parse_mesh(text: str) -> Mesh:
    """Arrange all devices as a text says: ``data=8`` or ``model=4,data=2``; '' is all on ``data``.

    An axis that is left out has size 1.

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
    there = jax.device_count()
    model, data = sizes.get("model", 1), sizes.get("data", 1 if sizes else there)
    if model * data != there:
        raise InputError(
            f"mesh={text!r}: model={model} times data={data} is {model * data}, and there are "
            f"{there} devices; the sizes must multiply to {there}"
        )
    return make_mesh(data, model)


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
    return jax.tree.map(lambda x: _shard(x, sharding), tree)


def _shard(x: Any, sharding: jax.sharding.Sharding | None) -> jax.Array:
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
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
