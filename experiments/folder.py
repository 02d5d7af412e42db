"""A run's folder: its settings, its bank, its audits; a run that was cut off goes on.

Layout: ``config.json``, ``bank/`` (see :mod:`jax_unlearn.bank.store`; elsewhere where runs share
one), ``models.json`` (which models of the bank are this run's), and for each request a folder with
``audit.json``, ``audit.csv`` and the report.
"""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jax_unlearn.core import InputError
from jax_unlearn.engine.agreement import differences, same_everywhere
from jax_unlearn.files import locked, write_whole

from .config import HOW, what_is_computed
from .provenance import provenance

FORMAT = 2
"""Version of the layout; folders of others are refused."""


@contextlib.contextmanager
def open_folder(
    path: str | pathlib.Path, settings: Mapping[str, Any], *, overwrite: bool
) -> Iterator[pathlib.Path]:
    """Open a run's folder: a new one, or one that the same settings began.

    How the machine is used may have changed since then, see :data:`experiments.config.HOW`. With
    several processes all call it; process 0 holds the folder.

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
        _settings_of(config)
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
        found = _why_not(config, settings) if config.is_file() else ""
        if found:
            if not overwrite:
                raise InputError(
                    f"out={str(path)!r}: the folder holds a run {found}; name another folder or "
                    "pass --overwrite"
                )
            _empty(path)
        _write_config(config, settings)
        yield


def _why_not(config: pathlib.Path, settings: Mapping[str, Any]) -> str:
    """Why a run with these settings cannot go on in a folder; '' if it can."""
    version = json.loads(config.read_text()).get("format", 1)
    if version != FORMAT:
        return f"of another version (format {version}, expected {FORMAT})"
    theirs = _settings_of(config)
    changed = [
        name
        for name, digest in settings.get("sources", {}).items()
        if theirs.get("sources", {}).get(name, digest) != digest
    ]
    if changed:
        return f"of {', '.join(changed)} before its source was changed"
    found = _differences(theirs, settings)
    return f"with other settings: {', '.join(found)}" if found else ""


def _differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """Say where settings differ that results depend on; first those that a flag gives."""
    one, other = (
        what_is_computed(side["experiment"]) if isinstance(side.get("experiment"), dict) else {}
        for side in (theirs, mine)
    )
    found = differences(one, other)
    their_rest, my_rest = (
        {key: value for key, value in side.items() if key != "experiment"}
        for side in (theirs, mine)
    )
    # What else differs mostly follows from those, and would hide them.
    return found or differences(their_rest, my_rest)


def _write_config(config: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Record who begins a run, or, under ``continued``, who goes on with it elsewhere or later."""
    given = settings.get("experiment", {})
    now = provenance() | {"execution": {name: given[name] for name in HOW if name in given}}
    if not config.is_file():
        record = {"format": FORMAT, "settings": settings, **now}
    else:
        record = json.loads(config.read_text())
        last = record.get("continued", [record])[-1]
        if all(last.get(key, value) == value for key, value in now.items()):
            return
        record.setdefault("continued", []).append(now)
    write_whole(config, json.dumps(record, indent=2) + "\n")


LOCK = ".lock"


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


def _settings_of(config: pathlib.Path) -> Any:
    try:
        found = json.loads(config.read_text())
        # Other programs have a config.json too: all of ours say what a number must be read with.
        return [dict(found[key]) for key in ("versions", "hardware", "settings")][-1]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"out={str(config.parent)!r}: its config.json is not that of a run; name another folder"
        ) from error
