"""Reading a split that TFDS prepared in array_record into uint8 arrays."""

import functools
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn.core import InputError

CHUNK = 1000


def import_tfds() -> Any:
    """Import TFDS, which machines that train need not have.

    Raises:
      InputError: if it is not installed.
    """
    try:
        import array_record  # noqa: F401
        import tensorflow_datasets
    except ImportError as error:
        raise InputError(
            f"dataset: cannot be prepared or decoded here ({one_line(error)}): expected "
            "tensorflow-datasets and array_record to be installed; or give an .npz, which "
            "save_npz writes on a machine that has them"
        ) from error
    return tensorflow_datasets


def one_line(error: BaseException) -> str:
    """Message of another library's error on one line."""
    return " ".join(str(error).split()) or type(error).__name__


class Stored(NamedTuple):
    """A split of a prepared dataset, open for reading.

    Attributes:
      records: the records, by position; images that are files come as bytes.
      features: the TFDS features.
      decode: makes the records' images arrays uint8 [H, W, C].
    """

    records: Any
    features: Any
    decode: Callable[[Sequence[Any]], list[np.ndarray]]


def open_split(folder: Path, split: str) -> Stored:
    """Open a split of a prepared dataset.

    Raises:
      InputError: if a feature or the split is missing.
    """
    tfds = import_tfds()
    builder = tfds.builder_from_directory(folder)
    features = builder.info.features
    if not {"image", "label"} <= set(features) or split not in builder.info.splits:
        raise InputError(
            f"data_dir: {folder} has the features {', '.join(sorted(features))} and the splits "
            f"{', '.join(sorted(builder.info.splits))}: expected the features image and label and "
            "the splits train and test"
        )
    if not isinstance(features["image"], tfds.features.Image):
        return Stored(builder.as_data_source(split=split), features, list)
    decoders = {"image": tfds.decode.SkipDecoding()}
    records = builder.as_data_source(split=split, decoders=decoders)
    return Stored(
        records, features, functools.partial(_decode, channels=features["image"].shape[-1])
    )


def read_split(folder: Path, split: str, *, images: bool = True) -> dict[str, np.ndarray]:
    """Decode a split of a prepared dataset, in the order of its ids.

    Ids are the stored ``id``: a whole number, or a text that ends in one (``train_00042`` is 42).
    A dataset without ``id`` is numbered in the order of its records.

    Args:
      folder: holds ``dataset_info.json`` and the records.
      split: name of the split.
      images: whether to decode the images.

    Returns:
      ``image`` uint8 [N, H, W, C], or without images ``position`` int64 [N], the record of each
      id; ``label`` int32 [N], ``label_names`` str [K], ``id`` int64 [N]
      and, where they are stored, ``coarse_label`` int32 [N] and ``coarse_label_names``.

    Raises:
      InputError: if a feature is missing or unusable, or the images differ in size.
    """
    names = ("image",) * images + ("label", "id", "coarse_label")
    try:
        records, features, decode = open_split(folder, split)
        columns = {name: [] for name in names if name in features}
        for start in range(0, len(records), CHUNK):
            rows = range(start, min(start + CHUNK, len(records)))
            for example in records.__getitems__(list(rows)):
                for name, values in columns.items():
                    values.append(example[name])
        if images:
            columns["image"] = decode(columns["image"])
    except InputError:
        raise
    except Exception as error:  # TFDS, array_record and pillow each have their own
        raise unreadable(folder, error) from error
    arrays = _arrays(columns, folder)
    for label in ("label", "coarse_label"):
        if label in columns:
            arrays[f"{label}_names"] = _names(features[label], folder)
    return arrays


def unreadable(folder: Path, error: Exception) -> InputError:
    """What to say of record files that fail."""
    return InputError(
        f"data_dir: {folder} cannot be read ({one_line(error)}): expected whole record files; "
        "copy or prepare the dataset again"
    )


def _decode(files: Sequence[bytes], channels: int | None) -> list[np.ndarray]:
    """Decode image files; grey ones are repeated where the dataset has three channels."""
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    images = []
    for file in files:
        with Image.open(io.BytesIO(file)) as image:
            images.append(np.asarray(image.convert(mode)))
    return [image[..., None] for image in images] if mode == "L" else images


def stack_images(images: Sequence[np.ndarray], folder: Path) -> np.ndarray:
    """Make decoded images one array uint8 [N, H, W, C].

    Raises:
      InputError: if they differ in size.
    """
    sizes = {image.shape for image in images}
    if len(sizes) != 1:
        raise InputError(
            f"data_dir: {folder} holds images of {len(sizes)} different shapes: expected one; "
            "resize them and prepare the dataset again"
        )
    return np.stack(images).astype(np.uint8, copy=False)


def _names(feature: Any, folder: Path) -> np.ndarray:
    if getattr(feature, "num_classes", None) is None:
        raise InputError(
            f"data_dir: {folder} has labels that are no ClassLabel: expected numbered classes"
        )
    return np.array(feature.names, str)


def _arrays(columns: dict[str, list[Any]], folder: Path) -> dict[str, np.ndarray]:
    stored = columns.get("id")
    ids = np.arange(len(columns["label"])) if stored is None else _numbers(stored, folder)
    order = np.argsort(ids, kind="stable")
    arrays = {
        name: np.asarray(columns[name], np.int32) for name in columns if name.endswith("label")
    }
    arrays |= {"id": ids.astype(np.int64)}
    if "image" in columns:
        arrays["image"] = stack_images(columns["image"], folder)
    else:
        arrays["position"] = np.arange(len(ids))
    return {name: np.ascontiguousarray(array[order]) for name, array in arrays.items()}


def _numbers(stored: Sequence[Any], folder: Path) -> np.ndarray:
    if isinstance(stored[0], (int, np.integer)):
        return np.asarray(stored, np.int64)
    texts = [value.decode() if isinstance(value, bytes) else str(value) for value in stored]
    found = [re.search(r"\d+$", text) for text in texts]
    if None in found:
        raise InputError(
            f"data_dir: {folder} has the id {texts[found.index(None)]!r}: expected a whole number "
            "or a text that ends in one, as train_00042"
        )
    return np.array([int(match[0]) for match in found], np.int64)
