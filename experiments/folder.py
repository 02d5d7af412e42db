"""A run's folder: its settings, its records, its predictions; a run that was cut off goes on."""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np

from jax_unlearn.audit import load_predictions, save_predictions
from jax_unlearn.core import InputError, Predictions
from jax_unlearn.engine import Result
from jax_unlearn.engine.agreement import differences, from_first_process, same_everywhere
from jax_unlearn.files import locked, write_whole

from .config import HOW, what_is_computed

PACKAGES = (
    "jax_unlearn",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "numpy",
    "scipy",
    "scikit-learn",
    "optuna",
)


def provenance() -> dict[str, Any]:
    """Command, date, versions and hardware: what a number must be read with."""
    return {
        "command": " ".join(["python -m", _module_name(), *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "hardware": {
            "platform": jax.default_backend(),
            "devices": [str(device.device_kind) for device in jax.devices()],
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
        },
    }


def _module_name() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else pathlib.Path(sys.argv[0]).stem


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


class RunFolder:
    """Where a run keeps everything it makes.

    Layout: ``config.json``, ``metrics.jsonl`` (one line per epoch, then one per finished part),
    ``weights/``, ``predictions/<request>/<name>-<seed>.npz``, ``figures/<request>/``, ``table.md``,
    ``table.csv``, ``report.md``, and while a model is under way ``checkpoints/``.

    With several processes all make the same calls, and process 0 alone reads and writes.

    Attributes:
      path: the folder.
      parts: the finished parts by (request, name, seed); of each, status, steps and seconds.
      histories: the epochs of each finished part; on process 0.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._leads = jax.process_index() == 0
        self.parts: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.histories: dict[tuple[str, str, int], list[dict[str, float]]] = {}
        if self._leads:
            self._read()
        there = [[*part, row, self._is_sound(part)] for part, row in self.parts.items()]
        told, _ = from_first_process(there, [])
        self.parts = {(request, name, seed): row for request, name, seed, row, _ in told}
        self._done = {(request, name, seed) for request, name, seed, _, stored in told if stored}

    def _read(self) -> None:
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return
        lines = path.read_text().splitlines(keepends=True)
        epochs: list[tuple[Any, dict[str, float]]] = []
        whole = 0
        for number, line in enumerate(lines, start=1):
            try:
                # A line without its end was cut off, even where what is left is sound JSON.
                row = json.loads(line) if line.endswith("\n") else {}
                part = (row.pop("request"), row.pop("name"), row.pop("seed"))
                kind = row.pop("kind")
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if kind == "epoch":
                epochs.append((part, row))
                continue
            self.parts[part] = row
            self.histories[part] = [entry for owner, entry in epochs if owner == part]
            epochs, whole = [], number
        if whole < len(lines):
            # What follows the last result was cut off by a crash; its part is done again.
            write_whole(path, "".join(lines[:whole]))

    def weights(self, name: str) -> pathlib.Path:
        """Folder of a network's weights."""
        return self.path / "weights" / name

    def checkpoints(self, part: tuple[str, str, int]) -> pathlib.Path:
        """Folder of a part's checkpoints; gone when the part is done."""
        return self.path / "checkpoints" / "-".join(str(word) for word in part if word != "")

    def figure(self, request: str, name: str) -> pathlib.Path:
        """File of a figure."""
        return self.path / "figures" / request / f"{name}.png"

    def _predictions(self, part: tuple[str, str, int]) -> pathlib.Path:
        request, name, seed = part
        return self.path / "predictions" / request / f"{name}-{seed}.npz"

    def _stored(self, part: tuple[str, str, int]) -> pathlib.Path:
        """What a finished part has left: predictions, or an original's weights."""
        request, name, seed = part
        return self._predictions(part) if request else self.weights(f"{name}-{seed}")

    def _is_sound(self, part: tuple[str, str, int]) -> bool:
        """Whether what a finished part has left is there; damaged predictions are not."""
        path = self._stored(part)
        # Weights are looked at where they are read, if they are.
        if not path.exists() or not part[0]:
            return path.exists()
        try:
            load_predictions(path)
        # A damaged file shows itself as an error of any kind.
        except Exception as error:
            cause = type(error.__cause__ or error).__name__
            warnings.warn(
                f"path={str(path)!r}: these predictions are damaged ({cause}) and made again",
                stacklevel=2,
            )
            return False
        return True

    def done(self, request: str, name: str, seed: int) -> bool:
        """Whether a part is finished and what it made is there and sound."""
        return (request, name, seed) in self._done

    def predictions(self, request: str, name: str, seed: int) -> Predictions | None:
        """Predictions of a finished part, None where it is still to do."""
        part = (request, name, seed)
        return load_predictions(self._predictions(part)) if part in self._done else None

    def finish(
        self, request: str, name: str, seed: int, predictions: Predictions, outcome: Result | None
    ) -> None:
        """Store a part's predictions, then its records; only the last makes it count as done."""
        part = (request, name, seed)
        if self._leads:
            path = self._predictions(part)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_predictions(path, predictions)
        self.record(part, outcome)

    def record(self, part: tuple[str, str, int], outcome: Result | None) -> None:
        """Append a part's epochs and its result to ``metrics.jsonl``, in one write."""
        request, name, seed = part
        result: dict[str, Any] = {}
        history: list[dict[str, float]] = []
        if outcome is not None:
            history = [
                {"epoch": epoch, **{k: _number(v) for k, v in entry.items()}}
                for epoch, entry in enumerate(outcome.history)
            ]
            result = {
                "status": outcome.status,
                "steps": outcome.steps,
                "run_seconds": outcome.run_seconds,
                "compile_seconds": outcome.compile_seconds,
            }
        head = {"request": request, "name": name, "seed": seed}
        rows = [{**head, "kind": "epoch", **entry} for entry in history]
        rows.append({**head, "kind": "result", **result})
        self.parts[part], self.histories[part] = result, history
        self._done.add(part)
        if self._leads:
            with (self.path / "metrics.jsonl").open("a") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows))
            shutil.rmtree(self.checkpoints(part), ignore_errors=True)


def _number(value: float) -> float | None:
    # JSON has no NaN: a value that is not finite is written as null.
    return float(value) if np.isfinite(value) else None


@contextlib.contextmanager
def open_folder(
    path: str | pathlib.Path, settings: Mapping[str, Any], *, overwrite: bool
) -> Iterator[RunFolder]:
    """Open a run's folder: a new one, or one that the same settings began.

    How the machine is used may have changed since then, see :data:`experiments.config.HOW`. With
    several processes all call it; process 0 holds the folder.

    Args:
      path: the folder.
      settings: JSON values that determine the run.
      overwrite: whether a folder of another run is emptied first.

    Raises:
      InputError: the folder cannot be made, holds another run and ``overwrite`` is off, holds
        something that is no run, or is in use by another process.
    """
    path = pathlib.Path(path)
    with contextlib.ExitStack() as stack:
        with same_everywhere():
            if jax.process_index() == 0:
                stack.enter_context(_held(path, settings, overwrite=overwrite))
        yield RunFolder(path)


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
        found = _differences(_settings_of(config), settings) if config.is_file() else []
        if found:
            if not overwrite:
                raise InputError(
                    f"out={str(path)!r}: the folder holds a run with other settings: "
                    f"{', '.join(found)}; name another folder or pass --overwrite"
                )
            _empty(path)
        _write_config(config, settings)
        yield


def _differences(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """Say where settings differ that results depend on; first those that a flag gives."""
    one, other = (
        what_is_computed(side["experiment"]) if isinstance(side.get("experiment"), dict) else {}
        for side in (theirs, mine)
    )
    found = differences(one, other)
    rest = [
        {key: value for key, value in side.items() if key != "experiment"}
        for side in (theirs, mine)
    ]
    # What else differs mostly follows from those, and would hide them.
    return found or differences(*rest)


def _write_config(config: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Record who begins a run, or, under ``continued``, who goes on with it elsewhere or later."""
    given = settings.get("experiment", {})
    now = provenance() | {"execution": {name: given[name] for name in HOW if name in given}}
    if not config.is_file():
        record = {"settings": settings, **now}
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
