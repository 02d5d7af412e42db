"""Loading a dataset by name: prepared by TFDS, decoded once, then read as arrays from a cache."""

import functools
import hashlib
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import Examples, InputError
from jax_unlearn.data.builders import SOURCES, Source
from jax_unlearn.data.builders.prepare import UnwritableError
from jax_unlearn.data.dataset import Dataset, warn_absent_classes
from jax_unlearn.data.folder import image_folder, load_folder, open_folder
from jax_unlearn.data.hub import PREFIX, load_hub
from jax_unlearn.data.image_options import AS_THEY_ARE, ImageOptions, refuse_options
from jax_unlearn.data.npz import SPLITS, load_npz
from jax_unlearn.data.own import is_own, load_own
from jax_unlearn.data.prepared import COARSE, parse_name, plain_name, prepared_folder
from jax_unlearn.data.tfds_reader import read_split

READER = 2
"""Changes whenever the same records would give other arrays, so that old caches are not read."""


ENVIRONMENT = "JAX_UNLEARN_CACHE"

Arrays = Mapping[str, Any]
"""Arrays by name."""


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
    *,
    download: bool = False,
    options: ImageOptions = AS_THEY_ARE,
) -> Dataset:
    """Load a dataset into memory as uint8 images.

    ``digits`` needs nothing. The others are read from ``data_dir/<name>/<version>``, as TFDS
    prepares it in array_record, whoever prepared it; or prepared there from the original archive,
    which lies in ``data_dir`` or ``data_dir/downloads/manual``. Images are decoded once and cached
    as arrays, keyed by name, version, split and what lies in that folder; where the cache cannot
    be written, a warning says so.

    Args:
      name: ``digits``, ``cifar10``, ``cifar100``, ``cifar20`` (CIFAR-100's images with the 20
        superclasses as labels), ``svhn``, ``tiny_imagenet200``; any dataset with the features
        image (uint8) and label and the splits train and test that is prepared in ``data_dir``,
        written as TFDS writes it (``name``, ``name/config``, ``name:1.0.0``); the path of an
        ``.npz`` (see :func:`jax_unlearn.data.load_npz`) or of a folder of images (see
        :func:`jax_unlearn.data.load_folder`); ``hf:`` and a repository of Hugging Face or the path
        of its files (see :func:`jax_unlearn.data.hub.load_hub`); or ``FILE.py:NAME``,
        ``pkg.module:NAME`` or an installed package's entry point in the group
        ``jax_unlearn.datasets``, a :class:`Dataset` of the user's own or a function that returns
        one. It is called with ``data_dir`` if it has an argument of that name, else without any.
      data_dir: root of prepared datasets, or the folder of this very dataset; None means
        ``<cache_dir>/tfds``.
      cache_dir: folder of decoded arrays; None means $JAX_UNLEARN_CACHE or ~/.cache/jax_unlearn.
      download: whether a missing archive may be downloaded from its official address.
      options: how a folder of images, or a dataset of Hugging Face, is read.

    Raises:
      InputError: if the name is unknown, the folder is missing or holds something else, the
        dataset is stored as tfrecord, its images are not uint8 or have another number of channels
        than it says, or the user's own code fails.
    """
    name = str(name)
    found = read_files(name, data_dir, cache_dir, download=download, options=options)
    if found is not None:
        return found
    if name.lower().endswith(".npz"):
        return load_npz(name)
    if is_own(name):
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


def read_files(
    name: str,
    data_dir: str | os.PathLike | None,
    cache_dir: str | os.PathLike | None,
    *,
    download: bool,
    options: ImageOptions,
    streamed: bool = False,
) -> Dataset | None:
    """Read a dataset whose images are files of many shapes; None where it is of another kind.

    Args:
      name: as for :func:`load`.
      data_dir: as for :func:`load`.
      cache_dir: as for :func:`load`.
      download: as for :func:`load`.
      options: how they are read.
      streamed: whether images are read only when they are used.

    Raises:
      InputError: it cannot be read, or another kind of dataset is given options.
    """
    if name.startswith(PREFIX):
        if data_dir is not None:
            raise InputError(
                f"data_dir={str(data_dir)!r}: {name} is found by its name: expected none; drop it"
            )
        # Else where datasets keeps its own.
        chosen = cache_dir or os.environ.get(ENVIRONMENT)
        cache = cache_root(cache_dir) / "huggingface" if chosen else None
        return load_hub(name, options, download=download, cache=cache, streamed=streamed)
    other = name.lower().endswith(".npz") or is_own(name)
    folder = None if other else image_folder(name, data_dir)
    if folder is not None:
        return (open_folder if streamed else load_folder)(folder, options)
    refuse_options(name, options)
    return None


def embedded(name: str, error: UnwritableError) -> Dataset:
    """Make a dataset that comes without any file straight from its source.

    Args:
      name: of the dataset.
      error: why it cannot be prepared; raised again for a dataset that comes in a file.
    """
    source = SOURCES[parse_name(name).name]
    if source.archives:
        raise error
    train, test = _embedded_arrays(source)
    return assemble(name, Path(), train, test)


def _embedded_arrays(source: Source) -> tuple[Arrays, Arrays]:
    content = source.read()
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
    """Twelve hex digits that change with the place, any file or the reader of prepared data."""
    files = sorted(p for p in folder.iterdir() if p.is_file())
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(repr((READER, str(folder.resolve()), stats)).encode()).hexdigest()[:12]


def cache_root(cache_dir: str | os.PathLike | None = None) -> Path:
    """Folder of everything cached: the argument, $JAX_UNLEARN_CACHE or ~/.cache/jax_unlearn.

    For a user without a home, as in some containers, it is among the temporary files.

    Raises:
      InputError: the path starts with the home of a user that does not exist.
    """
    chosen = cache_dir or os.environ.get(ENVIRONMENT)
    if not chosen:
        try:
            return Path.home() / ".cache" / "jax_unlearn"
        except RuntimeError:
            return Path(tempfile.gettempdir()) / f"jax_unlearn-{os.getuid()}"
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:
        name = "cache_dir" if cache_dir else f"${ENVIRONMENT}"
        raise InputError(
            f"{name}={str(chosen)!r}: expected a folder; the home directory that ~ stands for does "
            "not exist"
        ) from error


def read_or_make(
    folder: Path, names: Collection[str], make: Callable[[], Arrays]
) -> tuple[Arrays, OSError | None]:
    """Read arrays from the cache, or make them and keep them there.

    Args:
      folder: where they are or will be; its name must change with what they are made of.
      names: of the arrays that must be there; a folder without one of them is made again.
      make: makes the arrays.

    Returns:
      The arrays, and why they could not be kept: None where they are.
    """
    arrays = read_arrays(folder)
    if arrays and set(names) <= set(arrays):
        return arrays, None
    shutil.rmtree(folder, ignore_errors=True)
    made = make()
    try:
        write_arrays(folder, made)
    except OSError as error:
        return made, error
    return made, None


def warn_uncached(root: Path, *errors: Exception | None) -> None:
    """Say once, if any error is given, that the cache cannot be written."""
    error = next((error for error in errors if error is not None), None)
    if error is None:
        return
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()).partition(";")[0]
    warnings.warn(
        f"cache_dir={str(root)!r}: cannot be written ({reason}), so the data is read again each "
        f"time: expected a writable folder with enough space; set ${ENVIRONMENT} to one",
        stacklevel=3,
    )


def write_arrays(folder: Path, arrays: Arrays) -> None:
    """Write arrays as ``folder/<name>.npy``; the folder appears complete or not at all.

    A folder that another process finished first is left as it is: its key says that it holds the
    same.

    Raises:
      OSError: the folder cannot be written; nothing of it is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    try:
        unfinished.mkdir()
        for name, array in arrays.items():
            np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_arrays(folder: Path) -> dict[str, np.ndarray] | None:
    """Read what :func:`write_arrays` wrote; None where there is nothing whole to read."""
    try:
        return {
            path.stem: np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))
        } or None
    except (OSError, ValueError, EOFError, MemoryError, OverflowError):
        # A damaged header can ask for any amount of memory.
        return None
