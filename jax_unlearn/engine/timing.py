"""Wall time with compilation counted apart."""

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

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let the watch run; the caller waits for the device before it leaves."""
        intervals = []

        def listen(event: str, seconds: float, **_) -> None:
            if event in _COMPILE_EVENTS:
                now = time.perf_counter()
                intervals.append((now - seconds, now))

        start = time.perf_counter()
        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            yield
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)
            wall = time.perf_counter() - start
            compiling = _covered(intervals, start)
            self.run += wall - compiling
            self.compile += compiling


def _covered(intervals: list[tuple[float, float]], start: float) -> float:
    # Tracing one function reports the tracing of those it calls too: count overlaps once.
    total, end = 0.0, start
    for low, high in sorted(intervals):
        total += max(0.0, high - max(low, end))
        end = max(end, high)
    return total
