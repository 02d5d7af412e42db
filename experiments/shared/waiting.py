"""Warnings of a command that may still be refused: a refusal is one line, alone."""

import contextlib
import contextvars
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jax_unlearn.core import InputError


class _Waiting:
    """Warnings that are kept back until the command has begun.

    Attributes:
      show: what shows a warning; never another's :meth:`take`, which may wait for longer.
    """

    def __init__(self, around: "_Waiting | None") -> None:
        self.show: Callable[..., None] = around.show if around else warnings.showwarning
        self.kept: list[tuple[Any, Any]] = []
        self.begun = False

    def take(self, *given: Any, **more: Any) -> None:
        """Show a warning, or keep it back."""
        self.kept.append((given, more))
        if self.begun:
            self.tell()

    def tell(self) -> None:
        """Show what was kept back, and from now on every warning when it comes.

        Of several processes only the first does.
        """
        self.begun = True
        while self.kept:
            given, more = self.kept.pop(0)
            if is_first():
                self.show(*given, **more)


def is_first() -> bool:
    """Whether this process speaks for all, without starting devices where it is the only one."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


_current: contextvars.ContextVar[_Waiting | None] = contextvars.ContextVar("waiting", default=None)


@contextlib.contextmanager
def warnings_wait() -> Iterator[None]:
    """Keep warnings back until the block calls :func:`tell_warnings`, or ends.

    Where it ends with a refusal, what was kept back is not told.
    """
    waiting, before = _Waiting(_current.get()), warnings.showwarning
    token = _current.set(waiting)
    warnings.showwarning = waiting.take
    try:
        yield
    except InputError:
        raise
    except BaseException:
        waiting.tell()
        raise
    else:
        waiting.tell()
    finally:
        warnings.showwarning = before
        _current.reset(token)


def tell_warnings() -> None:
    """Tell the warnings that wait: the command has accepted what it was given, and begins."""
    waiting = _current.get()
    if waiting is not None:
        waiting.tell()
