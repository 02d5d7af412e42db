"""The one loop: pretraining, retraining and every unlearning method go through it."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jax_unlearn.core import (
    Clock,
    Examples,
    InputError,
    Model,
    Pool,
    Problem,
    State,
    Unlearner,
    Variables,
    check_choice,
)
from jax_unlearn.engine import steps
from jax_unlearn.engine.mesh import make_mesh, place, replicated
from jax_unlearn.engine.pausing import Pausing
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.engine.source import RESIDENTS, make_source
from jax_unlearn.engine.steps import run_keys
from jax_unlearn.engine.timing import Stopwatch

if TYPE_CHECKING:
    # Orbax is slow to import; who gives checkpoints has it already.
    from jax_unlearn.engine.checkpoint import Checkpoints

LOOPS = ("auto", "python", "scan")
SCAN_STEPS = 512
"""Most steps in one compiled loop: between two, a run can be saved and interrupted."""


class Job(NamedTuple):
    """One run to be made.

    Attributes:
      unlearner: the method.
      problem: what it may see.
      key: all of the run's randomness.
    """

    unlearner: Unlearner
    problem: Problem
    key: chex.PRNGKey


class Outcome(NamedTuple):
    """What a run gives back.

    Attributes:
      variables: the weights at the end, or the last good ones of a collapsed run.
      history: one entry before the first epoch and one after each: the epoch's mean of what steps
        report, what the method measures, what the caller watches, and ``step``.
      status: ``'finished'``; ``'stopped'`` by the method's own rule; or ``'collapsed'``.
      steps: updates that were made.
      run_seconds: time of everything the method does, the caller's watching not counted.
      compile_seconds: time of compilation, not part of ``run_seconds``.
    """

    variables: Variables
    history: list[dict[str, float]]
    status: str
    steps: int
    run_seconds: float
    compile_seconds: float


def _check(unlearner: Unlearner, problem: Problem) -> None:
    name = type(unlearner).__name__
    if unlearner.needs_retain and problem.retain is None:
        raise InputError(
            f"retain=None: {name} needs retain examples; give them, or take a method that works "
            "on the forget set alone"
        )
    for part in ("forget", "retain"):
        examples = getattr(problem, part)
        if examples is not None and len(examples.label) == 0:
            raise InputError(f"{part}=[]: expected at least one example")


def _check_pool(unlearner: Unlearner, pool: Pool) -> None:
    rows = pool.label.shape[0]
    if unlearner.batch_size > rows:
        raise InputError(
            f"batch_size={unlearner.batch_size}: {type(unlearner).__name__} has only {rows} "
            f"examples to show; use at most {rows}"
        )


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


@dataclasses.dataclass
class _Progress:
    """How far runs have come: with their keys, all that determines what follows.

    Attributes:
      state: the methods' states, stacked where there are several.
      before: a copy of them from the start of the epoch.
      epoch: number of the epoch under way.
      first: number of its first step.
      offset: how many of its steps are done.
      infos: what those steps reported, name -> float32 [models, steps].
      histories: of each model, the entries so far.
      statuses: of each model, '' while it is under way.
      ends: of each model, the number of steps made.
    """

    state: State
    before: State
    histories: list[list[dict[str, float]]]
    statuses: list[str]
    ends: list[int]
    epoch: int = 0
    first: int = 0
    offset: int = 0
    infos: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    RECORDED = ("histories", "statuses", "ends", "epoch", "first", "offset")

    def record(self) -> dict[str, Any]:
        """What is not arrays on devices, as JSON values."""
        infos = {name: values.tolist() for name, values in self.infos.items()}
        return {**{name: getattr(self, name) for name in self.RECORDED}, "infos": infos}

    def restore(self, tree: dict[str, State], record: dict[str, Any]) -> None:
        """Take over what a checkpoint holds."""
        self.state, self.before = tree["state"], tree["before"]
        for name in self.RECORDED:
            setattr(self, name, record[name])
        self.infos = {k: np.asarray(v, np.float32) for k, v in record["infos"].items()}


class _Course:
    """Runs side by side, from their first step to their last."""

    def __init__(
        self,
        jobs: Sequence[Job],
        layout: steps.Alone | steps.Beside,
        *,
        scanned: bool,
        resident: str,
        watch: Callable[[Variables], dict[str, float]] | None,
        on_step: Callable[[int, int], None] | None,
        checkpoints: "Checkpoints | None",
        interrupted: Callable[[], int | None] | None,
    ):
        self.layout, self.scanned, self.watch, self.on_step = layout, scanned, watch, on_step
        self.checkpoints = checkpoints
        self.pausing = Pausing(checkpoints, interrupted)
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
                    _check_pool(unlearner, self.pools[-1])
                self.source = make_source(
                    resident, layout, self.pools, self.lead.padding, self.lead.flip
                )
            # A copy, since steps donate the state: the caller's weights must outlive the run.
            # (device_put's may_alias=False does not prevent sharing when the devices change.)
            states = [method.init(keys.init, problem) for method, problem, keys in self._each()]
            state = steps.copy(layout.put(states))
            # One transfer for the run; every step traces them.
            self.traced = layout.put([_as_arrays(unlearner) for unlearner in self.unlearners])
            self.step_key = layout.put([keys.step for keys in self.keys])
            jax.block_until_ready(state)
        count = len(jobs)
        self.progress = _Progress(state, state, [[] for _ in jobs], [""] * count, [0] * count)

    def _each(self):
        return zip(self.unlearners, self.problems, self.keys, strict=True)

    def run(self) -> list[Outcome]:
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
            Outcome(
                variables=unlearner.finish(self.layout.take(at.state, index)),
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
                _pad_columns(unlearner.order(keys.order, at.epoch, pool), layout.columns)
                for unlearner, keys, pool in zip(
                    self.unlearners, self.keys, self.pools, strict=True
                )
            ]
            count = len(rows[0])
            planned = at.first + count * (self.epochs - at.epoch)
            clock = Clock(*map(np.int32, (at.first, planned, at.epoch, self.epochs)))
            turn = layout.put([steps.Turn(clock, np.int32(at.offset))] * len(rows))
            self.source.begin(rows, at.offset)
        while at.offset < count:
            with self.stopwatch.running():
                turn = (self._scan if self.scanned else self._python)(rows, turn, planned)
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
            batch, key, clock, turn = self.source.draw(self.step_key, turn)
            at.state, info = steps.step(
                self.traced,
                key,
                at.state,
                batch,
                clock,
                model=self.lead.model,
                beside=self.layout.beside,
            )
            infos.append(info)
            at.offset += 1
            if self.waits:
                jax.block_until_ready(at.state)
            if self.on_step is not None:
                self.on_step(at.first + at.offset, planned)
            if at.offset % self.pausing.every == 0 and at.offset < count and self.pausing.ask():
                break
        self._collect(infos)
        return turn

    def _scan(self, rows: list[np.ndarray], turn: steps.Turn, planned: int) -> steps.Turn:
        """Take steps, many in one compiled loop, to the end of the epoch or to a pause."""
        at, infos, count = self.progress, [], len(rows[0])
        while at.offset < count:
            chunk = [part[at.offset : at.offset + SCAN_STEPS] for part in rows]
            at.state, turn, info = steps.scan(
                self.traced,
                self.step_key,
                at.state,
                self.source.pool,
                self.layout.put_rows(chunk, 1),
                turn,
                model=self.lead.model,
                padding=self.lead.padding,
                flip=self.lead.flip,
                beside=self.layout.beside,
            )
            infos.append(info)
            at.offset += len(chunk[0])
            if self.on_step is not None:
                self.on_step(at.first + at.offset, planned)
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
            if not sound[index] or unlearner.collapsed(history):
                at.statuses[index], good[index] = "collapsed", False
                warnings.warn(
                    f"{type(unlearner).__name__} collapsed by step {at.first}: "
                    f"{_last_seen(history)}; the weights of step {int(history[-2]['step'])} are "
                    "kept",
                    stacklevel=6,
                )
            elif unlearner.stop(history):
                at.statuses[index] = "stopped"
        at.infos = {}
        if not good.all():
            at.state = self.layout.choose(good, at.state, at.before)

    def _look(self, index: int, entry: dict[str, float]) -> None:
        at, unlearner = self.progress, self.unlearners[index]
        measures = type(unlearner).measure is not Unlearner.measure
        if measures or self.watch is not None:
            state = self.layout.take(at.state, index)
        if measures:
            with self.stopwatch.running():
                problem = self.problems[index]
                entry = {**entry, **unlearner.measure(problem.model, state, problem)}
        if self.watch is not None:
            entry = {**entry, **self.watch(unlearner.finish(state))}
        # Plain numbers, whatever a method or a caller measures with: a checkpoint is JSON.
        plain = {name: float(value) for name, value in entry.items()}
        at.histories[index].append({"step": float(at.first), **plain})

    def _of(self) -> dict[str, str]:
        """Method, its fields and key of each run: what a checkpoint must be a checkpoint of."""
        keys = [np.asarray(jax.random.key_data(keys.step)) for keys in self.keys]
        of = {
            "method": [type(unlearner).__name__ for unlearner in self.unlearners],
            **{
                field.name: [repr(getattr(unlearner, field.name)) for unlearner in self.unlearners]
                for field in dataclasses.fields(self.unlearners[0])
            },
            "key": [data.tobytes().hex() for data in keys],
        }
        return {name: ", ".join(values) for name, values in of.items()}

    def _save(self, *, wait: bool) -> None:
        at = self.progress
        if self.checkpoints is not None:
            before = at.before if at.offset else at.state
            record = {
                "progress": at.record(),
                "seconds": [self.stopwatch.run, self.stopwatch.compile],
                "of": self._of(),
            }
            tree = {"state": at.state, "before": before}
            self.checkpoints.save(at.first + at.offset, tree, record, wait=wait)
        if self.pausing.signal:
            raise Interrupted(self.pausing.signal)

    def _resume(self) -> bool:
        at = self.progress
        found = self.checkpoints and self.checkpoints.restore(
            {"state": at.state, "before": at.before}, check=self._check_of
        )
        if not found:
            return False
        tree, record = found
        at.restore(tree, record["progress"])
        self.stopwatch.run, self.stopwatch.compile = record["seconds"]
        return True

    def _check_of(self, record: dict[str, Any]) -> None:
        theirs, mine = record["of"], self._of()
        # Another method has other fields too, which explain nothing.
        names = ["method"] if theirs["method"] != mine["method"] else mine
        differences = [
            f"{name} is {theirs.get(name)} there and {mine[name]} here"
            for name in names
            if theirs.get(name) != mine[name]
        ]
        if differences:
            raise InputError(
                f"checkpoints: they are of another run: {', '.join(differences)}; name another "
                "folder or give the same arguments"
            )


def _scanned(loop: str, resident: str, mesh: Mesh) -> bool:
    check_choice("loop", loop, LOOPS)
    check_choice("resident", resident, RESIDENTS)
    if resident == "device":
        return loop == "scan" or (loop == "auto" and mesh.devices.flat[0].platform != "cpu")
    if loop == "scan":
        raise InputError(
            f"loop='scan': a compiled loop draws from data on the device, and resident={resident!r}"
            "; take loop='python', or resident='device' where the data fits"
        )
    return False


def run(
    unlearner: Unlearner,
    problem: Problem,
    key: chex.PRNGKey,
    *,
    mesh: Mesh | None = None,
    loop: str = "auto",
    resident: str = "device",
    watch: Callable[[Variables], dict[str, float]] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    checkpoints: "Checkpoints | None" = None,
    interrupted: Callable[[], int | None] | None = None,
) -> Outcome:
    """Run a method on a problem.

    State, key, epoch and step determine everything that follows. The state's buffers are donated
    from step to step; nothing is read back within an epoch and, with the data set on the device,
    nothing is sent.

    Args:
      unlearner: the method; ``retrain`` on a problem that retains everything trains an original.
      problem: what the method may see.
      key: all of the run's randomness.
      mesh: devices over all of which batches are spread; None takes all there are.
      loop: ``'scan'`` compiles a whole epoch; ``'python'`` calls the jitted step; ``'auto'`` takes
        scan on accelerators and the Python loop on CPU, where a convolution's weight gradient is
        many times slower inside a compiled loop (jax issue 12868). The steps are the same.
      resident: where the data set stays: on the ``'device'``; or on the ``'host'``, from which a
        thread sends batches ahead, for a data set too large for the device. The batches are the
        same; the loop is the Python one.
      watch: called with the weights before the first and after every epoch; what it returns joins
        the history, where the method's ``collapsed`` may see it. Its time is not the method's. It
        must copy weights that it keeps: the next step overwrites them.
      on_step: called with the number of steps done and planned.
      checkpoints: where the run is saved now and then; one that holds a snapshot of this run
        continues it, with the same result bit for bit on the same hardware.
      interrupted: asked after every step for a signal to end at, see
        :func:`jax_unlearn.engine.signals.deferred`.

    Returns:
      The outcome; its weights are laid out on ``mesh``.

    Raises:
      InputError: the problem lacks what the method needs, the batch is larger than the data, or
        the checkpoints are of another run.
      Interrupted: after a signal; the run has been saved to ``checkpoints``.
    """
    mesh = make_mesh() if mesh is None else mesh
    scanned = _scanned(loop, resident, mesh)
    _check(unlearner, problem)
    if mesh.shape["model"] > 1:
        # One model has no use for the axis model: all devices share its batch.
        mesh = make_mesh(devices=list(mesh.devices.flat))
    course = _Course(
        [Job(unlearner, problem, key)],
        steps.Alone(mesh),
        scanned=scanned,
        resident=resident,
        watch=watch,
        on_step=on_step,
        checkpoints=checkpoints,
        interrupted=interrupted,
    )
    return course.run()[0]


def run_many(
    jobs: Sequence[Job],
    *,
    mesh: Mesh | None = None,
    loop: str = "auto",
    resident: str = "device",
    watch: Callable[[Variables], dict[str, float]] | None = None,
    on_done: Callable[[int, int], None] | None = None,
    checkpoints: "Checkpoints | None" = None,
    interrupted: Callable[[], int | None] | None = None,
) -> list[Outcome]:
    """Make many runs, as many at a time as the mesh's axis ``model`` has places.

    Every run has devices of its own and does not communicate with others; on CPU its result is, bit
    for bit, that of the same job alone on one place. (:func:`run` compiles a program of its own,
    which XLA may fuse otherwise; it agrees to float32 rounding.) Runs of one
    structure (method, static fields, number of epochs, sizes of pool and network) share one program
    and go side by side; their numbers may differ. A place that is left over repeats a run.

    Args:
      jobs: the runs.
      mesh: None gives each of this process's devices to a model of its own.
      loop: see :func:`run`.
      resident: see :func:`run`.
      watch: see :func:`run`.
      on_done: called with the number of runs done and asked for.
      checkpoints: see :func:`run`; for jobs of one structure, at most as many as there are places.
      interrupted: see :func:`run`.

    Returns:
      Outcomes in the order of the jobs. Run times are shares: the time of runs that went side by
      side, divided by their number.

    Raises:
      InputError: as :func:`run`; also for checkpoints beside jobs that do not all go side by side.
      Interrupted: as :func:`run`.
    """
    if mesh is None:
        devices = jax.local_devices()
        mesh = make_mesh(1, len(devices), devices=devices)
    places, scanned = mesh.shape["model"], _scanned(loop, resident, mesh)
    for job in jobs:
        _check(job.unlearner, job.problem)
    if checkpoints is not None and len(jobs) > places:
        raise InputError(
            f"checkpoints: {len(jobs)} jobs on {places} places of the mesh; give at most {places} "
            "jobs at a time, each time with a folder of its own"
        )
    outcomes: dict[int, Outcome] = {}
    groups = group_alike(jobs)
    if checkpoints is not None and len(groups) > 1:
        raise InputError(
            f"checkpoints: the {len(jobs)} jobs are of {len(groups)} structures and do not go side "
            "by side; give those of one structure at a time, each time with a folder of its own"
        )
    for alike in groups:
        for start in range(0, len(alike), places):
            group = alike[start : start + places]
            filled = [jobs[index] for index in group]
            filled += filled[:1] * (places - len(group))
            course = _Course(
                filled,
                steps.Beside(mesh),
                scanned=scanned,
                resident=resident,
                watch=watch,
                on_step=None,
                checkpoints=checkpoints,
                interrupted=interrupted,
            )
            for index, outcome in zip(group, course.run(), strict=False):
                share = places / len(group)
                outcomes[index] = outcome._replace(
                    run_seconds=outcome.run_seconds * share,
                    compile_seconds=outcome.compile_seconds * share,
                )
            if on_done is not None:
                on_done(len(outcomes), len(jobs))
    return [outcomes[index] for index in range(len(jobs))]


def group_alike(jobs: Sequence[Job]) -> list[list[int]]:
    """Positions of jobs that one program serves, group by group."""
    groups: dict[Any, list[int]] = {}
    for index, (unlearner, problem, _) in enumerate(jobs):
        structure = (
            jax.tree.structure(unlearner),
            unlearner.num_epochs,
            # Whole numbers may be sizes of arrays, such as NatMU's hybrids per image.
            tuple(leaf for leaf in jax.tree.leaves(unlearner) if isinstance(leaf, int)),
            tuple(
                examples and (len(examples.label), *examples.image.shape[1:])
                for examples in (problem.forget, problem.retain)
            ),
            problem.model,
            problem.padding,
            problem.flip,
        )
        groups.setdefault(structure, []).append(index)
    return list(groups.values())


def train(
    recipe: Unlearner,
    model: Model,
    examples: Examples,
    key: chex.PRNGKey,
    *,
    num_classes: int,
    initial: Variables | None = None,
    padding: int = 4,
    flip: bool = True,
    **options,
) -> Outcome:
    """Train a network on all the examples given: an original, an oracle or a shadow model.

    Args:
      recipe: usually ``retrain(...)`` with the hyperparameters of training.
      model: the network.
      examples: the training set.
      key: all of the run's randomness.
      num_classes: number of outputs K.
      initial: weights to start from; None draws them from ``key``.
      padding: see :class:`~jax_unlearn.core.Problem`.
      flip: see :class:`~jax_unlearn.core.Problem`.
      **options: further arguments of :func:`run`.
    """
    init_key, run_key = jax.random.split(key)
    initial = model.init(init_key) if initial is None else initial
    problem = Problem(
        model=model,
        variables=initial,
        forget=None,
        retain=examples,
        num_classes=num_classes,
        initial=initial,
        padding=padding,
        flip=flip,
    )
    return run(recipe, problem, run_key, **options)
