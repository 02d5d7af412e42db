"""What every command shares: one line per user error, exit codes, the console."""

import contextlib
import ctypes
import errno
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import tyro
from rich.console import Console

from jax_unlearn.core import InputError
from jax_unlearn.engine.signals import Interrupted, acting

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = (130, 143)
"""Exit codes after SIGINT (Ctrl-C) and SIGTERM."""


def guarded(main: Callable[[], None]) -> None:
    """Run a command: exit code 2 and one line on a user's error, 130 on SIGINT, 143 on SIGTERM."""
    try:
        with acting(), _only_our_own_words():
            main()
    except InputError as error:
        _tell(f"error: {as_called(str(error))}")
        raise SystemExit(2) from None
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
    if not jax.distributed.is_initialized() or jax.process_index() == 0:
        print(line, file=sys.stderr)


def program(main: Callable[[], None]) -> None:
    """Run a command as the whole process; a warning is one line."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        main()
    except SystemExit as stop:
        if stop.code not in INTERRUPTED:
            raise
        # Everything is written and closed by now, and where the interrupt cut off a compilation
        # the interpreter's own way out crashes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(stop.code)


def as_called(text: str) -> str:
    """Name commands as they are called here: an installed package has no ``experiments``."""
    installed = __package__ == "jax_unlearn.commands"
    return text.replace("python -m experiments.", "jax-unlearn ") if installed else text


_T = TypeVar("_T")


def parse(cls: type[_T], module: str, description: str, **options: Any) -> _T:
    """Read the command line into a dataclass.

    Args:
      cls: the dataclass.
      module: name of the command's module.
      description: shown by ``--help``.
      **options: further arguments of ``tyro.cli``.

    Raises:
      InputError: a flag is unknown or its value cannot be read.
    """
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            return tyro.cli(
                cls,
                prog=as_called(f"python -m {module}"),
                description=as_called(description),
                **options,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_one_line(heard.getvalue())) from None


def _one_line(box: str) -> str:
    """What a framed message of tyro says, with the flags that it lists as near or as meant."""
    rows = [row.strip("│╭╮╰╯ ") for row in box.splitlines()]
    # The first row is a title; a terminal without line-drawing characters has a rule under it.
    blocks = "\n".join("" if set(row) <= set("-─") else row for row in rows[1:]).strip()
    says, _, lists = blocks.partition("\n\n")
    flags = [row for row in lists.splitlines() if row.startswith("-")]
    hint = f"; expected {' or '.join(flags)}" if flags else ""
    return f"{' '.join(says.split()).rstrip('.')}{hint}; see --help"


def console() -> Console:
    """The terminal, or plain text of a fixed width where there is none."""
    probe = Console()
    return probe if probe.is_terminal else Console(width=160)


def use_cpu_devices(count: int, *, keep_memory: bool = True) -> None:
    """Split a CPU's cores into virtual devices, and keep memory between steps.

    No effect on accelerators. Must come before anything touches a device.

    Args:
      count: number of virtual devices; 0 leaves JAX's own.
      keep_memory: whether what XLA frees stays with the process; see
        :attr:`experiments.config.Experiment.keeps_memory`.
    """
    if keep_memory:
        _keep_freed_memory()
    if count:
        jax.config.update("jax_num_cpu_devices", count)
    if count > 1:
        # XLA's pool has no more threads than there are devices or cores. All-reduces that do not
        # depend on each other start in any order and hold a thread while they wait: with so few
        # threads the devices can wait for each other for ever. More threads than cores slow a
        # single device down.
        os.environ.setdefault("PJRT_NPROC", str(8 * count))


_MMAP_FROM, _TRIM_FROM = -3, -1
"""Numbers of mallopt's parameters in glibc's malloc.h."""


def _keep_freed_memory() -> None:
    """Have glibc keep what XLA frees.

    To hand 100 MB back after every step and to fault them in again costs a fourth of a small
    ResNet's step on CPU.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    # Other C libraries have no mallopt; older ones refuse to keep arrays above 32 MiB.
    if hasattr(libc, "mallopt") and (
        libc.mallopt(_MMAP_FROM, 2**30) or libc.mallopt(_MMAP_FROM, 2**25)
    ):
        libc.mallopt(_TRIM_FROM, 2**31 - 1)
        # glibc keeps nothing above 64 MiB for other threads than the main one: the thread that
        # calls a step must be the one that allocates for it.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
