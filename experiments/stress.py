"""Break a run off again and again: `python -m experiments.stress`.

A bank of a small experiment on digits is filled, broken off by a signal at a random moment, and
filled on, until that has happened as often as asked for. Checked each time: the next start goes on
from the newest checkpoint and keeps every model that was finished. A bank that is full is compared
with one that was left alone: weights, what the models say and how they got there must be equal bit
for bit. Then another one begins.

It takes some minutes; exit code 1 and one line tell what was lost.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import jax

# Nothing here may touch a device: the processes that are broken off are forks of this one, which
# spares each the seconds that its imports take.
from jax_unlearn.core import InputError, check_choice, check_number

from . import bank
from .command import guarded, parse, program

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
METHODS = {
    "salun": ("batch_size=20", "epochs={}"),
    "natmu": ("batch_size=20", "epochs={}"),
    # Far from any stop: every run shall be as long as the next.
    "mumis": ("batch_size=10", "max_steps={}", "stop_ratio=1000"),
}
GOES_ON = re.compile(r"^.+: goes on at step (\d+) of \d+$", re.MULTILINE)
TIMES = ("run_seconds", "compile_seconds")


class LostError(Exception):
    """What a run lost, or what became different."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stress:
    """Break a run off again and again.

    Attributes:
      kills: how often.
      signal: kill, term, int, or any, which draws one of them each time.
      longest: seconds that a start is given at most; the moment is drawn uniformly.
      checkpoint_seconds: time between two checkpoints.
      methods: which methods follow training, of salun, natmu and mumis.
      epochs: how long the runs are: passes of training; methods make half as many, MU-Mis that many
        steps.
      seed: of the moments.
      out: folder for the runs; emptied before and kept after.
    """

    kills: int = 30
    signal: str = "kill"
    longest: float = 10.0
    checkpoint_seconds: float = 0.2
    methods: tuple[str, ...] = ("salun", "natmu", "mumis")
    epochs: int = 40
    seed: int = 0
    out: str = "runs/stress"


class Position(NamedTuple):
    """How far a bank has come, read from its folder.

    Attributes:
      models: the records of the finished models, as texts, by address.
      saved: the models under way and the step of their newest checkpoint; '' and 0 where there are
        none.
    """

    models: dict[str, str]
    saved: tuple[str, int]


def position(folder: pathlib.Path) -> Position:
    """Read how far a bank has come."""
    models = {
        path.parent.name: path.read_text()
        for path in sorted(folder.glob("models/*/record.json"))
        if not path.parent.name.startswith(".")
    }
    saved = [
        (part.name, max(_steps(part)))
        for part in folder.glob("unfinished/*")
        if not part.name.endswith(".removed")
        and _steps(part)
        # Killed between the model's own storing and the end of its checkpoints.
        and not _models_of(part) <= set(models)
    ]
    return Position(models, max(saved, default=("", 0), key=lambda part: part[1]))


def _models_of(part: pathlib.Path) -> set[str]:
    """Addresses of the models that checkpoints are of."""
    identity = json.loads((part / "run.json").read_text())
    return set(identity["identity"]["models"])


def _steps(part: pathlib.Path) -> list[int]:
    names = (path.name for path in part.glob("*.*"))
    return [int(name.partition(".")[0]) for name in names if re.fullmatch(r"\d+\.\d+", name)]


def settings(methods: Sequence[str], epochs: int) -> list[str]:
    """Flags of an experiment on digits that is short and has every kind of part."""
    counts = {"salun": -(-epochs // 2), "natmu": -(-epochs // 2), "mumis": epochs}
    given = [f"{name}.{field.format(counts[name])}" for name in methods for field in METHODS[name]]
    flags = [
        *("--data.train-size", 400, "--data.test-size", 100, "--network.width", 8),
        *("--training.epochs", epochs, "--training.batch-size", 20, "--requests", "class:3"),
        *("--methods", *methods, "--count", 1, "--watch", "--set", *given),
    ]
    return [str(flag) for flag in flags]


def _start(folder: pathlib.Path, flags: Sequence[str], seconds: float) -> BaseProcess:
    flags = [*flags, "--checkpoint-seconds", str(seconds), "--out", str(folder)]
    context = multiprocessing.get_context("fork")
    hears, ready = context.Pipe(duplex=False)
    process = context.Process(target=_command, args=(flags, folder.with_suffix(".log"), ready))
    process.start()
    ready.close()
    # Until then a signal would end the process as it ends any other.
    with contextlib.suppress(EOFError):
        hears.recv()
    return process


def _command(flags: Sequence[str], log: pathlib.Path, ready: connection.Connection) -> None:
    """The command in a process of its own; what it prints goes to a file."""
    with log.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    # A shell's background jobs ignore this signal, and their children with them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["experiments.bank", *flags]

    def main() -> None:
        ready.send(True)
        bank.main()

    # A signal that comes when all is done breaks nothing off.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(KeyboardInterrupt):
        program(lambda: guarded(main))


def check_start(before: Position, now: Position, printed: str) -> str:
    """Check that a start went on from where the one before it was; in words, what it did.

    Args:
      before: how far the bank had come before the start.
      now: how far it is.
      printed: what the command printed.

    Raises:
      LostError: a finished model was changed or a checkpoint was not used.
    """
    if any(now.models.get(address) != text for address, text in before.models.items()):
        raise LostError("a model that was finished is gone or has changed")
    part, step = before.saved
    told = [int(at) for at in GOES_ON.findall(printed)]
    if told and told != [step]:
        raise LostError(f"went on at {told}, not with {part} at step {step}")
    further = now.models != before.models
    if part and not told and (further or now.saved[0] != part or now.saved[1] > step):
        raise LostError(f"{part} was begun anew, though step {step} was saved")
    if now.saved[0] == part and now.saved[1] < step:
        raise LostError(f"the checkpoint of {part} at step {step} is gone")
    went_on = f"went on with {part[:8]} at step {step}" if told else "began a model"
    if not told and not further and now.saved == before.saved:
        went_on = "took no step"
    under_way = f"{now.saved[0][:8] or 'nothing'} at {now.saved[1]}"
    return f"{went_on}; now {len(now.models)} models done, {under_way}"


def check_end(folder: pathlib.Path, whole: pathlib.Path) -> None:
    """Check that a bank ended as the one that was left alone.

    Raises:
      LostError: weights, a prediction or a step of the history differ.
    """
    mine, theirs = position(whole).models, position(folder).models
    if set(mine) != set(theirs):
        raise LostError("there are other models than in the bank left alone")
    for address, text in mine.items():
        if _outcome(text) != _outcome(theirs[address]):
            raise LostError(f"{address}: its history differs from that of the bank left alone")
        for path in sorted((whole / "models" / address).glob("*.*")):
            other = folder / "models" / address / path.name
            if path.name != "record.json" and path.read_bytes() != other.read_bytes():
                raise LostError(f"{address}: {path.name} differs from that of the bank left alone")


def _outcome(text: str) -> dict[str, Any]:
    """What came of a training but for the times."""
    return {k: v for k, v in json.loads(text)["outcome"].items() if k not in TIMES}


def _finish(process: BaseProcess, folder: pathlib.Path) -> None:
    process.join()
    if process.exitcode != 0:
        printed = folder.with_suffix(".log").read_text().splitlines()
        raise LostError(f"exit code {process.exitcode}: {printed[-1] if printed else 'no word'}")


def execute(stress: Stress) -> None:
    """Break a run off as often as asked for."""
    for name in stress.methods:
        check_choice("methods", name, METHODS)
    check_number("kills", stress.kills, low=1, whole=True)
    check_choice("signal", stress.signal, (*SIGNALS, "any"))
    check_number("epochs", stress.epochs, low=1, whole=True)
    check_number("longest", stress.longest, above=0)
    check_number("checkpoint_seconds", stress.checkpoint_seconds, low=0)
    out = pathlib.Path(stress.out)
    if out.exists() and not (out / "stress.json").is_file():
        raise InputError(f"out={stress.out!r}: exists and is not of this command; name another")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "stress.json").write_text(json.dumps(dataclasses.asdict(stress)))
    draw = random.Random(stress.seed)

    # So that starts are short beside the work that is broken off.
    jax.config.update("jax_compilation_cache_dir", str((out / "compiled").absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    flags = settings(stress.methods, stress.epochs)
    whole = out / "whole"
    begun = time.monotonic()
    _finish(_start(whole, flags, 60), whole)
    print(f"left alone: {time.monotonic() - begun:.1f} s", flush=True)

    kills, runs = 0, 0
    while kills < stress.kills:
        folder = out / f"run-{runs}"
        ended = False
        while not ended:
            before = position(folder)
            process = _start(folder, flags, stress.checkpoint_seconds)
            name = draw.choice(list(SIGNALS)) if stress.signal == "any" else stress.signal
            pause = draw.uniform(0.3, stress.longest)
            process.join(pause if kills < stress.kills else None)
            if process.exitcode is None and process.pid is not None:
                os.kill(process.pid, SIGNALS[name])
                process.join()
            # The signal may come after the last step: then it broke nothing off.
            ended = process.exitcode == 0
            kills += not ended
            did = check_start(before, position(folder), folder.with_suffix(".log").read_text())
            if ended:
                print(f"      {did}", flush=True)
            else:
                _check_exit(process, name, folder)
                print(f"{kills:3d}. {name} after {pause:4.1f} s: {did}", flush=True)
        check_end(folder, whole)
        runs += 1
        print(f"run {runs} has ended as the one left alone, bit for bit", flush=True)


def _check_exit(process: BaseProcess, name: str, folder: pathlib.Path) -> None:
    expected = -signal.SIGKILL if name == "kill" else 128 + SIGNALS[name]
    if process.exitcode != expected:
        _finish(process, folder)
        raise LostError(f"exit code {process.exitcode} after {name}, not {expected}")


def main() -> None:
    """Read the command line and break runs off."""

    def run() -> None:
        try:
            execute(parse(Stress, "experiments.stress", __doc__))
        except LostError as lost:
            print(f"lost: {lost}", file=sys.stderr)
            raise SystemExit(1) from None

    guarded(run)


if __name__ == "__main__":
    program(main)
