"""Arrays on disk: decoded once, written atomically, read back without pickle."""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import InputError

ENVIRONMENT = "JAX_UNLEARN_CACHE"


Arrays = Mapping[str, Any]
"""Arrays by name."""


def cache_root(cache_dir: str | os.PathLike | None = None) -> Path:
    """Folder of everything cached: the argument, $JAX_UNLEARN_CACHE or ~/.cache/jax_unlearn.

    For a user without a home, as containers have them, one among the temporary files.

    Raises:
      InputError: the path starts with the home of a user that does not exist.
    """
    chosen = cache_dir or os.environ.get(ENVIRONMENT)
    if not chosen:
        try:
            return Path.home() / ".cache" / "jax_unlearn"
        except RuntimeError:
            return Path(tempfile.gettempdir()) / f"jax_unlearn-{os.getuid()}"
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:
        name = "cache_dir" if cache_dir else f"${ENVIRONMENT}"
        raise InputError(
            f"{name}={str(chosen)!r}: expected a folder; the home that ~ stands for does not exist"
        ) from error


def read_or_make(
    folder: Path, names: Collection[str], make: Callable[[], Arrays]
) -> tuple[Arrays, OSError | None]:
    """Read arrays from the cache, or make them and keep them there.

    Args:
      folder: where they are or will be; its name must change with what they are made of.
      names: of the arrays that must be there; a folder without one of them is made again.
      make: makes the arrays.

    Returns:
      The arrays, and why they could not be kept: None where they are.
    """
    arrays = read_arrays(folder)
    if arrays and set(names) <= set(arrays):
        return arrays, None
    shutil.rmtree(folder, ignore_errors=True)
    made = make()
    try:
        write_arrays(folder, made)
    except OSError as error:
        return made, error
    return made, None


def warn_uncached(root: Path, *errors: Exception | None) -> None:
    """Say once, if any error is given, that the cache cannot be written."""
    error = next((error for error in errors if error is not None), None)
    if error is None:
        return
    reason = getattr(error, "strerror", None) or " ".join(str(error).split()).partition(";")[0]
    warnings.warn(
        f"cache_dir={str(root)!r}: cannot be written ({reason}), so the data is read again each "
        f"time: expected a writable folder with enough space; set ${ENVIRONMENT} to one",
        stacklevel=3,
    )


def write_arrays(folder: Path, arrays: Arrays) -> None:
    """Write arrays as ``folder/<name>.npy``; the folder appears complete or not at all.

    A folder that another process finished first is left as it is: its key says that it holds the
    same.

    Raises:
      OSError: the folder cannot be written; nothing of it is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    try:
        unfinished.mkdir()
        for name, array in arrays.items():
            np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_arrays(folder: Path) -> dict[str, np.ndarray] | None:
    """Read what :func:`write_arrays` wrote; None where there is nothing whole to read."""
    try:
        return {
            path.stem: np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))
        } or None
    except (OSError, ValueError, EOFError, MemoryError, OverflowError):
        # A damaged header can ask for any amount of memory.
        return None
