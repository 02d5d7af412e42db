"""Where the labels of points can stand; geometry alone, in points (1/72 inch)."""

from typing import NamedTuple

import numpy as np

_FAR = np.repeat([7.0, 11.0, *np.arange(14.0, 150.0, 6.0)], 16)
"""From a marker's middle to its label at each of its places, [C]: at 16 angles each."""
_LED = _FAR > 11
"""Whether a line leads there, [C]."""
# The first is taken of those that cost the same. Lines run aslant: an upright one looks like an
# interval.
_ORDER = np.resize([0, 8, 4, 12, 2, 6, 10, 14, *range(1, 16, 2)], len(_FAR))
_ANGLES = (_ORDER + 0.5 * _LED) * np.pi / 8
_WAYS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
_LIKELY = 60
"""Of each label's places only so many are tried: those that cost least were it alone."""
_STARTS = 6
"""Ways to begin the choice of places."""
_MARKER = 5.0
"""Half a marker's side, with some white around it."""
_NEARER, _ROOM = 2.0, 9.0
"""A label without a line is so many times as far from any other marker as from its own; one with a
line, better so far from any other."""
_NEVER, _THROUGH, _CLOSE, _LINE, _BAR = 10_000.0, 300.0, 60.0, 20.0, 10.0
"""Costs, beside distance, which counts twice with a line: of covering a label or a marker, leaving
the frame and being taken for another's; of a line through a label, a marker or a line; of a label
close to another's marker; of any line; of covering a bar."""


class Spots(NamedTuple):
    """Where labels stand.

    Attributes:
      middles: float [N, 2], of the labels.
      ends: float [N, 2], where a line from each point meets the edge of its label.
      led: bool [N], whether that line is drawn.
    """

    middles: np.ndarray
    ends: np.ndarray
    led: np.ndarray


def find_spots(
    points: np.ndarray, halves: np.ndarray, frame: np.ndarray, bars: np.ndarray
) -> Spots:
    """Find where labels cover nothing and are near no other point, as near as that goes.

    Args:
      points: float [N, 2], middles of the markers.
      halves: float [N, 2], half the width and height of each label.
      frame: float [2, 2], lower left and upper right corner that labels stay within.
      bars: float [B, 2, 2], ends of lines better not written over.
    """
    starts, halves = points[:, None], halves[:, None]
    shifts = _WAYS * (halves + _FAR[:, None])
    reach = 1 - np.min(halves / np.maximum(np.abs(shifts), 1e-9), 2, keepdims=True)
    led = np.tile(_LED, (len(points), 1))
    every = Spots(starts + shifts, starts + shifts * reach, led)
    alone = _alone(every, points, halves, frame, bars)
    rows = np.arange(len(points))
    likely = np.argsort(alone, 1, kind="stable")[:, :_LIKELY]
    some = Spots(*(part[rows[:, None], likely] for part in every))
    chosen = _settle(np.take_along_axis(alone, likely, 1), _together(some, points, halves))
    return Spots(*(part[rows, chosen] for part in some))


def _alone(
    spots: Spots, points: np.ndarray, halves: np.ndarray, frame: np.ndarray, bars: np.ndarray
) -> np.ndarray:
    """Find what each place costs whatever the other labels do, [N, C]."""
    middles, own = spots.middles, np.eye(len(points), dtype=bool)[:, None]
    outside = ((middles - halves < frame[0]) | (middles + halves > frame[1])).any(2)
    # Every place of every label beside every marker or bar, [N, C, N or B].
    boxes, sizes = middles[:, :, None], halves[:, None]
    covered = _meet(boxes, boxes, points, sizes + _MARKER).sum(2)
    over = _meet(bars[:, 0], bars[:, 1], boxes, sizes).sum(2)
    gaps = np.linalg.norm(np.maximum(np.abs(points - boxes) - sizes, 0.0), axis=-1)
    nearest = np.where(own, np.inf, gaps).min(2)
    mistaken = ~_LED & (nearest < _NEARER * np.where(own, gaps, 0.0).sum(2))
    starts, ends = points[:, None, None], spots.ends[:, :, None]
    # A line leads out of a marker that covers its own on the side where the other one is not.
    ahead = ((points - starts) * (ends - starts)).sum(-1) > 0
    lines = _meet(starts, ends, points, np.full(2, _MARKER)) & ahead
    through = _LED * (lines & ~own).sum(2)
    never = outside.astype(int) + covered + mistaken
    soft = _THROUGH * through + _CLOSE * (_LED & (nearest < _ROOM)) + _LINE * _LED + _BAR * over
    return _NEVER * never + soft + _FAR * (1 + _LED)


def _together(spots: Spots, points: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Find what places of two labels cost together, float32 [N, N, C, C]."""
    count, size = spots.led.shape
    cost = np.zeros((count, count, size, size), np.float32)
    for i in range(1, count):
        # Every place of label i, [C, 1, 2], beside every one of those before it, [i, 1, C, 2].
        middle, end = spots.middles[i][:, None], spots.ends[i][:, None]
        middles, ends = spots.middles[:i, None], spots.ends[:i, None]
        starts, sizes = points[:i, None, None], halves[:i, None]
        covered = _meet(middle, middle, middles, halves[i] + sizes)
        # Where no line is drawn, too: what lies between a marker and its label belongs to them.
        through = _meet(points[i], end, middles, sizes).astype(int)
        through += _meet(starts, ends, middle, halves[i])
        through += _cross(points[i], end, starts, ends)
        cost[i, :i] = _NEVER * covered + _THROUGH * through
        cost[:i, i] = cost[i, :i].swapaxes(1, 2)
    return cost


def _settle(alone: np.ndarray, together: np.ndarray) -> np.ndarray:
    """Choose places that cost little in all, int [N].

    Each label tries each of its places, and those in its way there take the best of theirs. Where
    that ends depends on where it begins: it begins with all in their best, second best, ... places.
    """
    every = np.arange(len(alone))

    def total(chosen: np.ndarray) -> float:
        pairs = together[every[:, None], every, chosen[:, None], chosen]
        return float(alone[every, chosen].sum() + pairs.sum() / 2)

    def improve(chosen: np.ndarray) -> np.ndarray:
        least, before = total(chosen), np.inf
        while least < before:
            before = least
            for i, place in np.ndindex(alone.shape):
                if place == chosen[i]:
                    continue
                tried = chosen.copy()
                tried[i] = place
                for j in np.flatnonzero(together[i, every, place, chosen]):
                    tried[j] = np.argmin(alone[j] + together[j, every, :, tried].sum(0))
                if (cost := total(tried)) < least:
                    least, chosen = cost, tried
        return chosen

    return min((improve(np.full(len(alone), start)) for start in range(_STARTS)), key=total)


def _meet(
    starts: np.ndarray, ends: np.ndarray, middles: np.ndarray, halves: np.ndarray
) -> np.ndarray:
    """Whether lines, or points where both ends are one, enter boxes."""
    way = ends - starts
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    one, two = (middles - halves - starts) / way, (middles + halves - starts) / way
    enter, leave = np.minimum(one, two).max(-1), np.maximum(one, two).min(-1)
    return (enter < leave) & (enter < 1) & (leave > 0)


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Whether lines from a to b cross lines from c to d."""

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        (x, y), (u, v) = np.moveaxis(q - p, -1, 0), np.moveaxis(r - p, -1, 0)
        return x * v - y * u

    return (side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)
