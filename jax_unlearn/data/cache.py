"""Arrays on disk: decoded once, written atomically, read back without pickle."""

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

ENVIRONMENT = "JAX_UNLEARN_CACHE"


def cache_root(cache_dir: str | os.PathLike | None = None) -> Path:
    """Folder of everything cached: the argument, $JAX_UNLEARN_CACHE or ~/.cache/jax_unlearn."""
    chosen = cache_dir or os.environ.get(ENVIRONMENT) or Path.home() / ".cache" / "jax_unlearn"
    return Path(chosen).expanduser()


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as ``folder/<name>.npy``; the folder appears complete or not at all.

    A folder that another process finished first is left as it is: its key says that it holds the
    same.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    unfinished.mkdir()
    try:
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
    except (OSError, ValueError, EOFError):
        return None
