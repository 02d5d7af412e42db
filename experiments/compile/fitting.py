"""The largest batch that fits, confirmed by compiling; and what fits no device at all."""

import math
from collections.abc import Callable, Mapping

import jax

from jax_unlearn.core import InputError, Problem
from jax_unlearn.engine.shapes import state_shapes

from ..shared.network import bytes_of
from .settings import Settings

TRIES = 6
"""Programs that a search compiles at most."""

PRECISION = 0.02
"""A search ends where the largest batch that fits and the smallest that does not are so near."""

STEP = 0.9
"""What a batch is multiplied by of which the compiler says no more than that it does not fit."""


def confirmed_batch(
    needs: Callable[[int], float],
    known: Mapping[int, float],
    guess: int,
    room: float,
    multiple: int,
) -> tuple[int, int | None]:
    """Find the largest batch that fits, by compiling where it should lie.

    Memory grows nearly in proportion to the batch: the next to be tried lies on the line through
    the smallest that is known and the largest that fits.

    Args:
      needs: bytes of a device that the program of a batch takes; infinite where the compiler
        refuses it.
      known: the same of batches that are compiled already, at least one.
      guess: rows of the first that is tried.
      room: bytes that a device has.
      multiple: number of devices that share a batch.

    Returns:
      The largest batch that was found to fit, 0 where none was, and the smallest that was found not
      to, None where none was.
    """
    found = dict(known)
    before, reach = math.inf, PRECISION
    for _ in range(TRIES):
        most, least = _between(found, room)
        top = math.inf if least is None else least
        if top - most <= max(multiple, PRECISION * most):
            break
        # Where the line leads astray, as where a compiler begins to save memory, halves do not.
        if 2 * (top - most) > before and math.isfinite(found[int(top)]):
            guess = int(most + top) // 2
        before = top - most
        # Strictly between the two: these are compiled already.
        batch = max(most + multiple, guess // multiple * multiple)
        if batch >= top:
            batch = (int(top) - 1) // multiple * multiple
        found[batch] = needs(batch)
        guess = _next_guess(found, room, reach)
        reach *= 2
    return _between(found, room)


def halved(needs: Callable[[int], float], batch: int, multiple: int) -> dict[int, float]:
    """Halve a batch that a compiler has refused until it tells what the program takes.

    Args:
      needs: as of :func:`confirmed_batch`.
      batch: rows of what was refused.
      multiple: number of devices that share a batch; a batch of so many is the last.

    Returns:
      Bytes of a device by batch, of which the smallest alone may be finite.
    """
    found = {batch: math.inf}
    while math.isinf(found[batch]) and batch > multiple:
        batch = max(batch // 2 // multiple, 1) * multiple
        found[batch] = needs(batch)
    return found


def _between(found: Mapping[int, float], room: float) -> tuple[int, int | None]:
    """The largest batch that fits and the smallest that does not."""
    most = max((batch for batch, size in found.items() if size <= room), default=0)
    # What one batch does not fit into a larger one may: compilers choose.
    return most, min((b for b, size in found.items() if size > room and b > most), default=None)


def _next_guess(found: Mapping[int, float], room: float, reach: float) -> int:
    """Where the line through the smallest batch and the largest that fits meets the room.

    Two near each other would tell more of what the compiler chose than of a row, and so does one
    that does not fit, for which it may have begun to save memory.
    """
    most, least = _between(found, room)
    sizes = {batch: size for batch, size in found.items() if math.isfinite(size)}
    if least is not None and math.isinf(found[least]):
        below = max(int(STEP * least), (most + least) // 2)
        if most <= min(sizes, default=0):
            # A single batch that fits makes no line.
            return below
        return min(below, max(_on_line(sizes, most, room), int(most * (1 + reach))))
    guess = _on_line(sizes, most, room)
    # On the line itself nothing more is learnt of the other side. Where all fit, steps grow.
    if least is None:
        return max(guess, int(most * (1 + reach)))
    return min(max(guess, int(most * (1 + PRECISION))), int(least * (1 - PRECISION)))


def _on_line(sizes: Mapping[int, float], most: int, room: float) -> int:
    """The batch at which the line through two that are compiled meets the room."""
    first = min(sizes)
    near = most if most > first else min(sizes, key=lambda batch: abs(sizes[batch] - room))
    # Where only one is known, what it takes beside its rows is not.
    of_first = sizes[first] if near != first else 0.0
    per_row = (sizes[near] - of_first) / (near - first or first)
    return int(near + (room - sizes[near]) / per_row) if per_row > 0 else 2 * most


def check_data(
    problem: Problem, room: float, *, where: str, placement: str, shares: int = 1, others: str
) -> None:
    """Raise InputError where a training set, or a device's share of it, does not fit there.

    Args:
      problem: whose retain set is the training set.
      room: bytes that a device has.
      where: the device, in words.
      placement: ``'device'`` or ``'sharded'``.
      shares: among how many devices it is split.
      others: which placements may do instead.
    """
    assert problem.retain is not None
    count, *shape = problem.retain.image.shape
    size = -(-count // shares) * math.prod(shape)
    if size > room:
        each = f"each of {shares} devices" if shares > 1 else "every device"
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
            f"network.name={name!r}: with one image on each device a step takes {size} of it, and "
            f"{where} has {room / 2**30:.1f} GiB: expected less; take a smaller width, smaller "
            "images, bfloat16, or a chip with more memory"
        )
