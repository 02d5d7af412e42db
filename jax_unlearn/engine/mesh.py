"""The one place where devices are arranged and arrays are laid out on them."""

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jax_unlearn.core import InputError
from jax_unlearn.transfer import put

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
    """Placement of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def over_rows(mesh: Mesh, *, axis: int = 0) -> NamedSharding:
    """Placement of an array whose axis number ``axis`` is spread over ``data``."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def over_models(mesh: Mesh, *then: str | None) -> NamedSharding:
    """Placement of an array whose first axis is spread over ``model``, others as named."""
    return NamedSharding(mesh, PartitionSpec("model", *then))


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Lay a pytree of arrays out on devices; shares memory with what lies there already.

    With several processes each calls it with the same arrays.
    """
    return jax.tree.map(lambda x: put(x, sharding), tree)
