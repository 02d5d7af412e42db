"""The description of a bank: which dataset its models share, and whether a folder is a bank."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jax_unlearn.bank.files import PREFIX, npz_bytes, partial_path, read_npz
from jax_unlearn.core import InputError, check_number
from jax_unlearn.files import locked, write_whole

FORMAT = 2

HEADER, SPLITS, LOCKS = "bank.json", "data.npz", "locks"

FIELDS = ("name", "fingerprint", "num_classes")

ARRAYS = ("train_id", "train_label", "test_id", "test_label")


class Labelled(NamedTuple):
    """The examples of one split, without their images.

    Attributes:
      id: int64 [N], the dataset's own ids, none twice.
      label: int32 [N], in [0, K).
    """

    id: np.ndarray
    label: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class DataDescription:
    """The dataset of a bank; the rows of all outputs are in the order of its splits.

    Attributes:
      name: the dataset's name.
      fingerprint: hash of its contents, as :attr:`jax_unlearn.data.Dataset.fingerprint`.
      num_classes: number of classes K.
      train: the training examples.
      test: the test examples.
    """

    name: str
    fingerprint: str
    num_classes: int
    train: Labelled
    test: Labelled


def open_data(path: Path, data: DataDescription | None, *, create: bool) -> DataDescription:
    """Read a bank's description, made first where that is asked for; see ``open_bank``."""
    data = None if data is None else check_data(data)
    if (path / HEADER).is_file():
        _check_header(path, data)
    elif not create:
        raise InputError(f"bank={str(path)!r}: no bank there; expected a folder with {HEADER}")
    elif data is None:
        raise InputError(f"data=None: expected a DataDescription to make bank {str(path)!r} of")
    elif _is_foreign(path):
        raise InputError(
            f"bank={str(path)!r}: the folder holds files of another kind: expected a bank or an "
            "empty folder; name another"
        )
    if create and data is not None and not _has_splits(path):
        _make(path, data)
    stored = _read_data(path)
    if data is not None:
        pairs = zip((*stored.train, *stored.test), (*data.train, *data.test), strict=True)
        if not all(np.array_equal(old, new) for old, new in pairs):
            raise InputError(
                f"bank={str(path)!r}: holds other ids or labels under the same fingerprint; "
                "expected those of the data given; name another folder"
            )
    return stored


def check_data(data: DataDescription) -> DataDescription:
    """Return the description with its declared dtypes, or say what is wrong with it.

    Raises:
      InputError: for fewer than 2 classes, an empty split, arrays of other shapes or kinds of
        number, an id that comes twice in a split, or labels outside [0, K).
    """
    check_number("data: num_classes", data.num_classes, low=2, whole=True)
    splits = []
    for name in ("train", "test"):
        ids, label = (np.asarray(column) for column in getattr(data, name))
        if ids.ndim != 1 or ids.shape != label.shape or not ids.size:
            raise InputError(
                f"data: {name} ids {list(ids.shape)} and labels {list(label.shape)}: expected [N] "
                "and [N] with N >= 1"
            )
        if ids.dtype.kind not in "iu" or label.dtype.kind not in "iu":
            raise InputError(
                f"data: {name} ids {ids.dtype} and labels {label.dtype}: expected integers"
            )
        if len(np.unique(ids)) < len(ids):
            raise InputError(f"data: {name} ids: one comes twice: expected every id once")
        if label.min() < 0 or label.max() >= data.num_classes:
            raise InputError(
                f"data: {name} labels={label.min()}..{label.max()}: expected labels in "
                f"[0, {data.num_classes})"
            )
        splits.append(Labelled(ids.astype(np.int64), label.astype(np.int32)))
    return DataDescription(str(data.name), str(data.fingerprint), int(data.num_classes), *splits)


def _is_foreign(path: Path) -> bool:
    """Whether a path without a header is anything but a bank that is being made."""
    if not path.is_dir():
        return path.exists()
    names = [child.name for child in path.iterdir()]
    odd = [name for name in names if name != LOCKS and not name.startswith(PREFIX)]
    # Another process may have made the bank since; the header comes first.
    return bool(odd) and not (path / HEADER).is_file()


def _make(path: Path, data: DataDescription) -> None:
    """Write what is missing of a bank's description."""
    header = {name: getattr(data, name) for name in FIELDS}
    splits = {"train": data.train, "test": data.test}
    arrays = {
        f"{split}_{name}": column
        for split, columns in splits.items()
        for name, column in columns._asdict().items()
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        with locked(path / LOCKS / "bank.lock"):
            if (path / HEADER).is_file():
                _check_header(path, data)
            else:
                text = json.dumps({"format": FORMAT, "data": header}, indent=2) + "\n"
                write_whole(path / HEADER, text, partial=partial_path(path))
            if not _has_splits(path):
                write_whole(path / SPLITS, npz_bytes(arrays), partial=partial_path(path))
    except OSError as error:
        raise InputError(
            f"bank={str(path)!r}: {error.strerror or error}; expected a folder that can be "
            "written to"
        ) from error


def _check_header(path: Path, data: DataDescription | None) -> dict[str, Any]:
    """Read what ``bank.json`` says of the data, or say why the bank cannot be used."""
    foreign = InputError(
        f"bank={str(path)!r}: {HEADER} is damaged or not that of a bank; name another folder"
    )
    try:
        header = json.loads((path / HEADER).read_bytes())
        version = header["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise foreign from error
    # First, for another version may describe its data otherwise.
    if version != FORMAT:
        raise InputError(
            f"bank={str(path)!r}: format={version!r}: expected {FORMAT}, that of this "
            "version of jax_unlearn; name another folder, or read it with the version that wrote it"
        )
    try:
        stored = {name: header["data"][name] for name in FIELDS}
    except (KeyError, TypeError) as error:
        raise foreign from error
    if data is not None and any(
        stored[name] != getattr(data, name) for name in ("fingerprint", "num_classes")
    ):
        was = (
            f"{stored['name']} ({str(stored['fingerprint'])[:12]}, {stored['num_classes']} classes)"
        )
        now = f"{data.name} ({data.fingerprint[:12]}, {data.num_classes} classes)"
        raise InputError(
            f"bank={str(path)!r}: holds models of other data, {was}: expected {now}; name another "
            "folder"
        )
    return stored


def _has_splits(path: Path) -> bool:
    try:
        read_npz(path / SPLITS, ARRAYS, SPLITS)
    except InputError:
        return False
    return True


def _read_data(path: Path) -> DataDescription:
    header = _check_header(path, None)
    try:
        columns = read_npz(path / SPLITS, ARRAYS, f"bank={str(path)!r}: {SPLITS}")
    except InputError as error:
        raise InputError(f"{error}; open the bank with its data and create=True") from error
    return check_data(
        DataDescription(**header, train=Labelled(*columns[:2]), test=Labelled(*columns[2:]))
    )
