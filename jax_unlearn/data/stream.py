"""Datasets that do not fit in memory: images are read from TFDS records when a batch needs them.

Labels and ids are read once and cached, a few bytes an example; images stay in the records and
behave as one array, see :class:`jax_unlearn.data.lazy.LazyImages`. The engine asks for them in an
order that is a function of key and epoch: so a resumed run reads on where it stopped, and a
streamed run sees the same batches as one with the data in memory.

A plan for ImageNet (1,281,167 training images). Prepare it once with TFDS at one size: 224 x 224
uint8 is 150,528 bytes an image. Then

- placement on the device: 193 GB, more than most devices have; 100 classes are 19 GB and do fit.
- placement on the host: 193 GB for every process of a host, which some machines have. Gathering
  rows is copying memory; the link to the device carries what the steps take: at 2,500 images/s,
  the order of what ResNet-50 trains at in bfloat16 on one large GPU, 0.38 GB/s.
- streamed: on the device only the batches on their way, 4 of 256 rows x 150,528 bytes = 154 MB
  beside the float32 batch of the step, 154 MB; on the host READERS batches, 0.3 GB.
- decoding sets the rate. On one EPYC core Pillow decodes some 4,000 JPEGs of 224 x 224 (18 KB) a
  second, and 700 of 500 x 375 (66 KB) with the resizing to 224 x 224; read through this module it
  is 2,500 of the former, 0.4 ms each, of which 0.16 ms are Python's and no other thread can share
  them. One core or two feed such a GPU, and a process cannot pass some 6,000 images/s however many
  cores it has: start one process for each GPU. Resizing belongs to the preparation, where it is
  paid once and not in each of 90 epochs; images of different sizes are refused.
- with several processes each reads and decodes only its own devices' rows.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data.builders.prepare import UnwritableError
from jax_unlearn.data.dataset import Dataset, content_digest, warn_absent_classes
from jax_unlearn.data.image_options import AS_THEY_ARE, ImageOptions
from jax_unlearn.data.lazy import LazyImages
from jax_unlearn.data.loading import (
    Arrays,
    array_folder,
    assemble,
    cache_root,
    embedded,
    read_files,
    read_or_make,
    source_key,
    warn_uncached,
)
from jax_unlearn.data.npz import SPLITS
from jax_unlearn.data.own import is_own, load_own
from jax_unlearn.data.prepared import prepared_folder
from jax_unlearn.data.tfds_reader import (
    one_line,
    open_split,
    read_split,
    stack_images,
    unreadable,
)

READERS = 8
"""Batches that are read at the same time, each in a thread of its own."""


class Records(LazyImages):
    """The images of a prepared split, by position of their records.

    Safe to read from several threads. Reading raises InputError where records are damaged or
    images differ in size.
    """

    def __init__(self, folder: Path, split: str, identity: str):
        self._folder = folder
        self._records, _, self._decode = open_split(folder, split)
        self.identity = identity
        self.shape = (len(self._records), *self._read(np.array([0])).shape[1:])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """See :class:`jax_unlearn.data.lazy.LazyImages`."""
        if not len(rows):
            return np.empty((0, *self.shape[1:]), self.dtype)
        images = self._read(rows)
        if images.shape[1:] != self.shape[1:]:
            stack_images([images[0], np.empty(self.shape[1:])], self._folder)
        return images

    def batches(self, rows: Sequence[np.ndarray]) -> Generator[np.ndarray, None, None]:
        """As :meth:`read`; grain's threads read ahead."""
        import grain

        options = grain.ReadOptions(num_threads=READERS, prefetch_buffer_size=READERS)
        dataset = grain.MapDataset.source(_Batches(self, rows)).to_iter_dataset(options)
        iterator = iter(dataset)
        try:
            yield from iterator
        finally:
            iterator.close()

    def _read(self, rows: np.ndarray) -> np.ndarray:
        try:
            records = self._records.__getitems__(rows.tolist())
            images = self._decode([record["image"] for record in records])
        except InputError:
            raise
        except Exception as error:  # TFDS, array_record and pillow each have their own
            raise unreadable(self._folder, error) from error
        return stack_images(images, self._folder)


class _Batches:
    """What grain draws from: one item is one batch, so that it costs nothing per image."""

    def __init__(self, images: Records, rows: Sequence[np.ndarray]):
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._images.read(self._rows[index])


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedDataset(Dataset):
    """A dataset whose images are read when they are asked for; see :class:`Dataset`.

    Attributes:
      cache_dir: where its fingerprint is kept, see :func:`open_stream`.
      warned: whether the user has been told already that the cache cannot be written.
    """

    cache_dir: str | os.PathLike | None = None
    warned: bool = False

    @functools.cached_property
    def fingerprint(self) -> str:
        """See :class:`Dataset`: equal to that of the same data in memory, and kept in the cache.

        The first time it takes a pass over all the images.
        """
        splits = [part for part in (self.train, self.test, self.validation) if part is not None]
        names = [getattr(part.image, "identity", "") for part in splits]
        if not all(names):
            return content_digest(self)
        digest = hashlib.sha256(repr(names).encode())
        columns = (column for part in splits for column in part[1:])
        for array in (*columns, self.train_fine, self.test_fine):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).data)
        root = cache_root(self.cache_dir)
        folder = root / "fingerprints" / digest.hexdigest()
        stored, error = read_or_make(
            folder, ("fingerprint",), lambda: {"fingerprint": np.array(content_digest(self))}
        )
        if not self.warned:
            warn_uncached(root, error)
        return str(stored["fingerprint"])


def open_stream(
    name: str,
    data_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    *,
    download: bool = False,
    options: ImageOptions = AS_THEY_ARE,
) -> StreamedDataset:
    """Open a dataset without reading its images.

    The same dataset as :func:`jax_unlearn.data.load` gives: the same ids in the same order, the
    same fingerprint, the same requests. Train on it with ``placement='host'``. The first time, all
    records are read for their labels and ids.

    Args:
      name: as for :func:`jax_unlearn.data.load`, except ``.npz`` files; a dataset of the user's own
        must have :class:`jax_unlearn.data.lazy.LazyImages`.
      data_dir: root of prepared datasets; None means ``<cache_dir>/tfds``.
      cache_dir: folder of labels and ids; None means $JAX_UNLEARN_CACHE or ~/.cache/jax_unlearn.
      download: whether a missing archive may be downloaded from its official address.
      options: how a folder of images, or a dataset of Hugging Face, is read.

    Raises:
      InputError: as :func:`jax_unlearn.data.load`; also where grain is not installed, for an
        ``.npz``, or for a dataset of the user's own whose images are in memory.
    """
    name = str(name)
    found = read_files(
        *(name, data_dir, cache_dir), download=download, options=options, streamed=True
    )
    if found is not None:
        return _streamed(found, cache_dir)
    if name.lower().endswith(".npz"):
        raise InputError(
            f"dataset={name!r}: an .npz cannot be streamed: expected a dataset prepared by TFDS; "
            "or load it whole"
        )
    if is_own(name):
        return _own(name, data_dir, cache_dir)
    _need_grain()
    root = cache_root(cache_dir)
    try:
        folder = prepared_folder(name, data_dir, root, download=download)
    except UnwritableError as error:
        # Small enough to come without a file, so small enough for memory.
        whole = embedded(name, error)
        warn_uncached(root, error.reason)
        return _streamed(whole, cache_dir, warned=True)
    key = source_key(folder)
    (train, first), (test, second) = (_split(folder, split, key, root) for split in SPLITS)
    warn_uncached(root, first, second)
    whole = assemble(name, folder, train, test)
    warn_absent_classes(whole)
    return _streamed(whole, cache_dir, warned=first is not None or second is not None)


def _streamed(
    whole: Dataset, cache_dir: str | os.PathLike | None, *, warned: bool = False
) -> StreamedDataset:
    fields = {field.name: getattr(whole, field.name) for field in dataclasses.fields(Dataset)}
    return StreamedDataset(**fields, cache_dir=cache_dir, warned=warned)


def _own(
    name: str, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None
) -> StreamedDataset:
    dataset = load_own(name, data_dir)
    if not isinstance(dataset.train.image, LazyImages):
        raise InputError(
            f"dataset={name!r}: its images are in memory: expected "
            "jax_unlearn.data.lazy.LazyImages to stream from; load it whole"
        )
    return dataset if isinstance(dataset, StreamedDataset) else _streamed(dataset, cache_dir)


def _need_grain() -> None:
    try:
        import grain  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"dataset: cannot be streamed here ({one_line(error)}): expected grain to be "
            "installed; or load the dataset whole"
        ) from error


def _split(folder: Path, split: str, key: str, root: Path) -> tuple[Arrays, OSError | None]:
    arrays, error = read_or_make(
        array_folder(folder, f"{split}-index", key, root),
        ("position", "label", "id", "label_names"),
        functools.partial(read_split, folder, split, images=False),
    )
    images = Records(folder, split, f"{key} {split}").view(arrays["position"])
    return {**arrays, "image": images}, error
