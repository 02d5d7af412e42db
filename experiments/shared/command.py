"""What every command shares: one line per user error, exit codes, the console."""

import contextlib
import errno
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator

from rich.console import Console

from jax_unlearn.core import InputError
from jax_unlearn.engine.signals import Interrupted, acting

from .waiting import is_first, warnings_wait

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = (130, 143)
"""Exit codes after SIGINT (Ctrl-C) and SIGTERM."""


def guarded(main: Callable[[], None], *, warnings_later: bool = False) -> None:
    """Run a command: exit code 2 and one line on a user's error, 130 on SIGINT, 143 on SIGTERM.

    Args:
      main: the command.
      warnings_later: whether it checks much before it begins, which it says by
        :func:`.waiting.tell_warnings`; until then its warnings wait.
    """
    later = warnings_wait() if warnings_later else contextlib.nullcontext()
    try:
        with acting(), _only_our_own_words(), later:
            main()
    except InputError as error:
        _tell(f"error: {as_called(str(error))}")
        # Its cause tells a debugger where in a user's code the error was raised.
        raise SystemExit(2) from error
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _tell(
            f"error: disk full ({error.strerror}); what is finished stays valid; make room and "
            "start the same command again"
        )
        raise SystemExit(2) from None
    except (KeyboardInterrupt, Interrupted) as stop:
        _tell("interrupted: start the same command again to go on")
        code = stop.exit_code if isinstance(stop, Interrupted) else 128 + signal.SIGINT
        raise SystemExit(code) from None


@contextlib.contextmanager
def _only_our_own_words() -> Iterator[None]:
    """Keep Orbax from logging the traceback of an error that it raises, too, and that we say."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _tell(line: str) -> None:
    """Say something on stderr; of several processes only the first does."""
    if is_first():
        print(line, file=sys.stderr)


def program(main: Callable[[], None]) -> None:
    """Run a command as the whole process; a warning and an error are one line each.

    With ``--debug`` an error that is no user's shows where it was raised.
    """
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        with contextlib.nullcontext() if debug else _in_one_line():
            main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has closed, as `head` does. What is not written yet must not try again on the
        # interpreter's way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except SystemExit as stop:
        if stop.code not in INTERRUPTED:
            raise
        # Everything is written and closed by now, and where the interrupt cut off a compilation
        # the interpreter's own way out crashes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(stop.code)


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """End with 1 and one line on an error that nobody foresaw."""
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())
        where = f"{os.path.basename(last.filename)}, line {last.lineno}"
        _tell(f"error: {type(error).__name__}: {said} ({where}); --debug shows where it comes from")
        raise SystemExit(1) from None


def as_called(text: str) -> str:
    """Name commands as they are called here: an installed package has no ``experiments``."""
    installed = __package__ == "jax_unlearn.commands.shared"
    return text.replace("python -m experiments.", "jax-unlearn ") if installed else text


def console() -> Console:
    """The terminal, or plain text of a fixed width where there is none."""
    probe = Console()
    return probe if probe.is_terminal else Console(width=160)
