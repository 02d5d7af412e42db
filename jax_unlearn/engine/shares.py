"""A pool split over a model's devices, for a data set that does not fit on each of them.

Every device draws its part of every batch from its own share of the rows, so that no step moves
images between devices. A method's order is kept by asking for it once for each device: with the
device's share as the pool, and its share of the batch. Batches therefore depend on the number of
devices, and here alone.
"""

import math
from collections.abc import Iterable
from typing import Any

import chex
import jax
import numpy as np

from jax_unlearn.core import Augmentation, InputError, Pool, Unlearner
from jax_unlearn.engine.steps import OnDevice, RunKeys
from jax_unlearn.sharding import Layout

_DEALING = 0x73686172
"""What the key of a run's pool is folded with to deal its rows out."""


def deal(role: np.ndarray, key: chex.PRNGKey, devices: int) -> tuple[np.ndarray, np.ndarray]:
    """Deal rows out at random, of every role as many to each device.

    Args:
      role: of each row, int [M].
      key: randomness.
      devices: how many.

    Returns:
      Positions of each device's rows, int [devices, S], increasing; and which of them stand there
      to fill up, bool [devices, S], since a role's rows are not divided by the devices. Every row
      stands once where it does not fill up.
    """
    parts, fillers = [], []
    for each in np.unique(role):
        mine = np.flatnonzero(role == each)
        order = np.asarray(jax.random.permutation(jax.random.fold_in(key, each), len(mine)))
        size = count_dealt([len(mine)], devices)
        parts.append(np.resize(mine[order], size).reshape(-1, devices).T)
        fillers.append((np.arange(size) >= len(mine)).reshape(-1, devices).T)
    rows, filler = np.concatenate(parts, axis=1), np.concatenate(fillers, axis=1)
    # Images that are read from a disk are read from its beginning to its end.
    order = np.argsort(rows, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(filler, order, axis=1)


def count_dealt(rows: Iterable[int], devices: int) -> int:
    """How many rows :func:`deal` deals out in all, of as many as each role has."""
    return sum(-(-count // devices) * devices for count in rows)


class Shares:
    """The shares of a pool that a model's devices hold, and the order in which they draw.

    Attributes:
      rows: positions in the pool, int [devices, S].
      filler: which of them stand there to fill up, bool [devices, S].
    """

    def __init__(self, unlearner: Unlearner, pool: Pool, keys: RunKeys, devices: int):
        key = jax.random.fold_in(keys.pool, _DEALING)
        self.rows, self.filler = deal(np.asarray(pool.role), key, devices)
        self._method = unlearner.split_batches(devices)
        bare = pool._replace(image=np.empty((len(pool.label), 0, 0, 0), np.uint8))
        self._own = [jax.tree.map(lambda x, own=own: np.asarray(x)[own], bare) for own in self.rows]
        self._key = keys.batch_indices
        self._check(unlearner, bare)

    def _check(self, unlearner: Unlearner, pool: Pool) -> None:
        """Raise InputError where what the devices draw together are not the method's batches."""
        whole = np.shape(unlearner.batch_indices(self._key, 0, pool))
        dealt = self.order(0).shape
        if whole != dealt:
            raise InputError(
                f"placement='sharded': {type(unlearner).__name__} has steps x rows "
                f"{whole[0]} x {whole[1]}, and of {len(self.rows)} devices' shares "
                f"{dealt[0]} x {dealt[1]}: expected the same; pass placement='device' or 'host'"
            )

    def order(self, epoch: int) -> np.ndarray:
        """Which rows of its own each device draws in an epoch, int32 [steps, B].

        Columns belong to the devices in turn. What is negative is padding: -1, or ``~row`` for a
        row that fills up, so that what is gathered in its place has its role.
        """
        parts = []
        for device, own in enumerate(self._own):
            key = jax.random.fold_in(self._key, device)
            rows = np.asarray(self._method.batch_indices(key, epoch, own), np.int32)
            fills = (rows >= 0) & self.filler[device][rows]
            parts.append(np.where(fills, ~rows, rows))
        return np.concatenate(parts, axis=1)


class OnShares(OnDevice):
    """Batches of pools that are split over their models' devices."""

    def __init__(
        self,
        layout: Layout,
        pools: list[Pool],
        augment: Augmentation | None,
        shares: list[Shares],
    ):
        rows = [of.rows.reshape(-1) for of in shares]
        self._prepare(
            layout, _lay_out(layout, pools, rows), tuple(pools[0].image.shape[1:]), augment
        )


def _lay_out(layout: Layout, pools: list[Pool], rows: list[np.ndarray]) -> Pool:
    """Each model's rows on its devices; of images that are in no memory a share at a time is."""

    def column(*of: Any, flat: bool = False) -> jax.Array:
        dtype = jax.dtypes.canonicalize_dtype(of[0].dtype)
        held = [x if hasattr(x, "read") else np.asarray(x) for x in of]
        tail = (math.prod(of[0].shape[1:]),) if flat else of[0].shape[1:]

        def part(model: int, chosen: slice) -> np.ndarray:
            mine = held[model][rows[model][chosen]].astype(dtype, copy=False)
            return mine.reshape(len(mine), *tail)

        return layout.from_parts((len(rows[0]), *tail), part)

    bare: list[Any] = list(pools)
    columns = jax.tree.map(column, *[pool._replace(image=None) for pool in bare])
    return columns._replace(image=column(*[pool.image for pool in pools], flat=True))
