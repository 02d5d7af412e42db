"""What a chip's published peak and bandwidth allow at most; a bound, never a measurement."""

from typing import NamedTuple


class Bound(NamedTuple):
    """Least time of a program on a device.

    Attributes:
      seconds: it cannot take less.
      by: what takes longest: ``'compute'`` or ``'memory'``.
    """

    seconds: float
    by: str


def bound(flops: float, moved: float, *, peak: float, bandwidth: float) -> Bound:
    """Least time of a program by the roofline.

    Args:
      flops: operations on a device.
      moved: bytes to and from its memory.
      peak: operations per second.
      bandwidth: bytes per second.

    Source: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for
    multicore architectures", 2009.
    """
    compute, memory = flops / peak, moved / bandwidth
    return Bound(max(compute, memory), "compute" if compute >= memory else "memory")


def largest_batch(fixed: float, per_row: float, room: float, multiple: int) -> int | None:
    """Rows that fit, where memory grows in proportion to them; None where a row takes none.

    Args:
      fixed: bytes of a device that do not depend on the batch.
      per_row: bytes of a device for each row of the batch.
      room: bytes that a device has.
      multiple: number of devices that share the batch; it is divided by them.
    """
    if per_row <= 0:
        return None
    return int(max(0.0, room - fixed) / per_row) // multiple * multiple
