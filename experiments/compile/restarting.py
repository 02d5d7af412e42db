"""The command once more where a compiler has ended its process: that program is left out."""

import os
import signal
import subprocess
import sys

INSIDE = "JAX_UNLEARN_COMPILING"
"""Set in the environment of the process that compiles."""

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
MOST = 1000
"""Starts at most. Every crash counts for the program under way, which is left after two."""


def is_inside() -> bool:
    """Whether this is the process that compiles."""
    return INSIDE in os.environ


def restart_after_crashes() -> None:
    """Run this command in processes of its own until one ends by itself, and exit as it does."""
    again = [sys.executable, "-m", __package__ or "", *sys.argv[1:]]
    for _ in range(MOST):
        process = subprocess.Popen(again, env={**os.environ, INSIDE: "1"})
        # It ends itself in order; without it nothing would be compiled for anybody.
        signal.signal(signal.SIGTERM, lambda *_, process=process: process.terminate())
        try:
            code = process.wait()
        except KeyboardInterrupt:
            # It has heard the signal, too, and says what there is to say.
            process.wait()
            raise SystemExit(128 + signal.SIGINT) from None
        if -code not in CRASHES:
            raise SystemExit(code)
    raise SystemExit(128 - code)
