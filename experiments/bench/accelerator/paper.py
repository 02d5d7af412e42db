"""As much of a paper's setting as fits in what is left of the time; the next session goes on."""

import os
import pathlib
import signal
import subprocess
import sys

from ...shared.command import INTERRUPTED
from ..benchmarks.cases import Row
from .session import Part, Session, UnfinishedError

PRESET, REHEARSAL = "natmu_cifar10_vgg16", "quickstart"

TO_SAVE = 30.0
"""Seconds that a run gets to save itself in."""


def parts(session: Session) -> list[Part]:
    """One part, the last: it takes all the time that is left."""
    name = REHEARSAL if session.quick else PRESET
    return [Part(name, 60, 24 * 3600, lambda limit: _measure(session, name, limit))]


def _measure(session: Session, name: str, limit: float) -> list[Row]:
    if name == PRESET and not session.data_dir:
        raise RuntimeError(
            f"CIFAR-10 is needed: pass --data-dir with the folder that {PRESET} reads"
        )
    folder = session.out / name
    command = [sys.executable, "-m", f"{__package__.rsplit('.', 2)[0]}.run"]
    command += ["--preset", name, "--out", str(folder)]
    command += ["--data-dir", session.data_dir] if session.data_dir else []
    code, said = run(command, session.environment, session.out / f"{name}.log", limit - TO_SAVE)
    if code not in (0, *INTERRUPTED, -signal.SIGTERM):
        raise RuntimeError(said)
    models, steps = progress(folder / "bank")
    if code:
        note = f"cut off after {limit:.0f} s, at step {steps} of the next; the same command goes on"
        raise UnfinishedError([Row(name, models, "models in the bank", note)])
    return [Row(name, models, "models in the bank", f"done: {folder}")]


def progress(bank: pathlib.Path) -> tuple[int, int]:
    """Number of models in a bank, and steps that are saved of those under way."""
    # A checkpoint is a folder STEP.NUMBER.
    saved = [int(path.name.split(".")[0]) for path in bank.glob("unfinished/*/[0-9]*.*")]
    return len(list(bank.glob("models/*/record.json"))), max(saved, default=0)


def run(
    command: list[str], environment: dict[str, str], log: pathlib.Path, limit: float
) -> tuple[int, str]:
    """Run a command for some seconds, then have it save itself; exit code and its last line."""
    with log.open("a") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = _saved(process)
        except BaseException:
            # Ended ourselves: the run must not go on without us, and is to save itself, too.
            _saved(process)
            raise
        finally:
            process.kill()
    lines = log.read_text(errors="replace").strip().splitlines()
    return code, lines[-1] if lines else f"exit code {code}"


def _saved(process: subprocess.Popen) -> int:
    """Tell a process to end; its exit code. One that does not in time has saved before."""
    process.terminate()
    try:
        return process.wait(TO_SAVE)
    except subprocess.TimeoutExpired:
        return -signal.SIGTERM
