"""Whose argument an error names: the flag that was typed, not what the library calls it."""

import contextlib
import re
from collections.abc import Iterator

from jax_unlearn.core import InputError


@contextlib.contextmanager
def naming(prefix: str) -> Iterator[None]:
    """Put a prefix before the argument that an error names, to say whose argument it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error


@contextlib.contextmanager
def as_typed(flag: str = "", **flags: str) -> Iterator[None]:
    """Name the flag that was typed where an error names an argument of the library.

    Args:
      flag: flag and value, such as ``requests='class:3'``, to put before an error that names none
        of the arguments in ``flags``; '' leaves such an error as it is.
      **flags: for arguments of the library, what they are called on the command line.
    """
    try:
        yield
    except InputError as error:
        message = _typed(str(error), flag, flags)
        if message == str(error):
            raise
        raise InputError(message) from error


def _typed(message: str, flag: str, flags: dict[str, str]) -> str:
    head = re.match(r"\w+", message)
    if flag and not message.startswith(flag) and not (head and head[0] in flags):
        # A class is a part of what was typed, and the library's word for it no flag.
        message = f"{flag}: {re.sub(r'^(fine_)?classes=', 'class ', message)}"
    for name, typed in flags.items():
        # At the front, and where the remedy tells what to pass; elsewhere it may be Python code.
        message = re.sub(rf"(^|\b(?:pass|in) ){name}(?=[=:])", rf"\g<1>{typed}", message)
    return message
