"""Datasets in one ``.npz`` file: for users' own images and for machines without TFDS."""

import os
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import Examples, InputError
from jax_unlearn.data.dataset import Dataset, warn_absent_classes
from jax_unlearn.data.tfds_reader import one_line

SPLITS = ("train", "test")
REQUIRED = ("train_images", "train_labels", "test_images", "test_labels")
OPTIONAL = (
    "train_ids",
    "test_ids",
    "train_coarse_labels",
    "test_coarse_labels",
    "class_names",
    "coarse_class_names",
)


def load_npz(path: str | os.PathLike) -> Dataset:
    """Read a dataset from an ``.npz`` file; pickled objects are refused.

    The file holds, for both splits:

    - ``train_images``, ``test_images``: uint8 [N, H, W, C]
    - ``train_labels``, ``test_labels``: any integers [N], in [0, K)
    - ``train_ids``, ``test_ids`` (optional): any integers [N], each once; else 0..N-1
    - ``train_coarse_labels``, ``test_coarse_labels`` (optional): any integers [N]. Where given,
      a model learns these, and the labels are the fine classes inside them, as in CIFAR-20.
    - ``class_names``, ``coarse_class_names`` (optional): text [K]; else the class numbers

    K is the number of names, or else one more than the largest label.

    Args:
      path: the file; the dataset is named after it.

    Raises:
      InputError: if the file is missing or damaged, or an array is missing, of the wrong dtype or
        shape, has labels out of range, an id twice, or fewer than two classes.
    """
    source = f"dataset={str(path)!r}"
    arrays = _read(source, Path(os.path.expanduser(path)))
    coarse = [key for key in arrays if key.endswith("_coarse_labels")]
    if len(coarse) == 1:
        raise InputError(
            f"{source}: {coarse[0]} is there but not the other split's: expected both or neither"
        )
    fine, fine_names = _labels(source, arrays, "labels", "class_names")
    ids = [
        _integers(source, arrays, f"{split}_ids", np.int64)
        if f"{split}_ids" in arrays
        else np.arange(len(labels))
        for split, labels in zip(SPLITS, fine, strict=True)
    ]
    if not coarse:
        return _dataset(path, arrays, fine, ids, fine_names)
    labels, names = _labels(source, arrays, "coarse_labels", "coarse_class_names")
    train_fine, test_fine = fine
    return _dataset(
        path,
        arrays,
        labels,
        ids,
        names,
        train_fine=train_fine,
        test_fine=test_fine,
        fine_names=fine_names,
    )


def save_npz(path: str | os.PathLike, dataset: Dataset) -> None:
    """Write a dataset as :func:`load_npz` reads it; the file appears whole or not at all."""
    arrays: dict[str, Any] = {
        "train_images": dataset.train.image,
        "test_images": dataset.test.image,
        "train_ids": dataset.train.id,
        "test_ids": dataset.test.id,
    }
    learned = {"train": dataset.train.label, "test": dataset.test.label}
    if dataset.train_fine is None:
        arrays |= {f"{split}_labels": labels for split, labels in learned.items()}
        arrays["class_names"] = np.array(dataset.class_names, str)
    else:
        arrays |= {f"{split}_coarse_labels": labels for split, labels in learned.items()}
        arrays |= {"train_labels": dataset.train_fine, "test_labels": dataset.test_fine}
        arrays["class_names"] = np.array(dataset.fine_names, str)
        arrays["coarse_class_names"] = np.array(dataset.class_names, str)
    path = Path(path)
    unfinished = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **arrays)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read(source: str, path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{source}: no such file: expected an .npz; check the path")
    try:
        # ZipFile first: numpy would take a single array under the name for the content.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files if key in (*REQUIRED, *OPTIONAL)}
    except Exception as error:  # numpy, zipfile and what unpacks each have their own
        raise InputError(
            f"{source}: cannot be read ({one_line(error)}): expected an .npz of plain arrays; "
            "write it again with numpy.savez"
        ) from error
    missing = [key for key in REQUIRED if key not in arrays]
    if missing:
        raise InputError(
            f"{source}: {', '.join(missing)} missing: expected {', '.join(REQUIRED)}; see load_npz"
        )
    return arrays


def _integers(source: str, arrays: dict[str, np.ndarray], key: str, dtype: type) -> np.ndarray:
    array = arrays[key]
    if array.dtype.kind not in "iu" or array.ndim != 1 or not len(array):
        raise InputError(
            f"{source}: {key} is {array.dtype} {list(array.shape)}: expected integers [N], one for "
            "each image"
        )
    bounds = np.iinfo(dtype)
    for value in (array.max(), array.min()):
        if not bounds.min <= value <= bounds.max:
            raise InputError(
                f"{source}: {key} reaches {value}: expected {bounds.min} to {bounds.max}"
            )
    return array.astype(dtype)


def _labels(
    source: str, arrays: dict[str, np.ndarray], kind: str, names_key: str
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Labels of both splits, and the names of the classes."""
    labels = [_integers(source, arrays, f"{split}_{kind}", np.int32) for split in SPLITS]
    if names_key not in arrays:
        return labels, tuple(str(k) for k in range(1 + max(int(part.max()) for part in labels)))
    names = arrays[names_key]
    if names.dtype.kind != "U" or names.ndim != 1:
        raise InputError(
            f"{source}: {names_key} is {names.dtype} {list(names.shape)}: expected text [K]"
        )
    return labels, tuple(map(str, names))


def _dataset(
    path: str | os.PathLike,
    arrays: dict[str, np.ndarray],
    labels: list[np.ndarray],
    ids: list[np.ndarray],
    names: tuple[str, ...],
    **fine: Any,
) -> Dataset:
    train, test = (
        Examples(arrays[f"{split}_images"], label, number)
        for split, label, number in zip(SPLITS, labels, ids, strict=True)
    )
    dataset = Dataset(Path(path).stem, train, test, len(names), names, **fine)
    warn_absent_classes(dataset)
    return dataset
