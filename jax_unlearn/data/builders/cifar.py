"""CIFAR-10 and CIFAR-100 from their original binary archives."""

import re
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data.builders.source import Archive, Content, Rows, Source

SIDE, CHANNELS = 32, 3
HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


def read_cifar10(archive: Path) -> Content:
    """Read ``cifar-10-binary.tar.gz``; ids are positions in the batches 1, 2, ... end to end.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Raises:
      InputError: if the archive is damaged or holds something else.
    """
    files = _members(archive, r"data_batch_\d+\.bin|test_batch\.bin|batches\.meta\.txt")
    batches = sorted(
        (name for name in files if name.startswith("data_batch_")),
        key=lambda name: int(re.sub(r"\D", "", name)),
    )
    if not batches or "test_batch.bin" not in files or "batches.meta.txt" not in files:
        raise _foreign(archive, "data_batch_1.bin, ..., test_batch.bin and batches.meta.txt")
    names = _names(files["batches.meta.txt"])
    train, test = (
        _rows(archive, data, (names,))
        for data in (b"".join(files[name] for name in batches), files["test_batch.bin"])
    )
    return Content(train, test, names)


def read_cifar100(archive: Path) -> Content:
    """Read ``cifar-100-binary.tar.gz``, with fine and coarse labels; ids are positions in it.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Raises:
      InputError: if the archive is damaged or holds something else.
    """
    wanted = ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")
    files = _members(archive, "|".join(map(re.escape, wanted)))
    if len(files) < len(wanted):
        raise _foreign(archive, ", ".join(wanted))
    fine = _names(files["fine_label_names.txt"])
    coarse = _names(files["coarse_label_names.txt"])
    train, test = (_rows(archive, files[name], (coarse, fine)) for name in wanted[:2])
    return Content(train, test, fine, coarse)


def _members(archive: Path, pattern: str) -> dict[str, bytes]:
    """Read the archive's files whose own name matches; nothing is written to disk."""
    files = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                wanted = member.isfile() and re.fullmatch(pattern, name)
                content = tar.extractfile(member) if wanted else None
                if content is not None:
                    files[name] = content.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"archive={str(archive)!r}: cannot be read ({error}): expected the original .tar.gz; "
            "fetch it again"
        ) from error
    return files


def _foreign(archive: Path, wanted: str) -> InputError:
    return InputError(
        f"archive={str(archive)!r}: expected {wanted} in it; fetch the binary version, not the "
        f"Python or Matlab one, from {HOMEPAGE}"
    )


def _names(text: bytes) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.decode().splitlines() if line.strip())


def _rows(archive: Path, data: bytes, names: tuple[tuple[str, ...], ...]) -> Rows:
    """Cut records of label bytes and 3072 pixels, each channel a plane, red first."""
    width = len(names) + CHANNELS * SIDE * SIDE
    if not data or len(data) % width:
        raise InputError(
            f"archive={str(archive)!r}: {len(data)} bytes of records: expected a multiple of "
            f"{width}; fetch it again"
        )
    record = np.frombuffer(data, np.uint8).reshape(-1, width)
    labels = record[:, : len(names)].astype(np.int64).T
    for column, known in zip(labels, names, strict=True):
        if column.max() >= len(known):
            raise InputError(
                f"archive={str(archive)!r}: label {column.max()} found: expected 0 to "
                f"{len(known) - 1}; fetch it again"
            )
    image = record[:, len(names) :].reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
    coarse = labels[0] if len(names) == 2 else None
    return Rows(np.ascontiguousarray(image), labels[-1], np.arange(len(record)), coarse)


CIFAR10 = Source(
    name="cifar10",
    version="1.0.0",
    description="CIFAR-10, 32x32, colour, 10 classes. Ids are positions in the original batches.",
    homepage=HOMEPAGE,
    image_shape=(SIDE, SIDE, CHANNELS),
    read=read_cifar10,
    archives=(
        Archive(
            "cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
)

CIFAR100 = Source(
    name="cifar100",
    version="1.0.0",
    description="CIFAR-100, 32x32, colour, 100 classes in 20 superclasses. Ids are positions in "
    "the original files.",
    homepage=HOMEPAGE,
    image_shape=(SIDE, SIDE, CHANNELS),
    read=read_cifar100,
    archives=(
        Archive(
            "cifar-100-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            168513733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ),
    ),
    coarse=True,
)
