"""Loading a dataset by name: prepared by TFDS, decoded once, then read from a cache."""

import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from jax_unlearn.core import Examples, InputError
from jax_unlearn.data.builders import SOURCES, Source
from jax_unlearn.data.builders.prepare import UnwritableError
from jax_unlearn.data.cache import Arrays, cache_root, read_or_make, warn_uncached
from jax_unlearn.data.dataset import Dataset, warn_absent_classes
from jax_unlearn.data.npz import SPLITS, load_npz
from jax_unlearn.data.own import load_own
from jax_unlearn.data.prepared import COARSE, parse_name, plain_name, prepared_folder
from jax_unlearn.data.tfds_reader import read_split
from jax_unlearn.user_code import is_reference

READER = 2
"""Changes whenever the same records would give other arrays, so that old caches are not read."""


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    *,
    download: bool = False,
) -> Dataset:
    """Load a dataset into memory as uint8 images.

    ``digits`` needs nothing. The others are read from ``data_dir/<name>/<version>``, as TFDS
    prepares it in array_record, whoever prepared it; or prepared there from the original archive,
    which lies in ``data_dir`` or ``data_dir/downloads/manual``. Images are decoded once and cached
    as arrays, keyed by name, version, split and what lies in that folder; where the cache cannot
    be written, a warning says so.

    Args:
      name: ``digits``, ``cifar10``, ``cifar100``, ``cifar20`` (CIFAR-100's images with the 20
        superclasses as labels), ``tiny_imagenet200``; any dataset with the features image (uint8)
        and label and the splits train and test that is prepared in ``data_dir``, written as TFDS
        writes it (``name``, ``name/config``, ``name:1.0.0``); the path of an ``.npz`` (see
        :func:`jax_unlearn.data.load_npz`); or ``FILE.py:NAME`` or ``pkg.module:NAME``, a
        :class:`Dataset` of the user's own or a function that returns one. It is called with
        ``data_dir`` if it has an argument of that name, else without any.
      data_dir: root of prepared datasets, or the folder of this very dataset; None means
        ``<cache_dir>/tfds``.
      cache_dir: folder of decoded arrays; None means $JAX_UNLEARN_CACHE or ~/.cache/jax_unlearn.
      download: whether a missing archive may be downloaded from its official address.

    Raises:
      InputError: if the name is unknown, the folder is missing or holds something else, the
        dataset is stored as tfrecord, its images are not uint8 or have another number of channels
        than it says, or the user's own code fails.
    """
    name = str(name)
    if name.lower().endswith(".npz"):
        return load_npz(name)
    if is_reference(name):
        return load_own(name, data_dir)
    root = cache_root(cache_dir)
    try:
        folder = prepared_folder(name, data_dir, root, download=download)
    except UnwritableError as error:
        dataset = embedded(name, error)
        warn_uncached(root, error.reason)
        return dataset
    key = source_key(folder)
    (train, first), (test, second) = (
        read_or_make(
            array_folder(folder, split, key, root),
            ("image", "label", "id", "label_names"),
            functools.partial(read_split, folder, split),
        )
        for split in SPLITS
    )
    warn_uncached(root, first, second)
    dataset = assemble(name, folder, train, test)
    warn_absent_classes(dataset)
    return dataset


def embedded(name: str, error: UnwritableError) -> Dataset:
    """Make a dataset that comes without any file straight from its source.

    Args:
      name: of the dataset.
      error: why it cannot be prepared; raised again for a dataset that comes in a file.
    """
    source = SOURCES[parse_name(name).name]
    if source.archive:
        raise error
    train, test = _embedded_arrays(source)
    return assemble(name, Path(), train, test)


def _embedded_arrays(source: Source) -> tuple[Arrays, Arrays]:
    content = source.read(None)
    train, test = (
        {
            "image": np.asarray(rows.image),
            "label": rows.label.astype(np.int32),
            "id": rows.id.astype(np.int64),
            "label_names": np.array(content.class_names),
        }
        for rows in (content.train, content.test)
    )
    return train, test


def assemble(name: str, folder: Path, train: Arrays, test: Arrays) -> Dataset:
    """Make a dataset of what was read of its splits, with coarse labels where ``name`` has them."""
    name = plain_name(name)
    class_names = tuple(map(str, train["label_names"]))
    learned, held_out = (Examples(a["image"], a["label"], a["id"]) for a in (train, test))
    if name not in COARSE:
        return Dataset(name, learned, held_out, len(class_names), class_names)
    if "coarse_label" not in train:
        raise InputError(
            f"dataset={name!r}: {folder} stores no coarse_label: expected CIFAR-100 with both; "
            "prepare it from the original binary archive"
        )
    coarse_names = tuple(map(str, train["coarse_label_names"]))
    return Dataset(
        name,
        learned._replace(label=train["coarse_label"]),
        held_out._replace(label=test["coarse_label"]),
        len(coarse_names),
        coarse_names,
        train_fine=train["label"],
        test_fine=test["label"],
        fine_names=class_names,
    )


def array_folder(folder: Path, split: str, key: str, root: Path) -> Path:
    """Where the arrays of a split are cached; ``key`` is :func:`source_key`'s."""
    return root / "arrays" / f"{folder.parent.name}-{folder.name}-{key}-{split}"


def source_key(folder: Path) -> str:
    """Twelve digits that change with where the prepared files lie, each of them and the reader."""
    files = sorted(p for p in folder.iterdir() if p.is_file())
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(repr((READER, str(folder.resolve()), stats)).encode()).hexdigest()[:12]
