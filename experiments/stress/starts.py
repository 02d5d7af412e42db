"""Starts of `experiments.bank` in processes of their own, each to be broken off.

Nothing here may touch a device: the processes that are broken off are forks of this one, which
spares each the seconds that its imports take.
"""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import sys
from collections.abc import Sequence
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from jax_unlearn.audit.measures.measure import MIN_SUBSETS
from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import parse_request

from ..bank import command as bank
from ..compile.settings import settle
from ..shared.command import guarded, program
from ..shared.reading import read_command
from .position import LostError

SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
METHODS = {
    "salun": ("batch_size=20", "epochs={}"),
    "natmu": ("batch_size=20", "epochs={}"),
    # Far from any stop: every run shall be as long as the next.
    "mumis": ("batch_size=10", "max_steps={}", "stop_ratio=1000"),
}


def settings(requests: Sequence[str], methods: Sequence[str], epochs: int) -> list[str]:
    """Flags of an experiment on digits that is short and has every kind of part."""
    halves = any(parse_request(text).by_halves for text in requests)
    counts = {"salun": -(-epochs // 2), "natmu": -(-epochs // 2), "mumis": epochs}
    given = [f"{name}.{field.format(counts[name])}" for name in methods for field in METHODS[name]]
    flags = [
        *("--data.train-size", 400, "--data.test-size", 100, "--network.width", 8),
        *("--training.epochs", epochs, "--training.batch-size", 20, "--requests", *requests),
        *("--methods", *methods, "--count", 1, "--subsets", MIN_SUBSETS if halves else 0),
        *("--watch", "--set", *given),
    ]
    return [str(flag) for flag in flags]


def why_refused(flags: Sequence[str]) -> str:
    """What the command would refuse of the flags; '' for nothing.

    Asked in a process of its own, since it computes, and none that is a fork: who calls may have.
    """
    context = multiprocessing.get_context("spawn")
    hears, tells = context.Pipe(duplex=False)
    process = context.Process(target=_look, args=(flags, tells))
    process.start()
    tells.close()
    try:
        said: str = hears.recv()
    except EOFError:
        said = ""
    process.join()
    return said


def _look(flags: Sequence[str], tells: connection.Connection) -> None:
    sys.argv = ["experiments.bank", *flags]
    try:
        settle(read_command(bank.Command, "experiments.bank", None).experiment)
    except InputError as error:
        tells.send(str(error))


def start(folder: pathlib.Path, flags: Sequence[str], seconds: float) -> BaseProcess:
    """Start the command that fills a bank; back when a signal would be its own to handle.

    Args:
      folder: of the bank; what the command prints goes to the file of that name with ``.log``.
      flags: of the experiment.
      seconds: between two checkpoints.
    """
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


def finish(process: BaseProcess, folder: pathlib.Path) -> None:
    """Wait for a start to end; LostError with its last word if it ended in an error."""
    process.join()
    if process.exitcode != 0:
        printed = folder.with_suffix(".log").read_text().splitlines()
        raise LostError(f"exit code {process.exitcode}: {printed[-1] if printed else 'no word'}")


def check_exit(process: BaseProcess, name: str, folder: pathlib.Path) -> None:
    """Check that a start ended by the signal of a name; LostError if by anything else."""
    expected = -signal.SIGKILL if name == "kill" else 128 + SIGNALS[name]
    if process.exitcode != expected:
        finish(process, folder)
        raise LostError(f"exit code {process.exitcode} after {name}, not {expected}")
