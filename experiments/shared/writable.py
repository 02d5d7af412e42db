"""Whether a command may write where it was told to."""

import tempfile
from pathlib import Path

from jax_unlearn.core import InputError


def check_writable(folder: Path, *, flag: str = "out") -> None:
    """Make the folder, or say why it cannot hold results, before hours are spent on them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{flag}={str(folder)!r}: {error.strerror}: expected a folder that can be written to; "
            f"name another with --{flag}"
        ) from None
