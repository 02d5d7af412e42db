"""What is to be run, how, and what comes of it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jax_unlearn.core import InputError, Problem, Unlearner, Variables, check_choice
from jax_unlearn.engine.callbacks import Callback, ReportSteps, Watch
from jax_unlearn.engine.checkpointing.policy import CheckpointPolicy
from jax_unlearn.sharding import check_mesh
from jax_unlearn.validation import check_problem

if TYPE_CHECKING:
    # Orbax is slow to import; who gives checkpoints has it already.
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

LOOPS = ("auto", "python", "scan")
PLACEMENTS = ("device", "sharded", "host")

SHOWN = 8
"""Entries of a history that a notebook shows at most."""


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

    def __repr__(self) -> str:
        count = sum(getattr(leaf, "size", 1) for leaf in jax.tree.leaves(self.variables))
        last = self.history[-1] if self.history else {}
        told = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
        return (
            f"Result({self.status} after {self.steps} steps, {self.run_seconds:.1f} s and "
            f"{self.compile_seconds:.1f} s of compilation, {count:,} weights; {told})"
        )

    def _repr_markdown_(self) -> str:
        """What a notebook shows: how the run ended, and a line for each of some epochs."""
        from jax_unlearn.report.markdown import escape, table

        said = (
            f"**{escape(self.status)}** after {self.steps} steps, {self.run_seconds:.1f} s "
            f"and {self.compile_seconds:.1f} s of compilation"
        )
        names = list(dict.fromkeys(name for entry in self.history for name in entry))
        if not names:
            return said
        places = np.unique(np.linspace(0, len(self.history) - 1, SHOWN).astype(int))
        lines = [[str(i), *(_shown(self.history[i].get(name)) for name in names)] for i in places]
        return f"{said}\n\n{table([['epoch', *map(escape, names)], *lines])}"


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How runs are made; a run's result does not depend on it, but for rounding.

    One placement is the exception, ``'sharded'``, and is never taken unasked.

    Attributes:
      mesh: the devices. One run spreads its batches over all of them; several runs take one place
        each on the axis ``model``. None is all devices for one run, and for several one of this
        process's devices each.
      loop: ``'scan'`` compiles many steps into one loop; ``'python'`` calls the compiled step;
        ``'auto'`` takes scan on accelerators and the Python loop on CPU, where gradients of JAX's
        own convolution are many times slower inside a compiled loop (jax issue 12868); the
        library's networks, and others with :func:`jax_unlearn.models.convolution.convolution`, are
        no slower there. The steps are the same.
      placement: where the data set stays: all of it on every ``'device'``; or on the ``'host'``,
        from which a thread sends batches ahead, for a data set too large for the device: the
        batches are the same, the loop is the Python one. Or ``'sharded'``, for one that fits on a
        model's devices together: each holds a share and draws its part of every batch from it, so
        that no step moves images between devices. Every row is still seen as often as the method
        says, in an order that the key determines, but batches depend on the number of devices,
        which must divide the batch size.
      watch: called with the weights before the first and after every epoch; what it returns joins
        the history, where the method's ``collapsed`` may see it. Its time is not the method's. It
        must copy weights that it keeps: the next step overwrites them.
      on_step: called with the number of steps done and planned.
      checkpoints: where the run is saved now and then; one that holds a snapshot of this run
        continues it, with the same result bit for bit on the same hardware.
      interrupted: asked for a signal to end at after every step, in compiled loops after at most
        128 of them, among several processes after 64; see
        :func:`jax_unlearn.engine.signals.deferred`.
      callbacks: further hooks, see :class:`~jax_unlearn.engine.callbacks.Callback`.

    Raises:
      InputError: the mesh is not one of :func:`~jax_unlearn.make_mesh`'s kind, ``loop`` or
        ``placement`` is none of the above, or the two contradict each other.
    """

    mesh: Mesh | None = None
    loop: str = "auto"
    placement: str = "device"
    watch: Callable[[Variables], dict[str, float]] | None = None
    on_step: Callable[[int, int], None] | None = None
    checkpoints: "Checkpoints | None" = None
    interrupted: Callable[[], int | None] | None = None
    callbacks: Sequence[Callback] = ()

    def __post_init__(self) -> None:
        if self.mesh is not None:
            check_mesh(self.mesh)
        check_choice("loop", self.loop, LOOPS)
        check_choice("placement", self.placement, PLACEMENTS)
        if self.loop == "scan" and self.placement == "host":
            raise InputError(
                "loop='scan': a compiled loop draws from data on the device; "
                f"placement={self.placement!r}; take loop='python', or placement='device' where "
                "the data fits"
            )

    def scanned(self, platform: str) -> bool:
        """Whether many steps become one compiled loop on devices of a platform."""
        by_itself = self.loop == "auto" and self.placement != "host" and platform != "cpu"
        return self.loop == "scan" or by_itself

    def hooks(self) -> list[Callback]:
        """All callbacks, in the order of their calls: what is saved comes last."""
        hooks: list[Callback] = []
        if self.watch is not None:
            hooks.append(Watch(self.watch))
        if self.on_step is not None:
            hooks.append(ReportSteps(self.on_step))
        hooks += self.callbacks
        if self.checkpoints is not None or self.interrupted is not None:
            hooks.append(CheckpointPolicy(self.checkpoints, self.interrupted))
        return hooks


OPTIONS = tuple(field.name for field in dataclasses.fields(Options))


def check_key(key: chex.PRNGKey) -> None:
    """Raise InputError for what is no key, such as a seed."""
    typed = hasattr(key, "dtype") and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    raw = hasattr(key, "dtype") and key.dtype == jnp.uint32 and key.shape == (2,)
    if not (typed and key.shape == ()) and not raw:
        raise InputError(f"key={key!r}: expected one key, such as jax.random.key(0)")


def check_spec(spec: RunSpec) -> None:
    """Raise InputError if a run lacks a method or a key, or its problem what the method needs."""
    unlearner, problem, key = spec
    check_key(key)
    name = type(unlearner).__name__
    if not isinstance(unlearner, Unlearner):
        called = getattr(unlearner, "__name__", "natmu")
        raise InputError(
            f"unlearner={unlearner!r}: expected a method with its hyperparameters; pass "
            f"{called}(...)"
        )
    if unlearner.needs_retain and problem.retain is None:
        raise InputError(
            f"retain=None: {name} needs retain examples; give them, or take a method that works "
            "on the forget set alone"
        )
    check_problem(problem)
    for part in ("forget", "retain", "validation"):
        examples = getattr(problem, part)
        if examples is not None and len(examples.label) == 0:
            raise InputError(f"{part}=[]: expected at least one example")
    if problem.forget is not None and (problem.retain is not None or not unlearner.needs_retain):
        unlearner.check(problem)


def group_alike(specs: Sequence[RunSpec]) -> list[list[int]]:
    """Positions of the specs that one program serves, group by group."""
    groups: dict[Any, list[int]] = {}
    for index, (unlearner, problem, _) in enumerate(specs):
        structure = (
            jax.tree.structure(unlearner),
            unlearner.num_epochs,
            # Whole numbers may be sizes of arrays, such as NatMU's hybrids per image.
            tuple(leaf for leaf in jax.tree.leaves(unlearner) if isinstance(leaf, int)),
            tuple(
                examples and (len(examples.label), *examples.image.shape[1:])
                for examples in (problem.forget, problem.retain, problem.validation)
            ),
            problem.model,
            problem.augment,
        )
        groups.setdefault(structure, []).append(index)
    return list(groups.values())
