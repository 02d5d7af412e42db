"""When an axis of distances to the oracle is logarithmic, and how far it reaches."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from jax_unlearn.report.figures.style import log_ticks

_WIDE = 20.0
"""A value is lost that so often goes into what a linear axis shows: its marker touches the end."""


def spread_scale(
    axes: Axes,
    axis: Literal["x", "y"],
    values: Sequence[float] | np.ndarray,
    ends: Sequence[float] | np.ndarray = (),
) -> str:
    """Set an axis' scale and limits by what is drawn: logarithmic where that spreads widely.

    That is where the highest value or end is more than twenty times the smallest value above 0. If
    some are 0, or so near that a log axis would be given to them, it is linear from 0 to about the
    smallest value. A negative one keeps it linear: a distance has none.

    Args:
      axes: whose axis.
      axis: which.
      values: where markers stand and bands end, finite, at least one.
      ends: of intervals, finite.

    Returns:
      What the axis' label is to add.
    """
    line = axes.xaxis if axis == "x" else axes.yaxis
    rescale = axes.set_xscale if axis == "x" else axes.set_yscale
    relimit = axes.set_xlim if axis == "x" else axes.set_ylim
    drawn = [*values, *ends]
    low, high = float(min(drawn)), float(max(drawn))
    smallest = float(min((value for value in values if value > 0), default=math.inf))
    if low < 0 or high <= _WIDE * smallest:
        relimit(min(0.0, low), high * 1.1 or 1.0)
        line.set_major_locator(MaxNLocator(5))
        return ""
    if low >= smallest / _WIDE:
        spread = (high / low) ** 0.08
        rescale("log")
        relimit(low / spread, high * spread)
        log_ticks(line, low / spread, high * spread)
        return ", log scale"
    power = 10.0 ** math.floor(math.log10(smallest))
    start = max(mark * power for mark in (1, 2, 5) if mark * power <= smallest)
    top = high * (high / start) ** 0.08
    rescale("symlog", linthresh=start, linscale=0.4)
    relimit(0.0, top)
    log_ticks(line, start, top)
    line.set_major_locator(FixedLocator([0.0, *line.get_majorticklocs()]))
    line.set_minor_locator(NullLocator())
    return f", log scale from {start:g}"
