"""Runs side by side, epoch by epoch: the steps, what they report, and when they end."""

import dataclasses
import functools
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import Pool, StepInfo, Unlearner, check_batch_size
from jax_unlearn.engine import steps
from jax_unlearn.engine.checkpointing.policy import CheckpointPolicy
from jax_unlearn.engine.checkpointing.progress import (
    Progress,
    check_identity,
    identity,
    weights_digits,
)
from jax_unlearn.engine.mesh import place, replicated
from jax_unlearn.engine.run_spec import Options, Result, RunSpec
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.engine.source import make_source
from jax_unlearn.engine.steps import run_keys
from jax_unlearn.engine.timing import Stopwatch

SCAN_STEPS = 128
"""Most steps in one compiled loop: between two, a run can be saved and interrupted."""

AHEAD = 16
"""Most steps that the host is ahead of the device, or one compiled loop. Without a bound it would
have asked for the whole epoch in a moment, and seen no signal until the device is through."""


def _as_arrays(unlearner: Unlearner) -> Unlearner:
    """The method with its numbers as arrays of one type per field: 1, 1.0 and np.float32(1) alike.

    A field declared ``float`` is float32; else each spelling would compile a program of its own.
    """
    floats = {field.name for field in dataclasses.fields(unlearner) if field.type is float}

    def convert(path, value):
        name = getattr(path[0], "name", None)
        return jnp.asarray(value, jnp.float32 if name in floats else None)

    return jax.tree_util.tree_map_with_path(convert, unlearner)


def _last_seen(history: list[dict[str, float]]) -> str:
    """What was seen last, for a message."""
    return ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items())


def _pad_columns(rows: Any, count: int) -> np.ndarray:
    rows = np.asarray(rows, np.int32)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % count)), constant_values=-1)


def _loop_steps(count: int) -> int:
    """Steps of one compiled loop: as few loops as may be, of one length, so that one is compiled.

    Where only short ones divide the epoch, the last is shorter and compiled apart.
    """
    loops = -(-count // SCAN_STEPS)
    for number in range(loops, 2 * loops):
        if count % number == 0 and 2 * count > number * SCAN_STEPS:
            return count // number
    return min(count, SCAN_STEPS)


class Trainer:
    """Runs side by side, from their first step to their last."""

    def __init__(
        self,
        jobs: Sequence[RunSpec],
        layout: steps.Alone | steps.Beside,
        options: Options,
    ):
        self.layout, self.options = layout, options
        self.pausing = CheckpointPolicy(options.checkpoints, options.interrupted)
        self.stopwatch = Stopwatch()
        self.unlearners = [job.unlearner for job in jobs]
        self.keys = [run_keys(job.key) for job in jobs]
        self.lead = jobs[0].problem
        self.epochs = jobs[0].unlearner.num_epochs
        cpu = layout.home.devices.flat[0].platform == "cpu"
        # Virtual CPU devices share one pool of threads: with two steps under way their all-reduces
        # can each wait for a thread that the other holds, for ever.
        self.waits = cpu and layout.communicates
        with self.stopwatch.running():
            everywhere = replicated(layout.home)
            self.problems = [
                dataclasses.replace(job.problem, variables=place(job.problem.variables, everywhere))
                for job in jobs
            ]
            self.pools: list[Pool] = []
            if self.epochs:
                for unlearner, problem, keys in self._each():
                    self.pools.append(unlearner.pool(keys.pool, problem))
                    check_batch_size(unlearner, self.pools[-1].label.shape[0])
                self.source = make_source(options.placement, layout, self.pools, self.lead.augment)
            # A copy, since steps donate the state: the caller's weights must outlive the run.
            # (device_put's may_alias=False does not prevent sharing when the devices change.)
            states = [method.init(keys.init, problem) for method, problem, keys in self._each()]
            state = steps.copy(layout.put(states))
            # One transfer for the run; every step traces them.
            self.traced = layout.put([_as_arrays(unlearner) for unlearner in self.unlearners])
            jax.block_until_ready(state)
        count = len(jobs)
        self.progress = Progress(state, state, [[] for _ in jobs], [""] * count, [0] * count)

    def _each(self):
        return zip(self.unlearners, self.problems, self.keys, strict=True)

    def run(self) -> list[Result]:
        """Make the runs, or go on with them where the checkpoints say."""
        at = self.progress
        if not self._resume():
            for index in range(len(self.unlearners)):
                self._look(index, {})
        try:
            while at.epoch < self.epochs and not all(at.statuses):
                self._epoch()
        finally:
            if self.epochs:
                self.source.close()
        count = len(self.unlearners)
        return [
            Result(
                variables=unlearner.finish(self.layout.take(at.state, index), at.histories[index]),
                history=at.histories[index],
                status=at.statuses[index] or "finished",
                steps=at.ends[index],
                run_seconds=self.stopwatch.run / count,
                compile_seconds=self.stopwatch.compile / count,
            )
            for index, unlearner in enumerate(self.unlearners)
        ]

    def _epoch(self) -> None:
        at, layout = self.progress, self.layout
        with self.stopwatch.running():
            if at.offset == 0:
                # A collapse falls back on this copy; donation will overwrite the state.
                at.before = steps.copy(at.state)
            rows = [
                _pad_columns(
                    unlearner.batch_indices(keys.batch_indices, at.epoch, pool), layout.columns
                )
                for unlearner, keys, pool in zip(
                    self.unlearners, self.keys, self.pools, strict=True
                )
            ]
            count = len(rows[0])
            planned = at.first + count * (self.epochs - at.epoch)
            where = [np.int32(n) for n in (at.first, planned, at.epoch, self.epochs)]
            turn = layout.put(
                [steps.Turn(StepInfo(*where, keys.step), np.int32(at.offset)) for keys in self.keys]
            )
            self.source.begin(rows, at.offset)
        while at.offset < count:
            with self.stopwatch.running():
                turn = (self._scan if self.options.scanned else self._python)(rows, turn, planned)
            if at.offset < count or self.pausing.signal:
                self._save(wait=self.pausing.signal is not None)
        at.epoch, at.first, at.offset = at.epoch + 1, at.first + count, 0
        self._judge()
        if self.pausing.ask():
            self._save(wait=self.pausing.signal is not None)

    def _python(self, rows: list[np.ndarray], turn: steps.Turn, planned: int) -> steps.Turn:
        """Take steps, each a call of the compiled one, to the end of the epoch or to a pause."""
        at, infos, count = self.progress, [], len(rows[0])
        while at.offset < count:
            batch, step_info, turn = self.source.draw(turn)
            at.state, info = steps.step(
                self.traced,
                at.state,
                batch,
                step_info,
                model=self.lead.model,
                beside=self.layout.beside,
            )
            infos.append(info)
            at.offset += 1
            late = infos[-AHEAD - 1 : -AHEAD]
            jax.block_until_ready(at.state if self.waits else late)
            if self.options.on_step is not None:
                self.options.on_step(at.first + at.offset, planned)
            if at.offset % self.pausing.every == 0 and at.offset < count and self.pausing.ask():
                break
        self._collect(infos)
        return turn

    def _scan(self, rows: list[np.ndarray], turn: steps.Turn, planned: int) -> steps.Turn:
        """Take steps, many in one compiled loop, to the end of the epoch or to a pause."""
        at, infos, count = self.progress, [], len(rows[0])
        length = _loop_steps(count)
        while at.offset < count:
            chunk = [part[at.offset : at.offset + length] for part in rows]
            at.state, turn, info = steps.scan(
                self.traced,
                at.state,
                self.source.pool,
                self.layout.put_rows(chunk, 1),
                turn,
                model=self.lead.model,
                augment=self.lead.augment,
                beside=self.layout.beside,
            )
            jax.block_until_ready(infos[-1:])
            infos.append(info)
            at.offset += len(chunk[0])
            if self.options.on_step is not None:
                self.options.on_step(at.first + at.offset, planned)
            if at.offset < count and self.pausing.ask():
                break
        self._collect(infos)
        return turn

    def _collect(self, infos: list[dict[str, jax.Array]]) -> None:
        """Read back what steps reported; only here the host waits for the device."""
        at, count = self.progress, len(self.unlearners)
        jax.block_until_ready(at.state)
        read = [
            {name: np.reshape(values, (count, -1)) for name, values in info.items()}
            for info in self.layout.read(infos)
        ]
        for name in read[0] if read else ():
            parts = [info[name].astype(np.float32) for info in read]
            earlier = [at.infos[name]] if name in at.infos else []
            at.infos[name] = np.concatenate([*earlier, *parts], axis=1)

    def _judge(self) -> None:
        """Look at the models after an epoch; those that have ended keep what they were."""
        at = self.progress
        running = [not status for status in at.statuses]
        sound = np.atleast_1d(
            np.asarray(steps.finite(at.state.variables, stacked=self.layout.beside is not None))
        )
        good = np.ones(len(running), bool)
        for index, unlearner in enumerate(self.unlearners):
            if not running[index]:
                good[index] = False
                continue
            at.ends[index] = at.first
            # The mean of a contiguous row: the order of summation is then the same for one model.
            means = {
                name: float(np.mean(np.ascontiguousarray(values[index])))
                for name, values in at.infos.items()
            }
            self._look(index, means)
            history = at.histories[index]
            # The last update's damage shows in no loss yet, and a later copy would hold it as good.
            if not sound[index] or unlearner.collapsed(history, self.problems[index]):
                at.statuses[index], good[index] = "collapsed", False
                warnings.warn(
                    f"{type(unlearner).__name__} collapsed by step {at.first}: "
                    f"{_last_seen(history)}; the weights of step {int(history[-2]['step'])} are "
                    "kept",
                    stacklevel=6,
                )
            elif unlearner.stop(history, self.problems[index]):
                at.statuses[index] = "stopped"
        at.infos = {}
        if not good.all():
            at.state = self.layout.choose(good, at.state, at.before)

    def _look(self, index: int, entry: dict[str, float]) -> None:
        at, unlearner = self.progress, self.unlearners[index]
        measures = type(unlearner).measure is not Unlearner.measure
        if measures or self.options.watch is not None:
            state = self.layout.take(at.state, index)
        if measures:
            with self.stopwatch.running():
                problem = self.problems[index]
                entry = {**entry, **unlearner.measure(problem.model, state, problem)}
        if self.options.watch is not None:
            entry = {**entry, **self.options.watch(unlearner.finish(state, at.histories[index]))}
        # Plain numbers, whatever a method or a caller measures with: a checkpoint is JSON.
        plain = {name: float(value) for name, value in entry.items()}
        at.histories[index].append({"step": float(at.first), **plain})

    def _save(self, *, wait: bool) -> None:
        at = self.progress
        if self.options.checkpoints is not None:
            before = at.before if at.offset else at.state
            record = {
                "progress": at.record(),
                "seconds": [self.stopwatch.run, self.stopwatch.compile],
                "of": self._identity,
                "from": self._start,
            }
            tree = {"state": at.state, "before": before}
            self.options.checkpoints.save(
                at.first + at.offset, tree, record, wait=wait, metric=self._metric()
            )
        if self.pausing.signal:
            raise Interrupted(self.pausing.signal)

    def _metric(self) -> float | None:
        """What the checkpoints rank by, as last seen and where all runs have it; their mean."""
        seen = [
            history[-1].get(self.options.checkpoints.best) for history in self.progress.histories
        ]
        return None if None in seen else float(np.mean(seen))

    def _resume(self) -> bool:
        at = self.progress
        found = self.options.checkpoints and self.options.checkpoints.restore(
            {"state": at.state, "before": at.before},
            check=lambda record: check_identity(record["of"], self._identity),
        )
        if not found:
            return False
        tree, record = found
        # Only now: of a network with other arrays the checkpoints themselves say which.
        check_identity(record["from"], self._start)
        at.restore(tree, record["progress"])
        self.stopwatch.run, self.stopwatch.compile = record["seconds"]
        return True

    @functools.cached_property
    def _identity(self) -> dict[str, str]:
        return identity(self.unlearners, [keys.step for keys in self.keys], self.problems)

    @functools.cached_property
    def _start(self) -> dict[str, str]:
        return {"weights": ", ".join(weights_digits(job.variables) for job in self.problems)}
