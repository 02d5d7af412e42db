"""The one place where devices are arranged and arrays are laid out on them."""

from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jax_unlearn.core import InputError


def make_mesh(data: int | None = None) -> Mesh:
    """Arrange devices on the axis ``data``, over which the rows of a batch are spread.

    Args:
      data: number of devices; None takes all there are.

    Raises:
      InputError: there are fewer devices.
    """
    devices = jax.devices()
    data = len(devices) if data is None else data
    if isinstance(data, bool) or not isinstance(data, int) or not 1 <= data <= len(devices):
        raise InputError(
            f"data={data!r}: expected a whole number, 1 to {len(devices)}, the number of devices"
        )
    # Auto axes: under Explicit ones, indexing a sharded array inside jit is refused.
    return jax.make_mesh((data,), ("data",), (AxisType.Auto,), devices=devices[:data])


def replicated(mesh: Mesh) -> NamedSharding:
    """Placement of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def over_rows(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
    """Placement of an array whose axis number ``axis`` is spread over ``data``."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Lay a pytree of arrays out on devices; shares memory with what lies there already."""
    return jax.tree.map(lambda x: jax.device_put(x, sharding), tree)
