"""The command once more where its process was ended by a compiler or has taken too much memory."""

import os
import resource
import signal
import subprocess
import sys

INSIDE = "JAX_UNLEARN_COMPILING"
"""Set in the environment of the process that compiles to how many there were before it."""

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
MOST = 1000
"""Starts at most. Every crash counts for the program under way, which is left after two."""

FULL = 75
"""Exit status of a process that makes room and asks to be started again."""


def is_inside() -> bool:
    """Whether this is the process that compiles."""
    return INSIDE in os.environ


def is_again() -> bool:
    """Whether a process before this one has begun what the command asks for."""
    return os.environ.get(INSIDE, "0") != "0"


def restart_after_crashes() -> None:
    """Run this command in processes of its own until one ends by itself, and exit as it does."""
    again = [sys.executable, "-m", __package__ or "", *sys.argv[1:]]
    for start in range(MOST):
        process = subprocess.Popen(again, env={**os.environ, INSIDE: str(start)})
        # It ends itself in order; without it nothing would be compiled for anybody.
        signal.signal(signal.SIGTERM, lambda *_, process=process: process.terminate())
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # It has heard the signal, too, and says what there is to say.
            process.wait()
            raise SystemExit(128 + signal.SIGINT) from None
        if -code not in CRASHES and code != FULL:
            raise SystemExit(code)
    raise SystemExit(code if code > 0 else 128 - code)


def make_room() -> None:
    """End this process, to be started again, where it has had half of the machine's memory.

    The compilers keep some of what every program took: dozens of a large network would fill any
    machine.
    """
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Of macOS these are bytes, of Linux KiB.
    taken *= 1 if sys.platform == "darwin" else 1024
    if is_inside() and taken > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2:
        raise SystemExit(FULL)
