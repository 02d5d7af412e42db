"""Steps of the engine's own programs, without the loop around them, and their times."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import jax_unlearn as ju
from jax_unlearn.core import StepInfo
from jax_unlearn.engine import make_mesh, steps
from jax_unlearn.sharding import Layout

from ...compile.hlo import parse
from ...compile.measuring import costs

ROUNDS = 30
"""Most repeats of a comparison."""

STRETCH = 0.25
"""Seconds of steps between two looks at the clock."""

SCANNED = 20
"""Steps of one compiled loop."""


class Stepper:
    """A method under way on random rows, on all devices.

    Attributes:
      state: the method's state.
    """

    def __init__(self, method: ju.Unlearner, problem: ju.Problem, *, scanned: bool):
        self._layout = layout = Layout(make_mesh())
        init_key, pool_key, step_key = jax.random.split(jax.random.key(0), 3)
        pool = method.pool(pool_key, problem)
        self._scanned, self._model = scanned, problem.model
        source = steps.OnDevice(layout, [pool], problem.augment)
        self._pool, self._options = source.pool, source.options
        # Numbers as the engine traces them.
        numbers = {float: np.float32, int: np.int32}
        numeric = jax.tree.map(lambda x: numbers[type(x)](x), method)
        self._method = layout.shard([numeric])
        rng = np.random.default_rng(0)
        # The batch is padded to what the devices divide, as the engine does.
        width = -(-method.batch_size // layout.batch_shards) * layout.batch_shards
        rows = rng.integers(0, len(pool.label), (SCANNED, width), dtype=np.int32)
        rows[:, method.batch_size :] = -1
        self._rows = layout.shard_rows([rows], 1)
        self._first = layout.shard([np.int32(0)])
        where: list[Any] = [np.int32(number) for number in (0, 1000, 0, 10)]
        self._start = layout.shard([StepInfo(*[*where, step_key])])
        self.state = steps.copy(layout.shard([method.init(init_key, problem)]))

    def __call__(self, count: int) -> int:
        """Take at least ``count`` steps, in whole loops if scanned; return how many, when done."""
        if self._scanned:
            count = -(-count // SCANNED) * SCANNED
            for _ in range(count // SCANNED):
                self.state, _, _ = steps.scan(*self._loop(), model=self._model, **self._options)
        for number in range(0 if self._scanned else count):
            if number % SCANNED == 0:
                following = self._start
            batch, info, following = steps.draw(
                self._pool, self._rows, self._first, following, **self._options
            )
            self.state, _ = steps.step(
                *(self._method, self.state, batch, info),
                model=self._model,
                layout=self._layout,
            )
        jax.block_until_ready(self.state)
        return count

    def _loop(self) -> tuple[Any, ...]:
        return self._method, self.state, self._pool, self._rows, self._start

    def lower(self) -> jax.stages.Lowered:
        """The compiled loop, which holds a step once."""
        return steps.scan.lower(*self._loop(), model=self._model, **self._options)

    def flops(self) -> float:
        """Floating-point operations of one step, of one device.

        Of an accelerator those of the compiled program. A CPU's calls libraries, which tell
        nothing: there they are XLA's before it optimises, repeats among them that it would merge.
        """
        if self._layout.platform != "cpu":
            return self.costs()["flops"]
        batch, info, _ = jax.eval_shape(
            lambda *given: steps.draw(*given, **self._options),
            *(self._pool, self._rows, self._first, self._start),
        )
        lowered = steps.step.lower(
            *(self._method, self.state, batch, info), model=self._model, layout=self._layout
        )
        return float((lowered.cost_analysis() or {})["flops"]) / self._layout.batch_shards

    def costs(self) -> dict[str, float]:
        """Operations and bytes, ``flops`` and ``bytes``, of one step in the compiled loop."""
        compiled = self.lower().compile()
        found = costs(compiled, parse(compiled.as_text() or "", loops_once=1))
        # XLA's count for GPUs leaves out what cuDNN computes.
        return found["counted"] if self._layout.platform == "gpu" else found


def per_step(steppers: Mapping[str, Callable[[int], int]], seconds: float) -> dict[str, float]:
    """Least time of a step of each, in seconds; all take turns, so that each sees every weather.

    Args:
      steppers: each takes at least as many steps as it is told and returns their number.
      seconds: time for all of them together, compilation and a first look not counted.
    """
    counts, best = {}, {}
    for name, stepper in steppers.items():
        stepper(1)
        counts[name] = max(1, min(1000, round(STRETCH / _timed(stepper, 1))))
        best[name] = _timed(stepper, counts[name])
    end = time.perf_counter() + seconds
    for _ in range(ROUNDS):
        if time.perf_counter() > end:
            break
        for name, stepper in steppers.items():
            best[name] = min(best[name], _timed(stepper, counts[name]))
    return best


def _timed(stepper: Callable[[int], int], count: int) -> float:
    start = time.perf_counter()
    taken = stepper(count)
    return (time.perf_counter() - start) / taken
