"""Images that are not in memory: read when they are asked for, seen as one uint8 array."""

import hashlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

import jax
import numpy as np


class LazyImages:
    """Images behind the ``[]`` of an array; subclasses say how rows are read.

    Indexing reads: by int positions of any shape, a bool mask or a slice. :meth:`view` and
    ``numpy.concatenate`` do not. ``numpy.asarray`` and NumPy's other functions read everything.

    Attributes:
      shape: (N, H, W, C).
      dtype: uint8.
      ndim: 4.
      identity: text that is the same only for the same images; '' where there is none.
    """

    shape: tuple[int, int, int, int]
    dtype = np.dtype(np.uint8)
    ndim = 4
    identity: str = ""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Images at int positions [B], each in [0, N): a fresh uint8 array [B, H, W, C]."""
        raise NotImplementedError

    def batches(self, rows: Sequence[np.ndarray]) -> Generator[np.ndarray, None, None]:
        """Yield what :meth:`read` gives for each of ``rows``; the place to read ahead."""
        for batch in rows:
            yield self.read(batch)

    def in_memory(self, rows: np.ndarray) -> np.ndarray:
        """As :meth:`read`, of rows that may be all there are."""
        return self.read(rows)

    def view(self, rows: np.ndarray) -> "LazyImages":
        """The images at int positions [M] or under a bool mask [N], still unread."""
        return Selected(self, self._positions(rows))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = self._positions(index)
        return self.read(rows.reshape(-1)).reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("copy=False: images that are not in memory are always copied")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __array_function__(self, function: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions: what only arranges images, or asks for their shape, reads none."""
        del types
        if function is np.concatenate and len(args) == 1 and not kwargs:
            return Joined(*args)
        if function is np.shape:
            return self.shape
        read = jax.tree.map(lambda x: x[:] if isinstance(x, LazyImages) else x, (args, kwargs))
        return function(*read[0], **read[1])

    def _positions(self, index: Any) -> np.ndarray:
        count = len(self)
        if isinstance(index, slice):
            return np.arange(*index.indices(count))
        index = np.asarray(index)
        if index.dtype == bool:
            if index.shape != (count,):
                raise IndexError(f"mask {list(index.shape)}: expected one bool for {count} images")
            return np.flatnonzero(index)
        if index.dtype.kind not in "iu":
            raise IndexError(f"index of {index.dtype}: expected positions, a mask or a slice")
        if index.size and not -count <= index.min() <= index.max() < count:
            raise IndexError(f"positions {index.min()} to {index.max()} of {count} images")
        return np.where(index < 0, index + count, index)


class Selected(LazyImages):
    """Some of the images of another, in an order of their own."""

    _images: LazyImages
    _rows: np.ndarray

    def __init__(self, images: LazyImages, rows: np.ndarray):
        if isinstance(images, Selected):
            rows = images._rows[rows]
            images = images._images
        self._images, self._rows = images, rows
        self.shape = (len(rows), *images.shape[1:])

    @property
    def identity(self) -> str:  # type: ignore[override]  # only when it is asked for
        """That of the images, and which of them these are."""
        which = hashlib.sha256(self._rows.astype("<i8").tobytes()).hexdigest()
        return self._images.identity and f"{self._images.identity} {which}"

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`LazyImages`."""
        return self._images.read(self._rows[rows])

    def in_memory(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`LazyImages`."""
        return self._images.in_memory(self._rows[rows])

    def batches(self, rows: Sequence[np.ndarray]) -> Generator[np.ndarray, None, None]:
        """See :class:`LazyImages`."""
        return self._images.batches([self._rows[batch] for batch in rows])


class Joined(LazyImages):
    """Several sets of images one after another, some in memory and some not."""

    def __init__(self, parts: Sequence[Any]):
        self._parts = [part if isinstance(part, LazyImages) else np.asarray(part) for part in parts]
        self._ends = np.cumsum([len(part) for part in self._parts])
        self.shape = (int(self._ends[-1]), *self._parts[0].shape[1:])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`LazyImages`."""
        owner = self._owner(rows)
        return self._assemble(
            owner, [part[self._own(rows, owner, k)] for k, part in enumerate(self._parts)]
        )

    def batches(self, rows: Sequence[np.ndarray]) -> Generator[np.ndarray, None, None]:
        """See :class:`LazyImages`."""
        owners = [self._owner(batch) for batch in rows]
        streams = [
            batches(
                part,
                [self._own(batch, owner, k) for batch, owner in zip(rows, owners, strict=True)],
            )
            for k, part in enumerate(self._parts)
        ]
        try:
            for owner in owners:
                yield self._assemble(owner, [next(stream) for stream in streams])
        finally:
            for stream in streams:
                stream.close()

    def _owner(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._ends, rows, side="right")

    def _own(self, rows: np.ndarray, owner: np.ndarray, k: int) -> np.ndarray:
        return rows[owner == k] - (self._ends[k] - len(self._parts[k]))

    def _assemble(self, owner: np.ndarray, pieces: Sequence[np.ndarray]) -> np.ndarray:
        images = np.empty((len(owner), *self.shape[1:]), self.dtype)
        for k, piece in enumerate(pieces):
            images[owner == k] = piece
        return images


def batches(images: Any, rows: Sequence[np.ndarray]) -> Generator[np.ndarray, None, None]:
    """Yield ``images[batch]`` for each int [B] of ``rows``; lazy images may read ahead."""
    if isinstance(images, LazyImages):
        yield from images.batches(rows)
    else:
        for batch in rows:
            yield images[batch]
