"""Files of a bank: what is not whole yet, archives of arrays, digests."""

import contextlib
import hashlib
import io
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.files import locked

PREFIX = ".partial-"


def partial_path(folder: Path) -> Path:
    """New path in a folder for what is not whole yet; :func:`remove_partials` knows it."""
    return folder / f"{PREFIX}{uuid.uuid4().hex}"


def remove_partials(folder: Path, lock: Path) -> None:
    """Remove what killed processes left, unless a living one shares the lock.

    Where the folder cannot be written to, nothing happens.
    """
    partials = list(folder.glob(f"{PREFIX}*"))
    if not partials:
        return
    with contextlib.suppress(OSError), locked(lock, wait=False) as alone:
        for path in partials if alone else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def sha256(content: bytes) -> str:
    """Sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Bytes of an ``.npz`` archive of plain arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_npz(
    file: str | os.PathLike | IO[bytes], names: Sequence[str], source: str
) -> list[np.ndarray]:
    """Read the arrays of an ``.npz`` archive, in the order of ``names``; never a pickle.

    Args:
      file: path or open file.
      names: which arrays.
      source: what is read, for the message.

    Raises:
      InputError: the file is missing, damaged, or lacks an array.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            return [stored[name] for name in names]
    # An .npy file opens as a bare array, which is no context manager: TypeError. An encrypted
    # member, which is what a flipped flag makes of it: RuntimeError.
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        EOFError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"{source}: missing, damaged or not an .npz with {', '.join(names)} "
            f"({type(error).__name__})"
        ) from error
