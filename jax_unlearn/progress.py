"""A progress bar in a notebook or on a terminal, for whatever reports steps done and planned."""

import html
import sys
import time
from typing import Any

EVERY = 0.2
"""Seconds between two updates of what is shown."""


class ProgressBar:
    """Shows how far something has come; elsewhere than in a notebook or on a terminal, nothing.

    A run, a sweep and a bank take one: ``ju.run(method, problem, key, on_step=ju.ProgressBar())``,
    ``ju.sweep(..., on_done=ju.ProgressBar("settings"))``.

    Args:
      title: what stands before the numbers.
    """

    def __init__(self, title: str = ""):
        self._before = f"{title}: " if title else ""
        self._began = self._last = 0.0
        self._notebook = _in_notebook()
        self._handle: Any = None

    def __call__(self, done: int, planned: int) -> None:
        """Show that so many of the steps planned are done."""
        now = time.monotonic()
        self._began = self._began or now
        if done < planned and now - self._last < EVERY:
            return
        self._last = now
        text = f"{self._before}{done} of {planned}"
        passed = now - self._began
        if done >= planned:
            self._show(f"{text}, {passed:.1f} s", done, planned)
            self._end()
        else:
            left = f", {passed / done * (planned - done):.0f} s left" if done and passed > 1 else ""
            self._show(f"{text}{left}", done, planned)

    def _show(self, text: str, done: int, planned: int) -> None:
        if self._notebook:
            self._display(text, done, planned)
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def _display(self, text: str, done: int, planned: int) -> None:
        """Show the bar in its cell, in the place of what was shown before."""
        from IPython.display import display

        bar = f'<progress value="{done}" max="{max(planned, 1)}"></progress>'
        shown = {"text/plain": text, "text/html": f"{bar} {html.escape(text)}"}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def _end(self) -> None:
        """The next call begins a bar of its own."""
        if not self._notebook and sys.stderr.isatty():
            sys.stderr.write("\n")
        self._began, self._handle = 0.0, None


def _in_notebook() -> bool:
    """Whether this runs in a kernel; IPython is not imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
