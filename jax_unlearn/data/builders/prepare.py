"""Preparing a dataset with TFDS in array_record, with no TensorFlow installed."""

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data.builders.source import Archive, Rows, Source
from jax_unlearn.data.tfds_reader import import_tfds, one_line


class UnwritableError(InputError):
    """A dataset cannot be prepared because of the folder that it is to be prepared in.

    Attributes:
      reason: what the operating system or array_record says.
    """

    def __init__(self, message: str, reason: Exception):
        super().__init__(message)
        self.reason = reason


def prepare(
    source: Source,
    data_dir: Path,
    archives: Sequence[Path] = (),
    *,
    argument: str = "data_dir",
) -> Path:
    """Prepare a dataset as ``data_dir/name/version``, where any TFDS finds it.

    Records keep the original order and carry their ``id``; ``label`` is the finest class and
    ``coarse_label`` the class above it.

    Args:
      source: where the dataset comes from.
      data_dir: root of prepared datasets; made if it is missing.
      archives: the original files, in the order of the source's; without them they are downloaded
        from their official addresses and checked.
      argument: what the folder comes from, for error messages.

    Returns:
      The folder with the records.

    Raises:
      InputError: if the archive is damaged or cannot be fetched.
      UnwritableError: if the folder cannot be written.
    """
    tfds = import_tfds()
    folder = data_dir / source.name / source.version
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=data_dir) as work, _quiet(tfds):
            builder = _builder_class(tfds, source, archives)(
                data_dir=work, file_format="array_record"
            )
            builder.download_and_prepare(
                download_dir=data_dir / "downloads",
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
            folder.parent.mkdir(exist_ok=True)
            _move(Path(builder.data_dir), folder)
    except (OSError, RuntimeError) as error:  # array_record raises the latter on a full disk
        raise UnwritableError(
            f"{argument}={str(data_dir)!r}: {source.name} cannot be written there "
            f"({one_line(error)}): expected a writable folder with enough space; "
            "choose another",
            error,
        ) from error
    return folder


def _move(finished: Path, folder: Path) -> None:
    """Put a prepared dataset in its place, unless another process was there first."""
    try:
        finished.rename(folder)
    except OSError:
        if not (folder / "dataset_info.json").is_file():
            raise


@contextlib.contextmanager
def _quiet(tfds: Any) -> Iterator[None]:
    """Send TFDS's messages to the terminal's error stream, or nowhere without a terminal."""
    if sys.stderr.isatty():
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            yield


def _builder_class(tfds: Any, source: Source, archives: Sequence[Path]) -> Any:
    """Make the TFDS builder; a function, because TFDS is imported only where it is used."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        """One dataset, described by ``source``."""

        name = source.name
        VERSION = tfds.core.Version(source.version)
        url_infos = {  # noqa: RUF012 - TFDS reads it from the class
            archive.url: tfds.download.checksums.UrlInfo(archive.size, archive.sha256, archive.name)
            for archive in source.archives
        }

        def _info(self) -> Any:
            shape = source.image_shape
            features = {
                "id": tfds.features.Scalar(np.int64),
                "image": tfds.features.Image(shape=shape, encoding_format="jpeg")
                if source.encoded
                else tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="zlib"),
                "label": tfds.features.ClassLabel(),
            }
            if source.coarse:
                features["coarse_label"] = tfds.features.ClassLabel()
            return tfds.core.DatasetInfo(
                builder=self,
                description=source.description,
                homepage=source.homepage,
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            paths = archives or [_download(archive, dl_manager) for archive in source.archives]
            content = source.read(*paths)
            self.info.features["label"].names = content.class_names
            if source.coarse:
                self.info.features["coarse_label"].names = content.coarse_names
            return {
                "train": self._generate_examples(content.train),
                "test": self._generate_examples(content.test),
            }

        def _generate_examples(self, rows: Rows) -> Any:
            for k, number in enumerate(rows.id):
                image = rows.image[k]
                example = {
                    "id": number,
                    "image": io.BytesIO(image) if source.encoded else image,
                    "label": rows.label[k],
                }
                if rows.coarse is not None:
                    example["coarse_label"] = rows.coarse[k]
                yield k, example

    return Builder


def _download(archive: Archive, dl_manager: Any) -> Path:
    try:
        return Path(dl_manager.download(archive.url))
    except Exception as error:  # TFDS, requests and the operating system each have their own
        raise InputError(
            f"download=True: {archive.url} cannot be fetched ({one_line(error)}): expected a "
            f"network; or fetch {archive.name} elsewhere and put it into data_dir"
        ) from error
