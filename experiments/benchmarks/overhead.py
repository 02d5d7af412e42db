"""What the engine costs on top of a jitted loop written by hand over the same step."""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn.core import Batch, Pool, StepInfo, Variables
from jax_unlearn.data.augment import augment_flagged
from jax_unlearn.methods.descent import needs_examples

from .cases import DIGITS, Case, Plan, Row, Setting, training

LONG = 20e-3
"""Seconds from which a step on a CPU counts as long."""

SHARES = {"accelerator": 3.0, "cpu": 5.0}
"""Overhead of a long step that may be, in percent."""

MICROSECONDS = 150.0
"""Overhead of a short step that may be."""


def cases(plan: Plan) -> list[Case]:
    """A case for each length of step."""
    tiny = Setting("convnet", 16, side=8, channels=1, width=4)
    long = Setting("resnet18", 128) if plan.accelerator else Setting("resnet8", 128, side=16)
    settings = [tiny] if plan.quick else [tiny, DIGITS, long]
    return [Case(str(setting), functools.partial(_measure, plan, setting)) for setting in settings]


class ByHand:
    """Training as one would write it for one network: one program draws a batch and updates."""

    def __init__(self, recipe: ju.Unlearner, problem: ju.Problem, *, scanned: bool):
        init_key, pool_key, self._order_key, self._key = jax.random.split(jax.random.key(1), 4)
        self._recipe, self._scanned = recipe, scanned
        self._pool = jax.tree.map(jnp.asarray, recipe.pool(pool_key, problem))
        self._state = jax.tree.map(jnp.copy, recipe.init(init_key, problem))
        size, epochs = len(self._pool.label), recipe.num_epochs
        total = epochs * -(-size // recipe.batch_size)

        def update(state, number, pool: Pool, rows, key):
            augment_key, step_key = jax.random.split(jax.random.fold_in(key, number))
            taken = jax.tree.map(lambda x: x[jnp.maximum(rows, 0)], pool)
            image = augment_flagged(problem.augment, augment_key, taken.image, taken.augment)
            image = image.astype(jnp.float32) / 255.0
            batch = Batch(image, taken.label, taken.role, (rows >= 0).astype(jnp.float32))
            counts = (number, jnp.int32(total), jnp.int32(0), jnp.int32(epochs))
            step_info = StepInfo(*counts, step_key)
            state, info = recipe.step(problem.model, state, batch, step_info)
            return state, number + 1, info["loss"]

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, number, first, pool, rows, key):
            return update(state, number, pool, rows[number - first], key)

        @functools.partial(jax.jit, donate_argnums=0)
        def loop(state, number, pool, rows, key):
            def body(carry, rows):
                state, number = carry
                state, number, loss = update(state, number, pool, rows, key)
                return (state, number), loss

            (state, number), losses = jax.lax.scan(body, (state, number), rows)
            return state, number, losses

        self._step, self._loop = step, loop

    def epoch(self, number: int) -> float:
        """Make one pass over the data; return its mean loss."""
        rows = self._recipe.batch_indices(self._order_key, number, self._pool)
        first = now = jax.device_put(np.int32(number * len(rows)))
        if self._scanned:
            self._state, _, losses = self._loop(self._state, now, self._pool, rows, self._key)
        else:
            losses = []
            for _ in range(len(rows)):
                self._state, now, loss = self._step(
                    self._state, now, first, self._pool, rows, self._key
                )
                losses.append(loss)
        return float(np.mean(jax.device_get(losses)))


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


def _measure(plan: Plan, setting: Setting) -> list[Row]:
    _, problem = training(setting)
    timed = functools.partial(compare, problem, setting.batch, scanned=plan.accelerator)
    short = timed(steps=8, epochs=2)[1].min()
    steps = int(np.clip(0.3 / short, 8, 100))
    epochs = int(np.clip(plan.seconds / (2 * steps * short), 4, 40))
    engines, bares = timed(steps=steps, epochs=epochs)
    # The least of each: what else the machine does can only add.
    engine, bare, median = engines.min(), bares.min(), 1e6 * np.median(engines - bares)
    extra, share = 1e6 * (engine - bare), 100 * (engine / bare - 1)
    note = f"{1e3 * engine:.4g} ms against {1e3 * bare:.4g} ms; {share:.1f} %, {extra:.0f} us, "
    note += f"median of pairs {median:.0f} us"
    if bare > LONG or (plan.accelerator and share <= SHARES["accelerator"]):
        most = SHARES["accelerator" if plan.accelerator else "cpu"]
        met = "met" if share <= most else "missed"
        return [
            Row(f"{setting} training", share, "% over by hand", f"{note}; target {most:g} %: {met}")
        ]
    met = "met" if extra <= MICROSECONDS else "missed"
    return [
        Row(
            f"{setting} training",
            extra,
            "us a step over by hand",
            f"{note}; target {MICROSECONDS:g} us: {met}",
        )
    ]
