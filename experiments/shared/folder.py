"""A run's folder: its settings, its bank, its audits; a run that was cut off goes on.

Layout: ``config.json``, ``bank/`` (see :mod:`jax_unlearn.bank.store`; elsewhere where runs share
one), ``models.json`` (which models of the bank are this run's), and for each request a folder with
``audit.json``, ``audit.csv`` and the report.
"""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jax_unlearn.core import InputError
from jax_unlearn.engine.agreement import same_everywhere
from jax_unlearn.files import locked

from .config_file import settings_of, why_not, write_config

LOCK = ".lock"


@contextlib.contextmanager
def open_folder(
    path: str | pathlib.Path, settings: Mapping[str, Any], *, overwrite: bool
) -> Iterator[pathlib.Path]:
    """Open a run's folder: a new one, or one that the same settings began.

    How the machine is used may have changed since then, see
    :data:`experiments.shared.config_json.HOW`. With several processes all call it; process 0 holds
    the folder.

    Args:
      path: the folder.
      settings: JSON values that determine the run.
      overwrite: whether a folder of another run is emptied first.

    Raises:
      InputError: the folder cannot be made, holds another run or one of another version and
        ``overwrite`` is off, holds something that is no run, or is in use by another process.
    """
    path = pathlib.Path(path)
    with contextlib.ExitStack() as stack:
        with same_everywhere():
            if jax.process_index() == 0:
                stack.enter_context(_held(path, settings, overwrite=overwrite))
        yield path


@contextlib.contextmanager
def _held(path: pathlib.Path, settings: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Hold a folder's lock, with the settings of this run written there."""
    config = path / "config.json"
    if path.is_dir() and not config.is_file() and not all(map(_is_left_over, path.iterdir())):
        raise InputError(
            f"out={str(path)!r}: the folder holds files that are no run; name another folder"
        )
    if config.is_file():
        settings_of(config)
    with contextlib.ExitStack() as stack:
        # Around the lock alone: an error of the caller's block is not the folder's.
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(locked(path / LOCK, wait=False))
        except OSError as error:
            raise InputError(
                f"out={str(path)!r}: {error.strerror}; expected a folder that can be written to"
            ) from error
        if not held:
            raise InputError(
                f"out={str(path)!r}: another process is writing there; wait for it or name another "
                "folder"
            )
        # Only now: what another process has begun must be neither compared nor emptied.
        found = why_not(config, settings) if config.is_file() else ""
        if found:
            if not overwrite:
                raise InputError(
                    f"out={str(path)!r}: the folder holds a run {found}; name another folder or "
                    "pass --overwrite"
                )
            _empty(path)
        write_config(config, settings)
        yield


def _is_left_over(path: pathlib.Path) -> bool:
    """Whether a file is what a run leaves that was killed before it wrote its settings."""
    return path.name == LOCK or path.name.startswith(".config.json.")


def _empty(path: pathlib.Path) -> None:
    """Remove what a run made; last its settings, which mark the folder as ours until then."""
    for child in sorted(path.iterdir(), key=lambda child: child.name == "config.json"):
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child.name != LOCK:
            child.unlink()
