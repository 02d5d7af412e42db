"""Warnings that point at the user's line."""

import contextlib
import contextvars
import sys
import types
import warnings
from collections.abc import Iterator

_PASSED_OVER = ("jax_unlearn", "contextlib")
"""Packages whose frames are not the user's: this one, and what runs its context managers."""


_subject = contextvars.ContextVar("subject", default="")


@contextlib.contextmanager
def warnings_about(subject: str) -> Iterator[None]:
    """Begin warnings with what they are about, which the code that warns does not know."""
    token = _subject.set(f"{subject}: ")
    try:
        yield
    finally:
        _subject.reset(token)


def warn_user(message: str) -> None:
    """Warn at the line outside this package that led here.

    ``warnings.warn(skip_file_prefixes=...)`` does this from Python 3.12 on.
    """
    level = 1
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _PASSED_OVER:
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{_subject.get()}{message}", stacklevel=level)
