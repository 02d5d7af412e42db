"""What is to be run, how, and what comes of it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import chex
import jax

from jax_unlearn.core import InputError, Problem, Unlearner, Variables

if TYPE_CHECKING:
    # Orbax is slow to import; who gives checkpoints has it already.
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints


class RunSpec(NamedTuple):
    """One run to be made.

    Attributes:
      unlearner: the method.
      problem: what it may see.
      key: all of the run's randomness.
    """

    unlearner: Unlearner
    problem: Problem
    key: chex.PRNGKey


class Result(NamedTuple):
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


class Options(NamedTuple):
    """How runs are made; see :func:`jax_unlearn.engine.loop.run` for what is not explained here.

    Attributes:
      scanned: whether many steps are one compiled loop.
      placement: where the data set stays.
      watch: called with the weights before the first and after every epoch.
      checkpoints: where runs are saved now and then.
      interrupted: asked for a signal to end at after every step, in compiled loops after at most
        128 of them, among several processes after 64.
      on_step: called with the number of steps done and planned.
    """

    scanned: bool
    placement: str
    watch: Callable[[Variables], dict[str, float]] | None
    checkpoints: "Checkpoints | None"
    interrupted: Callable[[], int | None] | None
    on_step: Callable[[int, int], None] | None = None


def check_spec(unlearner: Unlearner, problem: Problem) -> None:
    """Raise InputError if a problem lacks what a method needs."""
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


def group_alike(jobs: Sequence[RunSpec]) -> list[list[int]]:
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
            problem.augment,
        )
        groups.setdefault(structure, []).append(index)
    return list(groups.values())
