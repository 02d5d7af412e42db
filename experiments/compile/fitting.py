"""The largest batch that fits, confirmed by compiling; and what fits no device at all."""

import math
from collections.abc import Callable

import jax

from jax_unlearn.core import InputError, Problem
from jax_unlearn.engine.shapes import state_shapes

from ..shared.network import bytes_of
from .settings import Settings

TRIES = 4
"""Programs that a search compiles at most."""

STEP = 0.9
"""Between a batch that is tried and the next: this factor downwards, one over it upwards."""


def confirmed_batch(fits: Callable[[int], bool], guess: int, multiple: int) -> int:
    """The largest of a few batches that fits: from the guess on upwards, or else downwards.

    It is 0 where none of them does.

    Args:
      fits: whether a program of a batch compiles and has room.
      guess: rows of the first that is tried.
      multiple: number of devices that share a batch.
    """
    batch, most = guess, 0
    for _ in range(TRIES):
        if batch < multiple:
            break
        if fits(batch):
            most = batch
            if batch < guess:
                break
            batch = int(batch / STEP) // multiple * multiple
        elif most:
            break
        else:
            batch = int(batch * STEP) // multiple * multiple
        if batch == most:
            break
    return most


def check_data(problem: Problem, room: float, *, where: str, shares: int = 1) -> None:
    """Raise InputError where a training set, or a device's share of it, does not fit there.

    Args:
      problem: whose retain set is the training set.
      room: bytes that a device has.
      where: the device, in words.
      shares: among how many devices it is split.
    """
    assert problem.retain is not None
    count, *shape = problem.retain.image.shape
    size = -(-count // shares) * math.prod(shape)
    if size > room:
        placement, each, others = "device", "every device", "sharded or host"
        if shares > 1:
            placement, each, others = "sharded", f"each of {shares} devices", "host"
        raise InputError(
            f"placement={placement!r}: {count} images of {'x'.join(map(str, shape))} take "
            f"{size / 2**30:.1f} GiB of {each}, and {where} has {room / 2**30:.1f}: expected less; "
            f"pass --placement {others}"
        )


def check_state(settings: Settings, room: float, *, where: str) -> None:
    """Raise InputError where the weights and moments of training fill a device by themselves."""
    found = state_shapes(settings.recipe, settings.training(), jax.random.key(0))
    check_one_image(settings.experiment.network.name, bytes_of(found), room, where=where)


def check_one_image(name: str, needed: float, room: float, *, where: str) -> None:
    """Raise InputError where a program has no room for one image on each device.

    Args:
      name: the network's.
      needed: bytes of a device; infinite where the compiler says no more than that it has not.
      room: bytes that it has.
      where: the device, in words.
    """
    if needed > room:
        size = f"{needed / 2**30:.1f} GiB" if math.isfinite(needed) else "more than there is"
        raise InputError(
            f"network.name={name!r}: a step takes {size} of a device with one image on each, and "
            f"{where} has {room / 2**30:.1f} GiB: expected less; take a smaller width, bfloat16, "
            "or a chip with more memory"
        )
