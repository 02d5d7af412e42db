"""The command once more where its process was ended by a compiler or has taken too much memory."""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

INSIDE = "JAX_UNLEARN_COMPILING"
"""Set in the environment of the process that compiles to how many there were before it."""

BEGAN = "JAX_UNLEARN_COMPILING_SINCE"
"""Set beside it to the time at which the command was given, in seconds."""

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
MOST = 1000
"""Starts at most. Every crash counts for the program under way, which is left after two."""

FULL = 75
"""Exit status of a process that makes room and asks to be started again."""

LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")
"""Where Linux tells a container how much memory it may have."""


def is_inside() -> bool:
    """Whether this is the process that compiles."""
    return INSIDE in os.environ


def is_again() -> bool:
    """Whether this process follows another of the same command."""
    return os.environ.get(INSIDE, "0") != "0"


def is_of_this_command(file: pathlib.Path) -> bool:
    """Whether a file was written since the command was given, by a process before this one."""
    return is_again() and file.is_file() and file.stat().st_mtime > float(os.environ[BEGAN])


def restart_after_crashes() -> None:
    """Run this command in processes of its own until one ends by itself, and exit as it does."""
    again = [sys.executable, "-m", __package__ or "", *sys.argv[1:]]
    began = str(time.time())
    for start in range(MOST):
        process = subprocess.Popen(again, env={**os.environ, INSIDE: str(start), BEGAN: began})
        # It ends itself in order; without it nothing would be compiled for anybody.
        signal.signal(signal.SIGTERM, lambda *_, process=process: process.terminate())
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # It has heard the signal, too, and says what there is to say.
            process.wait()
            raise SystemExit(128 + signal.SIGINT) from None
        if -code not in CRASHES and code != FULL:
            if code < 0:
                said = f"error: ended by signal {-code}"
                if -code == signal.SIGKILL:
                    said += ", as the system does where memory runs out"
                print(f"{said}; the same command goes on", file=sys.stderr)
            raise SystemExit(code if code >= 0 else 128 - code)
    raise SystemExit(code if code > 0 else 128 - code)


def make_room() -> None:
    """End this process, to be started again, where it has had half of the machine's memory.

    The compilers keep some of what every program took: dozens of a large network would fill any
    machine.
    """
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Of macOS these are bytes, of Linux KiB.
    taken *= 1 if sys.platform == "darwin" else 1024
    if is_inside() and taken > _memory() / 2:
        raise SystemExit(FULL)


def _memory() -> int:
    """Bytes that this process may have: the machine's, or its container's."""
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # Without a container the file is missing or holds a word.
    with contextlib.suppress(OSError, ValueError):
        most = min(most, int(LIMIT.read_text()))
    return most
