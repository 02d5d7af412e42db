"""A folder that belongs to one run: who may write there, and whether its files are as written."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
import socket
from collections.abc import Iterator
from typing import Any

from jax_unlearn import files
from jax_unlearn.core import InputError
from jax_unlearn.engine.agreement import differences
from jax_unlearn.warn import warn_user

FORMAT = 2
"""Version of what the folder holds; one of another version is refused."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_SEAL = "files.json"


@contextlib.contextmanager
def plain_errors(folder: pathlib.Path) -> Iterator[None]:
    """Turn what a disk refuses, which Orbax reports in many ways, into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        code = getattr(error, "errno", None)
        full = [e for e in _NO_ROOM if e == code or os.strerror(e) in str(error)]
        if full:
            raise InputError(
                f"folder={str(folder)!r}: disk full ({os.strerror(full[0])}); earlier checkpoints "
                "stay valid; make room and start the same run again"
            ) from error
        if isinstance(error, OSError):
            raise InputError(
                f"folder={str(folder)!r}: cannot be used ({error.strerror or error}); name a "
                "folder that can be written"
            ) from error
        raise


def first_cause(error: BaseException) -> str:
    """What went wrong first; Orbax wraps the error of TensorStore in long ones of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Hold the folder's lock, which the system frees when the process dies."""
    path = folder / "lock"
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(files.locked(path, wait=False))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warn_user(
                f"folder={str(folder)!r}: this file system has no locks; do not start a second run "
                "there"
            )
            held = True
        if not held:
            raise InputError(
                f"folder={str(folder)!r}: in use by {path.read_text()[:200] or 'another process'}; "
                "wait for it to end or name another folder"
            )
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield


def claim(folder: pathlib.Path, identity: dict[str, Any], *, has_snapshots: bool) -> None:
    """Record which run a folder belongs to, or check that it is this one."""
    path = folder / "run.json"
    if not path.exists():
        if has_snapshots:
            raise InputError(
                f"folder={str(folder)!r}: holds checkpoints but no run.json that says of which "
                "run; name another folder or delete this one"
            )
        text = json.dumps({"format": FORMAT, "identity": identity}, indent=1)
        files.write_whole(path, text, partial=path.with_suffix(".tmp"))
        return
    try:
        stored = json.loads(path.read_text())
        version, theirs = stored["format"], dict(stored["identity"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"folder={str(folder)!r}: its run.json is damaged; name another folder or delete this "
            "one"
        ) from None
    if version != FORMAT:
        raise InputError(
            f"folder={str(folder)!r}: its checkpoints have format {version!r}, this version of "
            f"jax_unlearn writes format {FORMAT}; name another folder or delete this one"
        )
    found = differences(theirs, identity)
    if found:
        raise InputError(
            f"folder={str(folder)!r}: holds checkpoints of another run: {', '.join(found)}; name "
            "another folder or delete this one"
        )


def remove(path: pathlib.Path) -> None:
    """Remove a folder below a run's folder."""
    # Renamed first: a process killed half-way must not leave half a snapshot under its name.
    gone = path.with_name(path.name + ".removed")
    path.rename(gone)
    shutil.rmtree(gone)


def seal(path: pathlib.Path) -> None:
    """Record the digests of all files below a folder, in a file inside it."""
    text = json.dumps(_digests(path))
    files.write_whole(path / _SEAL, text, partial=path / (_SEAL + ".tmp"))


def check_seal(path: pathlib.Path) -> None:
    """Raise ValueError if a file below a sealed folder has changed; a folder without a seal passes.

    A process that dies between writing and sealing leaves an intact folder without a seal.
    """
    try:
        sealed = dict(json.loads((path / _SEAL).read_text()))
    except FileNotFoundError:
        return
    found = _digests(path)
    for name in sorted({*sealed, *found}):
        if sealed.get(name) != found.get(name):
            raise ValueError(f"{name} {'has changed' if name in found else 'is missing'}")


def _digests(path: pathlib.Path) -> dict[str, str]:
    digests = {}
    for file in sorted(path.rglob("*")):
        if file.is_file() and not file.name.startswith(_SEAL):
            with file.open("rb") as stream:
                name = file.relative_to(path).as_posix()
                digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests
