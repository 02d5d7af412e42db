"""What every command shares: one line per user error, exit codes, the console."""

import sys
from collections.abc import Callable

import jax
from rich.console import Console

from jax_unlearn.core import InputError


def guarded(main: Callable[[], None]) -> None:
    """Run a command; a user's error ends it with one line and exit code 2, Ctrl-C with 130."""
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted: start the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None


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
