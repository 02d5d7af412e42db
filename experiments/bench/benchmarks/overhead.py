"""What the engine costs on top of a jitted loop written by hand over the same step."""

import dataclasses
import functools
import time

import jax
import numpy as np

import jax_unlearn as ju
from jax_unlearn.core import Variables
from jax_unlearn.methods.descent import needs_examples

from .by_hand import ByHand
from .cases import Bench, Case, Row
from .workloads import DIGITS, Workload, training

LONG = 20e-3
"""Seconds from which a step on a CPU counts as long."""

SHARES = {"accelerator": 3.0, "cpu": 5.0}
"""Overhead of a long step that may be, in percent."""

MICROSECONDS = 150.0
"""Overhead of a short step that may be."""


def cases(bench: Bench) -> list[Case]:
    """A case for each length of step."""
    tiny = Workload("convnet", 16, side=8, channels=1, width=4)
    long = Workload("resnet18", 128) if bench.accelerator else Workload("resnet8", 128, side=16)
    loads = [tiny] if bench.quick else [tiny, DIGITS, long]
    return [Case(str(load), functools.partial(_measure, bench, load)) for load in loads]


def compare(
    problem: ju.Problem, batch: int, *, steps: int, epochs: int, scanned: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of a training step by the engine and by hand, each [epochs], epochs in turns.

    The engine's epoch is all it does: order, steps, reports to a command, its look at the weights.
    The problem's retain images are repeated to fill the steps of an epoch.
    """
    recipe = ju.retrain(batch_size=batch, epochs=epochs + 1, learning_rate=1e-3)
    given = needs_examples("retain", problem.retain)
    count = steps * batch
    image, label = (np.resize(x, (count, *x.shape[1:])) for x in (given.image, given.label))
    # Ids of their own, above those of the forget set where there is one.
    first = 0 if problem.forget is None else int(problem.forget.id.max()) + 1
    repeated = ju.Examples(image, label, np.arange(first, first + count))
    problem = dataclasses.replace(problem, retain=repeated)
    bare = ByHand(recipe, problem, scanned=scanned)
    engine_times: list[float] = []
    bare_times: list[float] = []
    left = [0.0]

    def watch(variables: Variables) -> dict[str, float]:
        # Called between two epochs, when nothing is under way on the device.
        del variables
        entered = time.perf_counter()
        engine_times.append(entered - left[0])
        bare.epoch(len(bare_times))
        bare_times.append(time.perf_counter() - entered)
        left[0] = time.perf_counter()
        return {}

    ju.run(
        recipe,
        problem,
        jax.random.key(2),
        mesh=ju.make_mesh(1),
        loop="scan" if scanned else "python",
        watch=watch,
        on_step=lambda done, planned: None,
        interrupted=lambda: None,
    )
    # The first of each holds compilation.
    return np.array(engine_times[2:]) / steps, np.array(bare_times[1:-1]) / steps


def _measure(bench: Bench, load: Workload) -> list[Row]:
    _, problem = training(load)
    timed = functools.partial(compare, problem, load.batch, scanned=bench.accelerator)
    short = timed(steps=8, epochs=2)[1].min()
    steps = int(np.clip(0.3 / short, 8, 100))
    epochs = int(np.clip(bench.seconds / (2 * steps * short), 4, 40))
    engines, bares = timed(steps=steps, epochs=epochs)
    # The least of each: what else the machine does can only add.
    engine, bare, median = engines.min(), bares.min(), 1e6 * np.median(engines - bares)
    extra, share = 1e6 * (engine - bare), 100 * (engine / bare - 1)
    note = f"{1e3 * engine:.4g} ms against {1e3 * bare:.4g} ms; {share:.1f} %, {extra:.0f} us, "
    note += f"median of pairs {median:.0f} us"
    if bare > LONG or (bench.accelerator and share <= SHARES["accelerator"]):
        most = SHARES["accelerator" if bench.accelerator else "cpu"]
        met = "met" if share <= most else "missed"
        return [
            Row(f"{load} training", share, "% over by hand", f"{note}; target {most:g} %: {met}")
        ]
    met = "met" if extra <= MICROSECONDS else "missed"
    return [
        Row(
            f"{load} training",
            extra,
            "us a step over by hand",
            f"{note}; target {MICROSECONDS:g} us: {met}",
        )
    ]
