"""The command: breaks runs off until that has happened as often as asked for."""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import sys
import time

import jax

from jax_unlearn.core import InputError, check_choice, check_number
from jax_unlearn.data.request_text import parse_request

from ..shared.command import guarded
from ..shared.command_line import parse
from ..shared.naming import as_typed
from ..shared.writable import check_writable
from . import __doc__ as description
from .position import LostError, check_end, check_start, position
from .starts import METHODS, SIGNALS, check_exit, finish, settings, start, why_refused


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stress:
    """Break a run off again and again.

    Attributes:
      kills: how often.
      signal: kill, term, int, or any, which draws one of them each time.
      longest: seconds that a start is given at most; the moment is drawn uniformly.
      checkpoint_seconds: time between two checkpoints.
      requests: what to forget, as in experiments.run.
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
    requests: tuple[str, ...] = ("class:3",)
    methods: tuple[str, ...] = ("salun", "natmu", "mumis")
    epochs: int = 40
    seed: int = 0
    out: str = "runs/stress"


def execute(stress: Stress) -> None:
    """Break a run off as often as asked for."""
    if not stress.methods:
        raise InputError(f"methods=(): expected one or more of {', '.join(METHODS)}")
    for text in stress.requests:
        with as_typed(request="requests"):
            parse_request(text)
    for name in stress.methods:
        check_choice("methods", name, METHODS)
    check_number("kills", stress.kills, low=1, whole=True)
    check_choice("signal", stress.signal, (*SIGNALS, "any"))
    check_number("epochs", stress.epochs, low=1, whole=True)
    check_number("longest", stress.longest, above=0)
    check_number("checkpoint_seconds", stress.checkpoint_seconds, low=0)
    flags = settings(stress.requests, stress.methods, stress.epochs)
    if said := why_refused(flags):
        raise InputError(said)
    out = pathlib.Path(stress.out)
    if out.exists() and not (out / "stress.json").is_file():
        raise InputError(f"out={stress.out!r}: exists and is not of this command; name another")
    shutil.rmtree(out, ignore_errors=True)
    check_writable(out)
    (out / "stress.json").write_text(json.dumps(dataclasses.asdict(stress)))
    draw = random.Random(stress.seed)

    # So that starts are short beside the work that is broken off.
    jax.config.update("jax_compilation_cache_dir", str((out / "compiled").absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    whole = out / "whole"
    begun = time.monotonic()
    finish(start(whole, flags, 60), whole)
    print(f"left alone: {time.monotonic() - begun:.1f} s", flush=True)

    kills, runs = 0, 0
    while kills < stress.kills:
        folder = out / f"run-{runs}"
        ended = False
        while not ended:
            before = position(folder)
            process = start(folder, flags, stress.checkpoint_seconds)
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
                check_exit(process, name, folder)
                print(f"{kills:3d}. {name} after {pause:4.1f} s: {did}", flush=True)
        check_end(folder, whole)
        runs += 1
        print(f"run {runs} has ended as the one left alone, bit for bit", flush=True)


def main() -> None:
    """Read the command line and break runs off."""

    def run() -> None:
        try:
            execute(parse(Stress, "experiments.stress", description))
        except LostError as lost:
            print(f"lost: {lost}", file=sys.stderr)
            raise SystemExit(1) from None

    guarded(run)
