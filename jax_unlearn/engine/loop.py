"""The one loop: pretraining, retraining and every unlearning method go through it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import chex
import jax
from jax.sharding import Mesh

from jax_unlearn.core import (
    Augmentation,
    Examples,
    InputError,
    Model,
    Problem,
    Unlearner,
    Variables,
    check_choice,
)
from jax_unlearn.data.augment import CropAndFlip
from jax_unlearn.engine import steps
from jax_unlearn.engine.mesh import make_mesh
from jax_unlearn.engine.run_spec import Options, Result, RunSpec, check_spec, group_alike
from jax_unlearn.engine.source import PLACEMENTS
from jax_unlearn.engine.trainer import Trainer

if TYPE_CHECKING:
    # Orbax is slow to import; who gives checkpoints has it already.
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

_AUGMENT = CropAndFlip()
LOOPS = ("auto", "python", "scan")


def _scanned(loop: str, placement: str, mesh: Mesh) -> bool:
    check_choice("loop", loop, LOOPS)
    check_choice("placement", placement, PLACEMENTS)
    if placement == "device":
        return loop == "scan" or (loop == "auto" and mesh.devices.flat[0].platform != "cpu")
    if loop == "scan":
        raise InputError(
            f"loop='scan': a compiled loop draws from data on the device; placement={placement!r}"
            "; take loop='python', or placement='device' where the data fits"
        )
    return False


def run(
    unlearner: Unlearner,
    problem: Problem,
    key: chex.PRNGKey,
    *,
    mesh: Mesh | None = None,
    loop: str = "auto",
    placement: str = "device",
    watch: Callable[[Variables], dict[str, float]] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    checkpoints: "Checkpoints | None" = None,
    interrupted: Callable[[], int | None] | None = None,
) -> Result:
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
      placement: where the data set stays: on the ``'device'``; or on the ``'host'``, from which a
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
    scanned = _scanned(loop, placement, mesh)
    check_spec(unlearner, problem)
    if mesh.shape["model"] > 1:
        # One model has no use for the axis model: all devices share its batch.
        mesh = make_mesh(devices=list(mesh.devices.flat))
    options = Options(scanned, placement, watch, checkpoints, interrupted, on_step)
    return Trainer([RunSpec(unlearner, problem, key)], steps.Alone(mesh), options).run()[0]


def run_many(
    jobs: Sequence[RunSpec],
    *,
    mesh: Mesh | None = None,
    loop: str = "auto",
    placement: str = "device",
    watch: Callable[[Variables], dict[str, float]] | None = None,
    on_done: Callable[[int, int], None] | None = None,
    checkpoints: "Checkpoints | None" = None,
    interrupted: Callable[[], int | None] | None = None,
) -> list[Result]:
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
      placement: see :func:`run`.
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
    places, scanned = mesh.shape["model"], _scanned(loop, placement, mesh)
    options = Options(scanned, placement, watch, checkpoints, interrupted)
    for job in jobs:
        check_spec(job.unlearner, job.problem)
    if checkpoints is not None and len(jobs) > places:
        raise InputError(
            f"checkpoints: {len(jobs)} jobs on {places} places of the mesh; give at most {places} "
            "jobs at a time, each time with a folder of its own"
        )
    outcomes: dict[int, Result] = {}
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
            course = Trainer(filled, steps.Beside(mesh), options)
            for index, outcome in zip(group, course.run(), strict=False):
                share = places / len(group)
                outcomes[index] = outcome._replace(
                    run_seconds=outcome.run_seconds * share,
                    compile_seconds=outcome.compile_seconds * share,
                )
            if on_done is not None:
                on_done(len(outcomes), len(jobs))
    return [outcomes[index] for index in range(len(jobs))]


def train(
    recipe: Unlearner,
    model: Model,
    examples: Examples,
    key: chex.PRNGKey,
    *,
    num_classes: int,
    initial: Variables | None = None,
    augment: Augmentation | None = _AUGMENT,
    **options,
) -> Result:
    """Train a network on all the examples given: an original, an oracle or a shadow model.

    Args:
      recipe: usually ``retrain(...)`` with the hyperparameters of training.
      model: the network.
      examples: the training set.
      key: all of the run's randomness.
      num_classes: number of outputs K.
      initial: weights to start from; None draws them from ``key``.
      augment: random changes of the images; see :class:`~jax_unlearn.core.Problem`.
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
        augment=augment,
    )
    return run(recipe, problem, run_key, **options)
