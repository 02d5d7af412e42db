"""Warnings that point at the user's line."""

import sys
import types
import warnings

_PASSED_OVER = ("jax_unlearn", "contextlib")
"""Packages whose frames are not the user's: this one, and what runs its context managers."""


def warn_user(message: str) -> None:
    """Warn at the line outside this package that led here.

    ``warnings.warn(skip_file_prefixes=...)`` does this from Python 3.12 on.
    """
    level = 1
    frame: types.FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _PASSED_OVER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
