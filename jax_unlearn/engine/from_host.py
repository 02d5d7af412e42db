"""Batches that the host sends ahead, of a data set that is too large for the device."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from jax_unlearn.core import Augmentation, Batch, Pool, StepInfo
from jax_unlearn.data.lazy import batches
from jax_unlearn.engine import steps
from jax_unlearn.sharding import Layout, over_models, over_rows

BATCHES_AHEAD = 3
"""Batches on their way to the device while it works on another."""


class OnHost:
    """The pool in the host's memory, or not even there: a thread gathers and sends batches ahead.

    The batches are those of :class:`~jax_unlearn.engine.steps.OnDevice`, bit for bit. With several
    processes each gathers the rows of its own devices only.
    """

    def __init__(self, layout: Layout, pools: list[Pool], augment: Augmentation | None):
        self._pools = [_on_host(pool) for pool in pools]
        self._layout = layout
        shape = tuple(pools[0].image.shape[1:])
        self._options = {"image_shape": shape, "augment": augment, "layout": layout}
        self._left = 0
        self._thread: ThreadPoolExecutor | None = None
        self._pending: deque[Future] = deque()
        self._batches: Iterator[tuple[Pool, jax.Array]] = iter(())

    def begin(self, rows: list[np.ndarray], first: int, offset: int) -> None:
        """See :class:`~jax_unlearn.engine.steps.OnDevice`."""
        del first
        self.close()
        rows = [part[offset:] for part in rows]
        self._batches = self._sent(rows)
        self._left = len(rows[0])
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jax_unlearn-batches")
        for _ in range(BATCHES_AHEAD):
            self._ask()

    def draw(self, info: StepInfo) -> tuple[Batch, StepInfo, StepInfo]:
        """See :class:`~jax_unlearn.engine.steps.OnDevice`; raises what went wrong in the thread."""
        gathered, rows = self._pending.popleft().result()
        self._ask()
        if not self._pending:
            self.close()
        return steps.draw(gathered, rows, None, info, **self._options)

    def close(self) -> None:
        """End the thread; batches that are under way are dropped."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
        self._pending.clear()
        # Only now: a generator cannot be closed while the thread is inside it.
        self._batches, unfinished = iter(()), self._batches
        if hasattr(unfinished, "close"):
            unfinished.close()

    def _ask(self) -> None:
        if self._thread is not None and self._left:
            self._left -= 1
            self._pending.append(self._thread.submit(next, self._batches))

    def _sent(self, rows: list[np.ndarray]) -> Iterator[tuple[Pool, jax.Array]]:
        """Gather the batches of rows [steps, B] of each model and lay them out on devices."""
        shares = _Shares(self._layout, len(rows), rows[0].shape[1])
        wanted = {model: rows[model][:, columns] for model, columns in shares.columns.items()}
        streams: dict[int, Any] = {
            model: batches(self._pools[model].image, list(np.maximum(mine, 0)))
            for model, mine in wanted.items()
        }
        try:
            for step in range(len(rows[0])):
                own = {model: mine[step] for model, mine in wanted.items()}
                gathered = {
                    model: _gather(self._pools[model], np.maximum(own[model], 0), next(stream))
                    for model, stream in streams.items()
                }
                yield shares.shard(gathered), shares.shard(own)
        finally:
            for stream in streams.values():
                stream.close()


class _Shares:
    """Which columns of a batch this process's devices hold, of which models.

    Attributes:
      columns: model -> int [b], increasing.
    """

    def __init__(self, layout: Layout, models: int, size: int):
        self._stacked = layout.stacked
        self._lead = (models, size) if self._stacked else (size,)
        self._sharding = (
            over_models(layout.mesh, "data") if self._stacked else over_rows(layout.mesh)
        )
        held: dict[int, set[int]] = {}
        for index in self._sharding.addressable_devices_indices_map(self._lead).values():
            for model, columns in self._parts(index):
                held.setdefault(model, set()).update(columns)
        self.columns = {model: np.array(sorted(columns)) for model, columns in held.items()}

    def shard(self, own: dict[int, Any]) -> Any:
        """Lay out what was gathered of each model for its ``columns``: trees of arrays [b, ...]."""
        models = list(own)
        return jax.tree.map(
            lambda *leaves: self._array(dict(zip(models, leaves, strict=True))), *own.values()
        )

    def _array(self, own: dict[int, np.ndarray]) -> jax.Array:
        tail = next(iter(own.values())).shape[1:]

        def part(index: Any) -> np.ndarray:
            parts = []
            for model, columns in self._parts(index):
                first = np.searchsorted(self.columns[model], columns.start)
                parts.append(own[model][first : first + len(columns)])
            return np.stack(parts) if self._stacked else parts[0]

        return jax.make_array_from_callback((*self._lead, *tail), self._sharding, part)

    def _parts(self, index: Any) -> list[tuple[int, range]]:
        """Models and columns of a shard."""
        models = range(self._lead[0])[index[0]] if self._stacked else (0,)
        columns = range(self._lead[-1])[index[int(self._stacked)]]
        return [(model, columns) for model in models]


def _on_host(pool: Pool) -> Pool:
    """The pool in the host's memory, in the types that devices would have."""

    def column(x: Any) -> np.ndarray:
        x = np.asarray(x)
        return x.astype(jax.dtypes.canonicalize_dtype(x.dtype), copy=False)

    # Images that are not in memory stay unread.
    image = np.asarray(pool.image) if isinstance(pool.image, jax.Array) else pool.image
    return _without_images(column, pool)._replace(image=image)


def _gather(pool: Pool, positions: np.ndarray, images: np.ndarray) -> Pool:
    """The pool's rows at int positions [B], with their images, which were read apart."""
    return _without_images(lambda column: column[positions], pool)._replace(image=images)


def _without_images(fn: Callable[[Any], Any], pool: Pool) -> Any:
    """Apply a function to the pool's other columns; None stands where the images were."""
    columns: Any = pool
    return jax.tree.map(fn, columns._replace(image=None))
