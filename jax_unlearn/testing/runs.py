"""What whole runs show."""

import tempfile

import jax
import numpy as np

from jax_unlearn.core import split_variables
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.sharding import make_mesh
from jax_unlearn.testing.battery import Battery, distance, floats, is_float
from jax_unlearn.testing.small_run import small_problem
from jax_unlearn.validation import same_structure
from jax_unlearn.warn import warn_user


def keeps_structure(b: Battery) -> None:
    """The short run ends well, with finite weights that moved and kept their structure."""
    result, before = b.result, b.problem.variables
    b.require(result.status in ("finished", "stopped"), f"its short run ended {result.status}")
    b.require(
        bool(result.steps) == bool(b.unlearner.num_epochs),
        f"it says that it took {result.steps} steps in {b.unlearner.num_epochs} epochs",
    )
    leaves = jax.tree.leaves(result.variables)
    b.require(
        all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves if is_float(leaf)),
        "its weights are not finite",
    )
    if not b.unlearner.keeps_structure:
        return
    b.require(
        same_structure(result.variables, before),
        "the unlearned weights have another structure; declare keeps_structure = False",
    )
    kinds = [jax.tree.map(lambda x: (x.shape, str(x.dtype)), t) for t in (result.variables, before)]
    b.require(kinds[0] == kinds[1], "the unlearned weights have other shapes or types")
    moved = distance(split_variables(result.variables)[0], split_variables(before)[0])
    b.require(moved > 0, "it changes no weight")


def leaves_the_original_alone(b: Battery) -> None:
    """The problem's weights and examples are what they were before the run."""
    fresh = small_problem(whole_classes=b.unlearner.whole_classes)
    for name, whose in (("variables", "the original's"), ("initial", "the untrained")):
        mine = getattr(b.problem, name)
        b.require(
            not any(leaf.is_deleted() for leaf in jax.tree.leaves(mine)),
            f"it gave the problem's own {name} away, and the first step overwrote them",
        )
        b.require_same(mine, getattr(fresh, name), f"it changed {whose} weights in place")
    for name in ("forget", "retain", "validation"):
        mine, theirs = (getattr(problem, name) for problem in (b.problem, fresh))
        b.require_same(mine, theirs, f"it changed the {name} examples in place")


def follows_its_key(b: Battery) -> None:
    """The same key gives the same bits, another key others."""
    again, other = b.run(), b.run(1)
    b.require_same(b.result.variables, again.variables, "the same key gives other weights")
    b.require(b.result.history == again.history, "the same key gives another history")
    if b.unlearner.num_epochs:
        moved = distance(b.result.variables, other.variables)
        b.require(moved > 0, "another key gives the same weights, so it ignores its keys")


def loops_agree(b: Battery) -> None:
    """Steps in one compiled loop end where single steps end."""
    scanned = b.run(loop="scan")
    sentence = "in one compiled loop its weights are others than step by step"
    b.require_close(b.result.variables, scanned.variables, sentence, 1e-4, 1e-5)
    for entry, other in zip(b.result.history, scanned.history, strict=True):
        b.require(set(entry) == set(other), "in one compiled loop it reports other quantities")
        for name, value in entry.items():
            b.require(
                np.isclose(other[name], value, 1e-3, 1e-4),
                f"in one compiled loop {name} is {other[name]}, step by step {value}",
            )


def devices_agree(b: Battery) -> None:
    """Spread over devices, it ends with the same weights."""
    count = max(n for n in (1, 2, 4, 8) if n <= jax.device_count())
    if count == 1:
        warn_user(
            f"{b.name}: with one device it is not checked that several give the same weights; "
            "expected more, such as jax.config.update('jax_num_cpu_devices', 4) before the first "
            "array"
        )
        return
    spread = b.run(mesh=make_mesh(count))
    b.require(
        {len(leaf.devices()) for leaf in jax.tree.leaves(spread.variables)} == {count},
        f"on {count} devices its weights do not lie on all of them",
    )
    sentence = f"on {count} devices its weights are others than on one"
    b.require_close(b.result.variables, spread.variables, sentence, 1e-3, 2e-5)


def placements_agree(b: Battery) -> None:
    """With rows sent from the host, it ends with the same bits."""
    sent = b.run(placement="host")
    sentence = "with rows sent from the host its weights are others"
    b.require_same(b.result.variables, sent.variables, sentence)


def resumes(b: Battery) -> None:
    """Interrupted and resumed, it ends with the same bits."""
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

    looks: list[None] = []
    ended = False

    def interrupted() -> int | None:
        looks.append(None)
        return 15 if len(looks) == 2 else None

    with tempfile.TemporaryDirectory() as folder:
        with Checkpoints(folder, {"of": b.name}, every_seconds=0) as checkpoints:
            try:
                b.run(checkpoints=checkpoints, interrupted=interrupted)
            except Interrupted:
                ended = True
        b.require(ended, "its run is too short to be interrupted; give arguments for more steps")
        with Checkpoints(folder, {"of": b.name}) as checkpoints:
            resumed = b.run(checkpoints=checkpoints)
    sentence = "a resumed run ends with other weights than an uninterrupted one"
    b.require_same(b.result.variables, resumed.variables, sentence)
    b.require(b.result.history == resumed.history, "a resumed run has another history")


def collapses_are_caught(b: Battery) -> None:
    """A rate at which everything diverges leaves finite weights."""
    if "learning_rate" not in b.unlearner.traced_fields:
        return
    wild = b.run(unlearner=b.changed(learning_rate=1e30))
    finite = [np.isfinite(np.asarray(leaf)).all() for leaf in floats(wild.variables)]
    b.require(all(finite), f"at rate 1e30 it ends {wild.status} with weights that are not finite")
