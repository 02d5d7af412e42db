"""What every command shares: one line per user error, exit codes, the console."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import tyro
from rich.console import Console

from jax_unlearn.core import InputError

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def guarded(main: Callable[[], None]) -> None:
    """Run a command; a user's error ends it with one line and exit code 2, Ctrl-C with 130."""
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted: start the same command again to go on", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def program(main: Callable[[], None]) -> None:
    """Run a command as the whole process."""
    try:
        main()
    except SystemExit as stop:
        if stop.code != INTERRUPTED:
            raise
        # Everything is written and closed by now, and where the interrupt cut off a compilation
        # the interpreter's own way out crashes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


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
            return tyro.cli(cls, prog=f"python -m {module}", description=description, **options)
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


def use_cpu_devices(count: int) -> None:
    """Split a CPU's cores into virtual devices; no effect on accelerators.

    Must come before anything touches a device.
    """
    if count:
        jax.config.update("jax_num_cpu_devices", count)
        # XLA's pool has no more threads than there are devices or cores. All-reduces that do not
        # depend on each other start in any order and hold a thread while they wait: with so few
        # threads the devices can wait for each other for ever.
        os.environ.setdefault("PJRT_NPROC", str(8 * count))
