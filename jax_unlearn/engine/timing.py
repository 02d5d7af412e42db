"""Wall time, with compilation counted separately."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import jax

_COMPILE_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


@dataclasses.dataclass
class Stopwatch:
    """Seconds spent while it ran.

    Attributes:
      run: seconds of wall time less ``compile``.
      compile: seconds that JAX spent tracing, lowering and compiling.
    """

    run: float = 0.0
    compile: float = 0.0

    def __post_init__(self) -> None:
        self._since = 0.0
        self._compiling: list[tuple[float, float]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let the watch run; the caller waits for the device before it leaves."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the watch for a while, inside :meth:`running`, with the time so far added."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._since, self._compiling = time.perf_counter(), []
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def _stop(self) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)
        wall = time.perf_counter() - self._since
        compiling = _covered(self._compiling, self._since)
        self.run += wall - compiling
        self.compile += compiling

    def _listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event in _COMPILE_EVENTS:
            now = time.perf_counter()
            self._compiling.append((now - duration_secs, now))


def _covered(intervals: list[tuple[float, float]], start: float) -> float:
    # Tracing one function reports the tracing of those it calls too: count overlaps once.
    total, end = 0.0, start
    for low, high in sorted(intervals):
        total += max(0.0, high - max(low, end))
        end = max(end, high)
    return total
