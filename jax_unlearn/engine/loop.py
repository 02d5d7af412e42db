"""The one loop: pretraining, retraining and every unlearning method go through it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

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
from jax_unlearn.engine.run_spec import Options, Result, RunSpec, check_key, check_spec, group_alike
from jax_unlearn.engine.trainer import Trainer
from jax_unlearn.sharding import Layout, make_mesh
from jax_unlearn.validation import check_examples

_AUGMENT = CropAndFlip()


def run(
    unlearner: Unlearner,
    problem: Problem,
    key: chex.PRNGKey,
    options: Options | None = None,
    **changes: Any,
) -> Result:
    """Run a method on a problem.

    State, key, epoch and step determine everything that follows. The state's buffers are donated
    from step to step; nothing is read back within an epoch and, with the data set on the device,
    nothing is sent.

    Args:
      unlearner: the method; ``retrain`` on a problem that retains everything trains an original.
      problem: what the method may see.
      key: all of the run's randomness.
      options: how the run is made.
      **changes: fields of :class:`~jax_unlearn.engine.run_spec.Options` by name, in place of those
        of ``options``: ``mesh``, ``loop``, ``placement``, ``watch``, ``on_step``, ``checkpoints``,
        ``interrupted``, ``callbacks``.

    Returns:
      The result; its weights are laid out on the mesh.

    Raises:
      InputError: the problem lacks what the method needs, the batch is larger than the data, an
        option is wrong, or the checkpoints are of another run.
      Interrupted: after a signal; the run has been saved to ``checkpoints``.
    """
    options = _options(options, changes)
    mesh = make_mesh() if options.mesh is None else options.mesh
    spec = RunSpec(unlearner, problem, key)
    check_spec(spec)
    if mesh.shape["model"] > 1:
        # One model has no use for the axis model: all devices share its batch.
        mesh = make_mesh(devices=list(mesh.devices.flat))
    return Trainer([spec], Layout(mesh), options).run()[0]


def run_many(
    specs: Sequence[RunSpec],
    options: Options | None = None,
    *,
    on_done: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> list[Result]:
    """Make many runs, as many at a time as the mesh has devices on its axis ``model``.

    Every run has devices of its own and does not communicate with others; on CPU its result is, bit
    for bit, that of the same run alone on one device. (:func:`run` compiles a program of its own,
    which XLA may fuse otherwise; it agrees to float32 rounding.) Runs of one structure (method,
    static fields, number of epochs, sizes of pool and network) share one program and go side by
    side; their numbers may differ. Places left over repeat the first run, so that another number of
    runs needs no other program; with checkpoints they stay empty, so that these hold the runs alone
    and another number of devices goes on from them.

    Args:
      specs: the runs.
      options: how they are made. Checkpoints need runs of one structure, at most as many as the
        mesh's axis ``model`` holds.
      on_done: called with the number of runs done and asked for.
      **changes: as for :func:`run`.

    Returns:
      Results in the order of the specs. Run times are shares: the time of runs that went side by
      side, divided by their number.

    Raises:
      InputError: as :func:`run`; also for checkpoints of runs that do not all go side by side.
      Interrupted: as :func:`run`.
    """
    options = _options(options, changes)
    layout = Layout(_one_model_each() if options.mesh is None else options.mesh, stacked=True)
    for spec in specs:
        check_spec(spec)
    groups = group_alike(specs)
    if options.checkpoints is not None:
        _check_side_by_side(len(specs), len(groups), layout.num_models)
    results: dict[int, Result] = {}
    for alike in groups:
        places = layout.num_models
        if options.checkpoints is not None:
            places = min(len(alike), places)
        for start in range(0, len(alike), places):
            group = alike[start : start + places]
            made = _side_by_side([specs[index] for index in group], layout.first(places), options)
            results.update(zip(group, made, strict=True))
            if on_done is not None:
                on_done(len(results), len(specs))
    return [results[index] for index in range(len(specs))]


def train(
    recipe: Unlearner,
    model: Model,
    examples: Examples,
    key: chex.PRNGKey,
    *,
    num_classes: int,
    initial: Variables | None = None,
    augment: Augmentation | None = _AUGMENT,
    **options: Any,
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
    check_examples("examples", examples, num_classes)
    check_key(key)
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


def _options(options: Options | None, changes: dict[str, Any]) -> Options:
    for name in changes:
        check_choice("option", name, [field.name for field in dataclasses.fields(Options)])
    return dataclasses.replace(Options() if options is None else options, **changes)


def _one_model_each() -> Mesh:
    """This process's devices, with a model on each."""
    devices = jax.local_devices()
    return make_mesh(1, len(devices), devices=devices)


def _side_by_side(specs: list[RunSpec], layout: Layout, options: Options) -> list[Result]:
    """Make runs of one structure, at most as many as the layout has models."""
    filled = specs + specs[:1] * (layout.num_models - len(specs))
    share = layout.num_models / len(specs)
    return [
        result._replace(
            run_seconds=result.run_seconds * share, compile_seconds=result.compile_seconds * share
        )
        for result in Trainer(filled, layout, options).run()[: len(specs)]
    ]


def _check_side_by_side(count: int, structures: int, places: int) -> None:
    if count > places:
        raise InputError(
            f"checkpoints: {count} runs on {places} places of the mesh; give at most {places} runs "
            "at a time, each time with a folder of its own"
        )
    if structures > 1:
        raise InputError(
            f"checkpoints: the {count} runs are of {structures} structures and do not go side by "
            "side; give those of one structure at a time, each time with a folder of its own"
        )
