"""Reading a split that TFDS prepared in array_record into uint8 arrays."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data.image_files import MODES, UnfitError, decode_image

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


def one_line(error: Any) -> str:
    """Message of another library's error, or another text of several lines, on one line."""
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
      InputError: if a feature or the split is missing or unusable, or the files are damaged.
    """
    tfds = import_tfds()
    with _readable(folder):
        builder = tfds.builder_from_directory(folder, file_format="array_record")
        features = builder.info.features
        if not {"image", "label"} <= set(features) or split not in builder.info.splits:
            raise InputError(
                f"data_dir: {folder} has the features {', '.join(sorted(features))} and the splits "
                f"{', '.join(sorted(builder.info.splits))}: expected the features image and label "
                "and the splits train and test; prepare it with these names"
            )
        if not builder.info.splits[split].num_examples:
            raise InputError(
                f"data_dir: {folder} has no example in the split {split}: expected at least one; "
                "prepare the dataset again"
            )
        _check_label(folder, features["label"])
        image = features["image"]
        _check_image(folder, image)
        # TFDS decodes all features, and fails at image files that nobody asked for.
        files = [name for name in features if isinstance(features[name], tfds.features.Image)]
        decoders = {name: tfds.decode.SkipDecoding() for name in files}
        records = builder.as_data_source(split=split, decoders=decoders or None)
    if "image" not in files:
        return Stored(records, features, list)
    decode = functools.partial(_decode, channels=image.shape[-1], folder=folder)
    return Stored(records, features, decode)


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
      InputError: if a feature or the split is missing or unusable, the files are damaged, or the
        images differ in size.
    """
    records, features, decode = open_split(folder, split)
    names = [
        *(["image"] if images else []),
        "label",
        *(["id"] if "id" in features else []),
        *(["coarse_label"] if _has_coarse(features) else []),
    ]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    with _readable(folder):
        for start in range(0, len(records), CHUNK):
            rows = range(start, min(start + CHUNK, len(records)))
            for example in records.__getitems__(list(rows)):
                for name, values in columns.items():
                    values.append(example[name])
        if images:
            columns["image"] = decode(columns["image"])
    ids = _numbers(columns.pop("id"), features["id"], folder) if "id" in columns else None
    arrays = _arrays(columns, ids, folder)
    for label in ("label", "coarse_label"):
        if label in columns:
            arrays[f"{label}_names"] = np.array(features[label].names, str)
    return arrays


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Name the folder of the records when reading them fails inside the block."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # TFDS, array_record and pillow each have their own
        raise unreadable(folder, error) from error


def unreadable(folder: Path, error: Exception) -> InputError:
    """The error for record files that cannot be read."""
    return InputError(
        f"data_dir: {folder} cannot be read ({one_line(error)}): expected whole record files; "
        "copy or prepare the dataset again"
    )


def _is_class_label(feature: Any) -> bool:
    # Not by its attributes: a sequence of class labels passes on those of its parts.
    kind = import_tfds().features.ClassLabel
    return isinstance(feature, kind) and feature.num_classes is not None


def _has_coarse(features: Any) -> bool:
    return "coarse_label" in features and _is_class_label(features["coarse_label"])


def _check_label(folder: Path, feature: Any) -> None:
    if not _is_class_label(feature):
        raise InputError(
            f"data_dir: {folder} stores the label as {_described(feature)}: expected one "
            "ClassLabel with names or num_classes; prepare it with tfds.features.ClassLabel"
        )


def _check_image(folder: Path, feature: Any) -> None:
    tfds = import_tfds()
    files = isinstance(feature, tfds.features.Image)
    channels = (None, 0, *MODES) if files else range(1, 2**31)
    if (
        not (files or type(feature) is tfds.features.Tensor)
        or np.dtype(feature.np_dtype) != np.uint8
        or len(feature.shape) != 3
        or feature.shape[-1] not in channels
    ):
        raise InputError(
            f"data_dir: {folder} stores the image as {_described(feature)}: expected uint8 "
            "[height, width, channels], 0 to 255; convert the pixels and prepare it again"
        )


def _described(feature: Any) -> str:
    """Kind, dtype and shape of a feature, and how many channels that makes."""
    kind = type(feature).__name__
    if kind not in ("Image", "LabeledImage", "Tensor", "Scalar", "ClassLabel", "Text"):
        return f"a {kind} feature"
    shape = ", ".join("?" if size is None else str(size) for size in feature.shape)
    text = f"{kind} of {np.dtype(feature.np_dtype).name} [{shape}]"
    if len(feature.shape) != 3:
        return text
    return f"{text}, {_channels(feature.shape[-1])}"


def _channels(count: int | None) -> str:
    return f"{count or 'any number of'} channel{'' if count == 1 else 's'}"


def _decode(files: Sequence[bytes], channels: int | None, folder: Path) -> list[np.ndarray]:
    images = []
    for file in files:
        try:
            images.append(decode_image(file, channels))
        except UnfitError as error:
            raise InputError(
                f"data_dir: {folder} stores images as uint8 with {_channels(channels)}, but one of "
                f"them has {error}: expected files that fit; convert them, or prepare the dataset "
                "again with the number of channels that they have"
            ) from error
    return images


def stack_images(images: Sequence[np.ndarray], folder: Path) -> np.ndarray:
    """Make decoded images one array uint8 [N, H, W, C].

    Raises:
      InputError: if they differ in size or in their number of channels.
    """
    sizes = sorted({image.shape for image in images})
    if len(sizes) != 1:
        raise InputError(
            f"data_dir: {folder} holds images of {len(sizes)} different shapes: expected one, not "
            f"{list(sizes[0])} and {list(sizes[-1])}; resize or convert them and prepare the "
            "dataset again"
        )
    return np.stack(images)


def _arrays(
    columns: dict[str, list[Any]], ids: np.ndarray | None, folder: Path
) -> dict[str, np.ndarray]:
    if ids is None:
        ids = np.arange(len(columns["label"]))
    order = np.argsort(ids, kind="stable")
    arrays: dict[str, np.ndarray] = {
        name: np.asarray(columns[name], np.int32) for name in columns if name.endswith("label")
    }
    arrays |= {"id": ids.astype(np.int64)}
    if "image" in columns:
        arrays["image"] = stack_images(columns["image"], folder)
    else:
        arrays["position"] = np.arange(len(ids))
    return {name: np.ascontiguousarray(array[order]) for name, array in arrays.items()}


def _numbers(stored: Sequence[Any], feature: Any, folder: Path) -> np.ndarray:
    """Whole numbers of ids, int64 [N]."""
    if all(np.asarray(value).dtype.kind in "iu" and np.ndim(value) == 0 for value in stored):
        numbers = [int(value) for value in stored]
    elif all(isinstance(value, (str, bytes)) for value in stored):
        numbers = _ends(stored, folder)
    else:
        raise InputError(
            f"data_dir: {folder} stores the id as {_described(feature)}: expected a whole number "
            "or a text that ends in one, as train_00042"
        )
    large = [number for number in numbers if abs(number) >= 2**63]
    if large:
        raise InputError(
            f"data_dir: {folder} has the id {large[0]}: expected numbers below 2**63; renumber the "
            "images"
        )
    return np.array(numbers, np.int64)


def _ends(stored: Sequence[str | bytes], folder: Path) -> list[int]:
    """The numbers in which texts end, each once."""
    owner: dict[int, str] = {}
    for value in stored:
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        # More digits than Python reads at once are too large in any case.
        found = re.search(r"[0-9]+$", text[-1000:])
        if found is None:
            raise InputError(
                f"data_dir: {folder} has the id {text!r}: expected a whole number or a text that "
                "ends in one, as train_00042"
            )
        number = int(found[0])
        if number in owner:
            raise InputError(
                f"data_dir: {folder} has the ids {owner[number]!r} and {text!r}, which end in the "
                "same number: expected a different number for each image; prepare the dataset "
                "with whole numbers as ids"
            )
        owner[number] = text
    return list(owner)
