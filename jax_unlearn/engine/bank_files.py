"""Files that several processes share: locks that die with their owner, writes that are whole."""

import contextlib
import hashlib
import io
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from jax_unlearn.core import InputError

PREFIX = ".partial-"


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on a file for the length of the block; yields whether it was got.

    It is released when the process ends, however it ends. The file stays: were it removed, a
    process that waits on it and one that makes it anew would both believe they hold the lock.

    Args:
      path: the lock's file; made, with its folder, where it is missing.
      shared: whether others may hold it too, if they also share it.
      wait: whether to wait for others; without, False is yielded while others hold it.
    """
    # Not on Windows, where the rest of the library works.
    import fcntl

    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as file:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(file, mode if wait else mode | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            held = False
        yield held


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


def write_whole(folder: Path, path: Path, content: bytes) -> None:
    """Write a file whole or not at all; an existing one is replaced.

    Args:
      folder: where the unfinished file lies, on the same file system.
      path: the file; its folder is made if it is missing.
      content: its bytes.
    """
    partial = partial_path(folder)
    try:
        partial.write_bytes(content)
        path.parent.mkdir(exist_ok=True)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
