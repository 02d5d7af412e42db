"""Data sets of Hugging Face's ``datasets``: from its hub, or from a folder or file of one's own."""

import contextlib
import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from jax_unlearn.core import InputError
from jax_unlearn.data.dataset import Dataset
from jax_unlearn.data.encoded import Encoded, common_shape
from jax_unlearn.data.folder_tree import SPLITS
from jax_unlearn.data.hub_columns import find_columns, make_labels
from jax_unlearn.data.image_files import UnfitError
from jax_unlearn.data.image_options import ImageOptions
from jax_unlearn.data.splitting import make_dataset
from jax_unlearn.data.tfds_reader import one_line

PREFIX = "hf:"
"""Begins the names of these data sets."""

_SAVED = ("dataset_dict.json", "state.json")
_REPOSITORY = re.compile(
    r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^:@]+))?(?::(?P<config>[^:]+))?"
)


class Place(NamedTuple):
    """What a name stands for, in its parts.

    Attributes:
      path: of a folder or file; None for a repository of the hub.
      repository: its id, as ``user/name``.
      revision: branch, tag or commit of the repository; '' for its main branch.
      config: '' for the only one.
    """

    path: Path | None
    repository: str = ""
    revision: str = ""
    config: str = ""


class HubFiles:
    """Images of a column, by position; see :class:`jax_unlearn.data.encoded.Files`."""

    def __init__(self, split: Any, column: str, name: str):
        self._split, self._column, self._name = split, column, name

    def __len__(self) -> int:
        return len(self._split)

    def open(self, row: int) -> BinaryIO:
        """Open an image that is stored in the data set, or beside it."""
        image = self._split[row][self._column]
        if image is None:
            raise UnfitError("no image stored")
        if image["bytes"] is not None:
            return io.BytesIO(image["bytes"])
        return open(image["path"], "rb")

    def name(self, row: int) -> str:
        """Its split and position."""
        return f"{self._name} row {row}"

    def identity(self) -> str:
        """Digest of the files that the split is read from; '' where it is in memory."""
        files = [Path(file["filename"]) for file in self._split.cache_files]
        stats = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
        text = repr((stats, self._column, len(self)))
        return hashlib.sha256(text.encode()).hexdigest() if files else ""


def load_hub(
    name: str,
    options: ImageOptions,
    *,
    download: bool = False,
    cache: Path | None = None,
    streamed: bool = False,
) -> Dataset:
    """Read a data set with Hugging Face's ``datasets``.

    Args:
      name: ``hf:`` and the path of a folder, a ``.parquet`` file or what ``save_to_disk`` wrote; or
        the id of a repository, ``user/name``, after which ``@revision`` and ``:config`` may follow.
      options: size and channels of the images, their column and that of the labels.
      download: whether the repository may be fetched; else it must have been.
      cache: folder of the converted tables; None takes that of ``datasets``.
      streamed: whether images are read only when they are used, out of the tables.

    Returns:
      The data set. Ids are positions in the split.

    Raises:
      InputError: ``datasets`` is not installed, there is no such data set, or its splits, columns
        or images cannot be used.
    """
    source = f"dataset={name!r}"
    options.validate()
    datasets = _import_datasets(source)
    place = parse_hub_name(name)
    path = place.path or _snapshot(source, place, download=download)
    with _quiet(datasets):
        tables = _split_tables(source, _read(datasets, source, place, path, cache))
    image, label = find_columns(datasets, source, tables["train"].features, options.columns)
    labels, class_names = make_labels(source, tables, label)
    files = {
        split: HubFiles(_with_files(datasets, source, table, image), image, split)
        for split, table in tables.items()
    }
    shape = common_shape(source, files.values(), options)
    splits = {}
    for split, some in files.items():
        identity = some.identity() if streamed else ""
        images = Encoded(some, shape, source, resize=options.image_size > 0, identity=identity)
        splits[split] = (images, labels[split])
    title = path.resolve().stem if place.path else place.repository.rpartition("/")[2]
    return make_dataset(title, source, splits, class_names, options, streamed=streamed)


def parse_hub_name(name: str) -> Place:
    """Take a name apart; what lies on this machine comes before a repository.

    Raises:
      InputError: it is no name of a repository, and no such file or folder is there.
    """
    text = name.removeprefix(PREFIX)
    around, _, config = text.rpartition(":")
    for given, chosen in ((text, ""), (around, config)):
        path = Path(os.path.expanduser(given))
        if given and path.exists():
            return Place(path, config=chosen)
    found = _REPOSITORY.fullmatch(text)
    if found is None or text.startswith(".") or text.endswith(".parquet"):
        raise InputError(
            f"dataset={name!r}: no such file or folder, and no name of a repository: expected "
            f"{PREFIX}USER/NAME, {PREFIX}USER/NAME@REVISION:CONFIG, or {PREFIX}PATH of a folder or "
            "a .parquet file; check it"
        )
    return Place(None, found["id"], found["revision"] or "", found["config"] or "")


def _import_datasets(source: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"{source}: cannot be read here ({one_line(error)}): expected Hugging Face's datasets; "
            "install jax_unlearn[datasets]"
        ) from error
    return datasets


def _snapshot(source: str, place: Place, *, download: bool) -> Path:
    """Folder of a repository's files, fetched only where that is asked for."""
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(
                place.repository,
                repo_type="dataset",
                revision=place.revision or None,
                local_files_only=not download,
            )
        )
    except Exception as error:  # its client, the network and the disk each have their own
        if not download:
            raise InputError(
                f"{source}: {place.repository} has not been fetched: expected it in "
                "$HF_HOME; pass download=True, or name a local folder"
            ) from error
        raise InputError(
            f"{source}: cannot be fetched ({one_line(error)}): expected a network and a data set "
            f"of that name; or fetch it elsewhere and name its folder, {PREFIX}PATH"
        ) from error


def _read(datasets: Any, source: str, place: Place, path: Path, cache: Path | None) -> Any:
    given = {"name": place.config or None, "cache_dir": None if cache is None else str(cache)}
    try:
        if any((path / name).is_file() for name in _SAVED):
            return datasets.load_from_disk(str(path))
        if path.is_dir():
            return datasets.load_dataset(str(path.resolve()), **given)
        if path.suffix == ".parquet":
            return datasets.load_dataset("parquet", data_files=str(path.resolve()), **given)
    except Exception as error:  # its readers, pyarrow and the disk each have their own
        raise InputError(
            f"{source}: cannot be read ({one_line(error)}): expected what datasets.load_dataset "
            "reads from local files; try that in Python to see the whole error"
        ) from error
    raise InputError(
        f"{source}: is a file of another kind: expected a .parquet file, or a folder of such "
        "files; convert it"
    )


def _split_tables(source: str, found: Any) -> dict[str, Any]:
    """Tables by ``train``, ``test`` and ``validation``."""
    if not isinstance(found, Mapping):
        return {"train": found}
    named = {
        SPLITS[split.casefold()]: t for split, t in found.items() if split.casefold() in SPLITS
    }
    if len(found) == 1:
        return {"train": next(iter(found.values()))}
    if "train" not in named:
        raise InputError(
            f"{source}: has the splits {', '.join(found)}: expected train and test or validation; "
            "save it with these names"
        )
    return {split: named[split] for split in ("train", "test", "validation") if split in named}


def _with_files(datasets: Any, source: str, table: Any, column: str) -> Any:
    """A table whose images come as their files."""
    try:
        return table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    except Exception as error:  # pyarrow's
        raise InputError(
            f"{source}: the column {column} holds {table.features[column]}: expected images; pass "
            "columns=IMAGE LABEL with another"
        ) from error


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Draw no progress bars where there is no terminal."""
    if sys.stderr.isatty() or datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
