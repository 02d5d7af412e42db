"""Loading a dataset by name: prepared by TFDS, decoded once, then read from a cache."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_unlearn.core import Examples, InputError, check_choice
from jax_unlearn.data.builders import SOURCES, Source
from jax_unlearn.data.builders.prepare import prepare
from jax_unlearn.data.cache import cache_root, read_arrays, write_arrays
from jax_unlearn.data.dataset import Dataset
from jax_unlearn.data.npz import load_npz
from jax_unlearn.data.tfds_reader import one_line, read_split

COARSE = {"cifar20": "cifar100"}
"""Datasets that are another one with its coarse labels."""

Arrays = Mapping[str, Any]
"""Columns of a split by name, as :func:`jax_unlearn.data.tfds_reader.read_split` gives them."""


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
    as arrays, keyed by name, version, split and what lies in that folder.

    Args:
      name: ``digits``, ``cifar10``, ``cifar100``, ``cifar20`` (CIFAR-100's images with the 20
        superclasses as labels), ``tiny_imagenet200``, any dataset with the features image and
        label and the splits train and test that is prepared in ``data_dir``, or the path of an
        ``.npz`` (see :func:`jax_unlearn.data.load_npz`).
      data_dir: root of prepared datasets; None means ``<cache_dir>/tfds``.
      cache_dir: folder of decoded arrays; None means $JAX_UNLEARN_CACHE or ~/.cache/jax_unlearn.
      download: whether a missing archive may be downloaded from its official address.

    Raises:
      InputError: if the name is unknown, the folder is missing or holds something else, or the
        dataset is stored as tfrecord.
    """
    if str(name).endswith(".npz"):
        return load_npz(name)
    root = cache_root(cache_dir)
    folder = prepared_folder(name, data_dir, root, download=download)
    key = source_key(folder)
    train, test = (_split(folder, split, key, root) for split in ("train", "test"))
    return assemble(name, folder, train, test)


def prepared_folder(
    name: str, data_dir: str | os.PathLike | None, root: Path, *, download: bool
) -> Path:
    """Find the prepared dataset, or prepare it; ``root`` is the cache's."""
    stored = COARSE.get(name, name)
    own = root / "tfds"
    base = own if data_dir is None else Path(data_dir).expanduser()
    if data_dir is not None and not base.is_dir():
        raise InputError(
            f"data_dir={str(data_dir)!r}: no such folder: expected a folder that holds "
            f"{stored}/<version>/dataset_info.json; check the path"
        )
    there = {folder.name for folder in base.glob("*") if _versions(folder)}
    check_choice("dataset", name, {*SOURCES, *COARSE, *there})
    formats = {version: _file_format(version) for version in _versions(base / stored)}
    readable = [version for version in formats if formats[version] == "array_record"]
    if readable:
        return readable[-1]
    source = SOURCES.get(stored)
    if source is not None and not source.archive:
        return _prepared_by_us(source, own)
    manual = base / "downloads" / "manual"
    for place in (manual, base):
        if source is not None and (place / source.archive).is_file():
            return prepare(source, base, place / source.archive)
    archive = f"; or put {source.archive} into {manual}" if source is not None else ""
    if formats:
        version = list(formats)[-1]
        raise InputError(
            f"data_dir={str(base)!r}: {stored}/{version.name} is stored as {formats[version]}, "
            f"which only TensorFlow reads: expected array_record; prepare it again, where "
            f"TensorFlow is installed, with tfds.builder({stored!r}, data_dir=..., "
            f"file_format='array_record').download_and_prepare(){archive}"
        )
    return _fetched(SOURCES[stored], base, manual, download)


def _fetched(source: Source, base: Path, manual: Path, download: bool) -> Path:
    if download and source.url:
        return prepare(source, base)
    fetch = "pass download=True, or " if source.url else ""
    raise InputError(
        f"data_dir={str(base)!r}: {source.name} is not there: expected {source.name}/<version>/"
        f"dataset_info.json or the archive {source.archive}; {fetch}put the archive from "
        f"{source.url or source.homepage} into {manual}"
    )


def _prepared_by_us(source: Source, base: Path) -> Path:
    folder = base / source.name / source.version
    return folder if (folder / "dataset_info.json").is_file() else prepare(source, base)


def _versions(folder: Path) -> list[Path]:
    """List the prepared versions of a dataset, oldest first."""
    found = [
        info.parent
        for info in folder.glob("*/dataset_info.json")
        if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)
    ]
    return sorted(found, key=lambda version: tuple(map(int, version.name.split("."))))


def _file_format(version: Path) -> str:
    path = version / "dataset_info.json"
    try:
        # TFDS wrote no format while tfrecord was the only one.
        return json.loads(path.read_text()).get("fileFormat", "tfrecord")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"data_dir: {path} cannot be read ({one_line(error)}): expected what TFDS "
            "writes; prepare the dataset again"
        ) from error


def assemble(name: str, folder: Path, train: Arrays, test: Arrays) -> Dataset:
    """Make a dataset of what was read of its splits, with coarse labels where ``name`` has them."""
    class_names = tuple(map(str, train["label_names"]))
    examples = [Examples(a["image"], a["label"], a["id"]) for a in (train, test)]
    if name not in COARSE:
        return Dataset(name, *examples, len(class_names), class_names)
    if "coarse_label" not in train:
        raise InputError(
            f"dataset={name!r}: {folder} stores no coarse_label: expected CIFAR-100 with both; "
            "prepare it from the original binary archive"
        )
    coarse_names = tuple(map(str, train["coarse_label_names"]))
    return Dataset(
        name,
        examples[0]._replace(label=train["coarse_label"]),
        examples[1]._replace(label=test["coarse_label"]),
        len(coarse_names),
        coarse_names,
        train_fine=train["label"],
        test_fine=test["label"],
        fine_names=class_names,
    )


def _split(folder: Path, split: str, key: str, root: Path) -> Arrays:
    cached = root / "arrays" / f"{folder.parent.name}-{folder.name}-{key}-{split}"
    arrays = read_arrays(cached)
    if not arrays or not {"image", "label", "id", "label_names"} <= set(arrays):
        shutil.rmtree(cached, ignore_errors=True)
        arrays = read_split(folder, split)
        write_arrays(cached, arrays)
    return arrays


def source_key(folder: Path) -> str:
    """Twelve digits that change with where the prepared files lie and with each of them."""
    files = sorted(p for p in folder.iterdir() if p.is_file())
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return hashlib.sha256(repr((str(folder.resolve()), stats)).encode()).hexdigest()[:12]
