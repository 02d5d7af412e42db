"""Files that several processes share: locks that die with their owner, writes that are whole."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on a file for the length of the block; yields whether it was got.

    It is released when the process ends, however it ends. The file stays: were it removed, a
    process that waits on it and one that makes it anew would both believe they hold the lock.

    Args:
      path: the lock's file; made, with its folder, where it is missing.
      shared: whether others may hold it too, if they also share it.
      wait: whether to wait for others; without, False is yielded while others hold it.

    Raises:
      OSError: the file cannot be written, or the file system has no locks.
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


def write_whole(
    path: str | os.PathLike,
    content: bytes | str,
    *,
    partial: Path | None = None,
    durable: bool = False,
) -> Path:
    """Write a file whole or not at all, and make its folder; an existing file is replaced.

    Args:
      path: the file.
      content: its bytes, or its text, which is written as UTF-8.
      partial: name of the unfinished file, on the same file system; None takes one beside the
        file, ``.<name>.<random>``. Only a process that is killed leaves it behind.
      durable: whether to wait until the disk has the content, so that even a machine that loses
        power leaves the earlier file or this one.

    Returns:
      The path.
    """
    path = Path(path)
    content = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    if partial is None:
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
