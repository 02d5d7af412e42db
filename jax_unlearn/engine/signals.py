"""SIGTERM and SIGINT wait for the end of a step."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Interrupted(BaseException):
    """Stopped because a signal asked for it; a run stops between two steps.

    It is not an error: code that handles errors must let it pass, as it does KeyboardInterrupt.

    Attributes:
      signal: number of the signal.
      exit_code: what a command exits with: 143 after SIGTERM, 130 after SIGINT.
    """

    def __init__(self, signum: int):
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signal = int(signum)
        self.exit_code = 128 + self.signal

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.signal,)


_BOTH = (signal.SIGTERM, signal.SIGINT)

_raised: list[int] = []
"""Signals that :func:`acting` has turned into exceptions."""


@contextlib.contextmanager
def _handling(signals: Iterable[int], handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Call ``handler`` on the signals inside the block; the previous handlers return at its end."""
    # None stands for a handler that was not installed from Python and cannot be put back.
    before = {s: signal.getsignal(s) or signal.SIG_DFL for s in signals}
    try:
        # A signal that comes here may act as an exception.
        for signum in before:
            signal.signal(signum, handler)
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)


@contextlib.contextmanager
def acting() -> Iterator[None]:
    """Let SIGTERM raise Interrupted, and SIGINT KeyboardInterrupt, inside the block.

    An exception raised in a callback of the garbage collector, of which JAX has one, is lost; the
    next :func:`deferred` then still knows of the signal. A SIGINT that is ignored stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def act(signum: int, frame: Any) -> None:
        _raised.append(signum)
        raise KeyboardInterrupt if signum == signal.SIGINT else Interrupted(signum)

    _raised.clear()
    handled = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        handled.append(signal.SIGINT)

    try:
        with _without_lost_ones(), _handling(handled, act):
            yield
    finally:
        _raised.clear()


@contextlib.contextmanager
def _without_lost_ones() -> Iterator[None]:
    """Keep Python from printing the traceback of a lost exception of ours, which is remembered."""

    def tell(lost: Any) -> None:
        if not isinstance(lost.exc_value, (KeyboardInterrupt, Interrupted)):
            told(lost)

    told, sys.unraisablehook = sys.unraisablehook, tell
    try:
        yield
    finally:
        sys.unraisablehook = told


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], int | None]]:
    """Note SIGTERM and SIGINT inside the block instead of acting on them.

    A second SIGINT raises KeyboardInterrupt at once. The previous handlers return at the end, and
    receive the signal if it came after the block last asked. Python lets only the
    main thread handle signals; in any other thread nothing is noted and nothing changes.

    Yields:
      A function that returns the number of the first signal received, None before there is one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    received: list[int] = []
    asked = False

    def note(signum: int, frame: Any) -> None:
        nonlocal asked
        if signum == signal.SIGINT and signal.SIGINT in received:
            asked = True
            raise KeyboardInterrupt
        received.append(signum)

    def ask() -> int | None:
        nonlocal asked
        asked = bool(received)
        return next(iter((*received, *_raised)), None)

    try:
        with _handling(_BOTH, note):
            yield ask
    finally:
        if received and not asked:
            signal.raise_signal(received[0])


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let SIGTERM and SIGINT act at the end of the block, around code that would swallow them.

    Orbax turns whatever is raised amid its reads into an error of its own, and a sound folder would
    pass for a damaged one. A second SIGINT raises KeyboardInterrupt at once. In a thread that is
    not the main one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def note(signum: int, frame: Any) -> None:
        received.append(signum)
        if received.count(signal.SIGINT) > 1:
            raise KeyboardInterrupt

    try:
        with _handling(_BOTH, note):
            yield
    finally:
        for signum in tuple(received):
            signal.raise_signal(signum)
