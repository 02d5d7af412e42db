"""Runs side by side, epoch by epoch: the steps, what they report, and when they end."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jax_unlearn.backend import traced_for
from jax_unlearn.checks import check_steps
from jax_unlearn.core import Pool, Problem, State, StepInfo, Unlearner
from jax_unlearn.engine import steps
from jax_unlearn.engine.callbacks import Callback
from jax_unlearn.engine.checkpointing.progress import (
    Progress,
    check_identity,
    check_weights,
    identity,
    weights_sample,
)
from jax_unlearn.engine.from_host import OnHost
from jax_unlearn.engine.run_spec import Options, Result, RunSpec
from jax_unlearn.engine.shares import OnShares, Shares
from jax_unlearn.engine.steps import OnDevice, RunKeys, run_keys
from jax_unlearn.engine.timing import Stopwatch
from jax_unlearn.hyperparameters import as_arrays
from jax_unlearn.sharding import Layout, replicated, shard
from jax_unlearn.validation import check_batch_size
from jax_unlearn.warn import warn_user

if TYPE_CHECKING:
    # Orbax is slow to import; who gives checkpoints has it already.
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

MAX_SCAN_STEPS = 128
"""Most steps in one compiled loop: between two, a run can be saved and interrupted."""

STEPS_AHEAD = 16
"""Most steps that the host runs ahead of the device; for compiled loops it is one loop. Without a
bound it would dispatch the whole epoch at once, and see no signal until the device is through."""


def pad_columns(rows: Any, count: int) -> np.ndarray:
    """Pad the rows int32 [steps, B] of steps with -1 until ``count`` devices divide B."""
    rows = np.asarray(rows, np.int32)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % count)), constant_values=-1)


def loop_steps(count: int) -> int:
    """Steps of one compiled loop: as few loops as possible, of one length, so that one is compiled.

    Where only short loops divide the epoch, the last one is shorter and compiled separately.
    """
    loops = -(-count // MAX_SCAN_STEPS)
    for number in range(loops, 2 * loops):
        if count % number == 0 and 2 * count > number * MAX_SCAN_STEPS:
            return count // number
    return min(count, MAX_SCAN_STEPS)


class Trainer:
    """Runs side by side, from their first step to their last; what callbacks see of them.

    Attributes:
      layout: how the models lie on the mesh.
      options: how the runs are made.
      unlearners: the method of each run.
      problems: of each run, its weights laid out.
      progress: how far the runs have come.
      epoch_steps: number of steps of the epoch under way.
      steps_planned: number of steps of the run, as far as is known.
    """

    def __init__(self, specs: Sequence[RunSpec], layout: Layout, options: Options):
        split = options.placement == "sharded"
        self.layout = layout = dataclasses.replace(layout, splits_pool=split)
        self.options = options
        self.unlearners = [spec.unlearner for spec in specs]
        self.epoch_steps = self.steps_planned = 0
        self._callbacks = options.hooks()
        self._stopwatch = Stopwatch()
        self._keys = [run_keys(spec.key) for spec in specs]
        self._lead = specs[0].problem
        self._epochs = specs[0].unlearner.num_epochs
        # Virtual CPU devices share one pool of threads: with two steps under way their all-reduces
        # wait forever, each for a thread that the other holds.
        self._waits = layout.platform == "cpu" and layout.communicates
        self._reported: list[dict[str, jax.Array]] = []
        self._source: Any = None
        self._shares: list[Shares] = []
        with self._stopwatch.running(), traced_for(layout.platform):
            everywhere = replicated(layout.home)
            self.problems = [
                dataclasses.replace(
                    spec.problem, variables=shard(spec.problem.variables, everywhere)
                )
                for spec in specs
            ]
            self._pools: list[Pool] = []
            if self._epochs:
                for unlearner, problem, keys in self._each():
                    self._pools.append(unlearner.pool(keys.pool, problem))
                    rows = self._pools[-1].label.shape[0]
                    check_batch_size(unlearner, rows, shares=layout.pool_shards)
                self._source = self._open(self._pools)
            # A copy, since steps donate the state: the caller's weights must outlive the run.
            # (device_put's may_alias=False does not prevent sharing when the devices change.)
            states = [method.init(keys.init, problem) for method, problem, keys in self._each()]
            state = steps.copy(layout.shard(states))
            # One transfer for the run; every step traces them. (Keys are the slowest to lay out.)
            self._step_keys = layout.shard([keys.step for keys in self._keys])
            self._traced = layout.shard([as_arrays(unlearner) for unlearner in self.unlearners])
            jax.block_until_ready(state)
        count = len(specs)
        self.progress = Progress(state, state, [[] for _ in specs], [""] * count, [0] * count)

    def _open(self, pools: list[Pool]) -> OnDevice | OnHost:
        """Where batches come from."""
        if self.layout.splits_pool:
            devices = self.layout.batch_shards
            self._shares = [
                Shares(unlearner, pool, keys, devices)
                for unlearner, pool, keys in zip(self.unlearners, pools, self._keys, strict=True)
            ]
            return OnShares(self.layout, pools, self._lead.augment, self._shares)
        source = OnDevice if self.options.placement == "device" else OnHost
        return source(self.layout, pools, self._lead.augment)

    def _each(self) -> Iterator[tuple[Unlearner, Problem, RunKeys]]:
        return zip(self.unlearners, self.problems, self._keys, strict=True)

    @property
    def steps_done(self) -> int:
        """How many steps have been taken."""
        return self.progress.first + self.progress.offset

    def run(self) -> list[Result]:
        """Make the runs, or go on with them where a callback resumes them."""
        at = self.progress
        # What saves comes last, and restores first.
        for callback in reversed(self._callbacks):
            callback.on_start(self)
        if not at.histories[0]:
            for index in range(len(self.unlearners)):
                self._record(index, {})
        try:
            while at.epoch < self._epochs and not all(at.statuses):
                self._epoch()
        finally:
            if self._source is not None:
                self._source.close()
        for callback in self._callbacks:
            callback.on_end(self)
        count = len(self.unlearners)
        return [
            Result(
                variables=unlearner.finish(self.layout.take(at.state, index), at.histories[index]),
                history=at.histories[index],
                status=at.statuses[index] or "finished",
                steps=at.ends[index],
                run_seconds=self._stopwatch.run / count,
                compile_seconds=self._stopwatch.compile / count,
            )
            for index, unlearner in enumerate(self.unlearners)
        ]

    def _epoch(self) -> None:
        at = self.progress
        with self._stopwatch.running():
            if at.offset == 0:
                # A collapse falls back on this copy; donation will overwrite the state.
                at.before = steps.copy(at.state)
            rows = self._rows()
            self.epoch_steps = len(rows[0])
            self.steps_planned = at.first + self.epoch_steps * (self._epochs - at.epoch)
            check_steps(type(self.unlearners[0]).__name__, self.steps_planned)
            where = (self.steps_done, self.steps_planned, at.epoch, self._epochs)
            numbers: list[Any] = [np.int32(number) for number in where]
            numbers = self.layout.shard([numbers] * len(self._keys))
            self._source.begin(rows, at.first, at.offset)
            self._take_steps(rows, StepInfo(*[*numbers, self._step_keys]))
            self._collect()
        at.epoch, at.first, at.offset = at.epoch + 1, at.first + self.epoch_steps, 0
        self._judge()
        for callback in self._callbacks:
            callback.on_epoch(self)

    def _rows(self) -> list[np.ndarray]:
        """Of each model, which rows of its pool the steps of the epoch see."""
        if self._shares:
            return [shares.order(self.progress.epoch) for shares in self._shares]
        of = zip(self.unlearners, self._keys, self._pools, strict=True)
        return [
            pad_columns(
                unlearner.batch_indices(keys.batch_indices, self.progress.epoch, pool),
                self.layout.batch_shards,
            )
            for unlearner, keys, pool in of
        ]

    def _take_steps(self, rows: list[np.ndarray], info: StepInfo) -> None:
        """Take steps to the end of the epoch; between two, callbacks may act."""
        take = self._scan if self.options.scanned(self.layout.platform) else self._step
        while self.progress.offset < self.epoch_steps:
            info = take(rows, info)
            for callback in self._callbacks:
                callback.on_step(self)

    def _step(self, rows: list[np.ndarray], info: StepInfo) -> StepInfo:
        """Take one step."""
        del rows
        at = self.progress
        batch, info, following = self._source.draw(info)
        at.state, reported = steps.step(
            self._traced, at.state, batch, info, model=self._lead.model, layout=self.layout
        )
        self._reported.append(reported)
        at.offset += 1
        late = self._reported[-STEPS_AHEAD - 1 : -STEPS_AHEAD]
        jax.block_until_ready(at.state if self._waits else late)
        return following

    def _scan(self, rows: list[np.ndarray], info: StepInfo) -> StepInfo:
        """Take many steps in one compiled loop."""
        at = self.progress
        end = at.offset + loop_steps(self.epoch_steps)
        chunk = [part[at.offset : end] for part in rows]
        at.state, following, reported = steps.scan(
            self._traced,
            at.state,
            self._source.pool,
            self.layout.shard_rows(chunk, 1),
            info,
            model=self._lead.model,
            **self._source.options,
        )
        jax.block_until_ready(self._reported[-1:])
        self._reported.append(reported)
        at.offset += len(chunk[0])
        return following

    def _collect(self) -> None:
        """Read back what steps reported; only here does the host wait for the device."""
        at, count = self.progress, len(self.unlearners)
        jax.block_until_ready(at.state)
        read = [
            {name: np.reshape(values, (count, -1)) for name, values in reported.items()}
            for reported in self.layout.read(self._reported)
        ]
        self._reported = []
        for name in read[0] if read else ():
            parts = [reported[name].astype(np.float32) for reported in read]
            earlier = [at.infos[name]] if name in at.infos else []
            at.infos[name] = np.concatenate([*earlier, *parts], axis=1)

    def _judge(self) -> None:
        """Judge the models after an epoch; those that have ended stay as they were."""
        at = self.progress
        running = [not status for status in at.statuses]
        sound = np.atleast_1d(
            np.asarray(steps.finite(at.state.variables, stacked=self.layout.stacked))
        )
        good = np.ones(len(running), bool)
        for index in range(len(running)):
            good[index] = running[index] and self._judge_one(index, sound=bool(sound[index]))
        at.infos = {}
        if not good.all():
            at.state = self.layout.choose(good, at.state, at.before)

    def _judge_one(self, index: int, *, sound: bool) -> bool:
        """Whether the weights of a model under way are good; records whether its run has ended."""
        at, unlearner = self.progress, self.unlearners[index]
        at.ends[index] = at.first
        # The mean of a contiguous row: the order of summation is then the same for one model.
        means = {
            name: float(np.mean(np.ascontiguousarray(values[index])))
            for name, values in at.infos.items()
        }
        self._record(index, means)
        history = at.histories[index]
        # The last update's damage shows in no loss yet, and a later copy would hold it as good.
        if not sound or unlearner.collapsed(history, self.problems[index]):
            at.statuses[index] = "collapsed"
            last = ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items())
            warn_user(
                f"{type(unlearner).__name__} collapsed by step {at.first}: {last}; the weights of "
                f"step {int(history[-2]['step'])} are kept"
            )
            return False
        if unlearner.stop(history, self.problems[index]):
            at.statuses[index] = "stopped"
        return True

    def _record(self, index: int, entry: dict[str, float]) -> None:
        """Add an entry to a model's history, with what the method and callbacks measure."""
        at, unlearner = self.progress, self.unlearners[index]
        measures = type(unlearner).measure is not Unlearner.measure
        watching = [c for c in self._callbacks if type(c).measure is not Callback.measure]
        if measures or watching:
            state = self.layout.take(at.state, index)
        if measures:
            with self._stopwatch.running(), traced_for(self.layout.platform):
                problem = self.problems[index]
                entry = {**entry, **unlearner.measure(problem.model, state, problem)}
        for callback in watching:
            entry = {**entry, **callback.measure(unlearner.finish(state, at.histories[index]))}
        # Plain numbers, whatever a method or a caller measures with: a checkpoint is JSON.
        plain = {name: float(value) for name, value in entry.items()}
        at.histories[index].append({"step": float(at.first), **plain})

    def save(self, checkpoints: "Checkpoints", *, wait: bool) -> None:
        """Save the runs between two steps or two epochs.

        Args:
          checkpoints: where to.
          wait: return only when they are on disk.
        """
        at = self.progress
        if at.offset == 0:
            return self._write(checkpoints, at.state, wait=wait)
        self._collect()
        with self._stopwatch.paused():
            return self._write(checkpoints, at.before, wait=wait)

    def _write(self, checkpoints: "Checkpoints", before: State, *, wait: bool) -> None:
        record = {
            "progress": self.progress.record(),
            "seconds": [self._stopwatch.run, self._stopwatch.compile],
            "of": self._identity,
            "from": self._start,
        }
        tree = {"state": self.progress.state, "before": before}
        checkpoints.save(self.steps_done, tree, record, wait=wait)

    def resume(self, checkpoints: "Checkpoints") -> None:
        """Go on from the newest snapshot; where there is none, from the start.

        Raises:
          InputError: the snapshots are of another run.
        """
        at = self.progress
        found = checkpoints.restore(
            {"state": at.state, "before": at.before},
            check=lambda record: check_identity(record["of"], self._identity),
        )
        if found is None:
            return
        tree, record = found
        # Only now: of a network with other arrays the checkpoints themselves say which.
        check_weights(record["from"], self._start)
        at.restore(tree, record["progress"])
        self._stopwatch.run, self._stopwatch.compile = record["seconds"]

    @functools.cached_property
    def _identity(self) -> dict[str, str]:
        of = identity(self.unlearners, [keys.step for keys in self._keys], self.problems)
        # Within an epoch no other number of devices can go on where these were.
        split = f"shares of {self.layout.batch_shards} devices"
        return of | {"batches": split if self.layout.splits_pool else "of all rows"}

    @functools.cached_property
    def _start(self) -> list[list[float]]:
        return [weights_sample(problem.variables) for problem in self.problems]
