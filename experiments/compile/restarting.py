"""The command once more where its process was ended by a compiler or has taken too much memory."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

INSIDE = "JAX_UNLEARN_COMPILING"
"""Set in the environment of the process that compiles to how many there were before it."""

BEGAN = "JAX_UNLEARN_COMPILING_SINCE"
"""Set beside it to the time at which the command was given, in seconds."""

WORDS = "JAX_UNLEARN_COMPILING_WORDS"
"""Set beside it to a file for what the compilers, which are libraries, write to the terminal."""

ENDED = "JAX_UNLEARN_COMPILING_ENDED"
"""Set beside it, for a process that follows one that a compiler has ended, to its last words."""

FATAL = re.compile(r"F\d{4} .*|\*\*\* .*|Fatal Python error: .*")
"""What the line looks like that says why a process is ended."""

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


def last_words() -> str:
    """What the compiler said that has ended the process before this one; '' where none has."""
    return os.environ.get(ENDED, "")


def restart_after_crashes() -> None:
    """Run this command in processes of its own until one ends by itself, and exit as it does."""
    with tempfile.NamedTemporaryFile(prefix="compiler-") as words:
        _restart_after_crashes(pathlib.Path(words.name))


def _restart_after_crashes(words: pathlib.Path) -> None:
    again = [sys.executable, "-m", __package__ or "", *sys.argv[1:]]
    given = {**os.environ, BEGAN: str(time.time()), WORDS: str(words)}
    for start in range(MOST):
        process = subprocess.Popen(again, env={**given, INSIDE: str(start)})
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
        given.pop(ENDED, None)
        if code != FULL:
            given[ENDED] = _read(words) or signal.Signals(-code).name
            print(f"the compiler ended the process: {given[ENDED]}; starting again", flush=True)
    raise SystemExit(code if code > 0 else 128 - code)


def _read(words: pathlib.Path) -> str:
    """Why a compiler has ended the process, cut to a line; '' where it has not said."""
    lines = words.read_text(errors="replace").splitlines()
    return next((line[:300] for line in lines if FATAL.match(line)), "")


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
