"""Every measure's distance to its null band on one axis: what an audit found, at a glance."""

import math
from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.style import (
    GREY,
    INK,
    LIGHT,
    SMALL,
    draw_point,
    legend_above,
    new_figure,
    set_title,
    styles,
)

PHONE = 3.6
"""Inches. On a screen of 390 pixels the words of a figure this wide are 11 pixels high."""

FARTHEST = 1000.0
"""Half widths of the band at which the axis ends; what lies beyond is drawn there."""

_ROW = 0.33
"""Inches of a measure: its name above its line."""


def place_in_band(
    value: float, low: float, high: float, median: float, outside: str = "both"
) -> float:
    """Say where a value lies beside a null band, in half widths of it: beyond -1 and 1 is outside.

    Args:
      value: of a row; NaN for unknown.
      low: lower end of the band.
      high: upper end.
      median: middle of the band of a measure that counts on one side only.
      outside: on which side a measure tells from retraining: 'both', 'above' or 'below'. On the
        other side no value is farther than the band's edge.

    Returns:
      The place; infinite outside of a band without width, NaN for a value that is.
    """
    if math.isnan(value):
        return math.nan
    if outside == "both":
        middle, half = (low + high) / 2.0, (high - low) / 2.0
    else:
        middle, half = median, (high - median if outside == "above" else median - low)
    distance = value - middle
    place = distance / half if half > 0 else math.copysign(math.inf, distance) * bool(distance)
    if math.isnan(place):
        return 0.0
    floor = -1.0 if outside == "above" else -math.inf
    return min(max(place, floor), 1.0 if outside == "below" else math.inf)


def band_distance_figure(
    places: Mapping[str, Mapping[str, float]], *, shown: Collection[str], title: str
) -> Figure:
    """Draw a line for each measure, on it a point for each row, and the band that all share.

    Args:
      places: by title of the measure and name of the row, from :func:`place_in_band`.
      shown: rows drawn in their own style; the others are small grey points.
      title: heading.

    Raises:
      InputError: if there is no measure, or none with a place.
    """
    known = {m: {n: p for n, p in row.items() if not math.isnan(p)} for m, row in places.items()}
    if not any(known.values()):
        raise InputError("places: no measure has one: expected one or more; leave the figure out")
    figure = new_figure(0.75 + _ROW * len(known), width=PHONE)
    axes = figure.add_subplot()
    farthest = _lay_out(axes, known)
    every = list(dict.fromkeys(name for row in known.values() for name in row))
    chosen = styles(name for name in every if name in shown)
    others = sum(name not in chosen for name in every)
    for line, row in enumerate(known.values()):
        for name, place in row.items():
            x = float(np.clip(place, -farthest, farthest))
            if name in chosen:
                draw_point(axes, x, line, name, chosen[name], clip_on=False)
            else:
                label = f"{others} other{'s' if others > 1 else ''}"
                axes.plot(x, line, ".", color=GREY, ms=4, alpha=0.7, label=label, clip_on=False)
    # Above: of a strong audit the lines fill more than a screen.
    legend_above(axes)
    set_title(
        figure,
        title,
        "Grey: the null band, where retrained models lie. Left of it: lower than theirs, right: "
        "higher. One unit: half the band.",
    )
    return figure


def _lay_out(axes: Axes, known: Mapping[str, Mapping[str, float]]) -> float:
    """Set the axis and name the lines; returns where it ends."""
    sizes = [abs(p) for row in known.values() for p in row.values() if math.isfinite(p)]
    farthest = min(FARTHEST, 10.0 ** math.ceil(math.log10(max([10.0, *sizes]))))
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.8)
    axes.set_xlim(-1.15 * farthest, 1.15 * farthest)
    axes.set_ylim(len(known) - 0.5, -0.85)
    axes.axvspan(-1.0, 1.0, color=GREY, alpha=0.18, lw=0, zorder=0)
    for line, name in enumerate(known):
        axes.axhline(line, color=LIGHT, lw=0.7, zorder=1)
        axes.text(
            *(0.0, line - 0.3, name), transform=axes.get_yaxis_transform(), size=SMALL, color=INK
        )
    decades = [10.0**k for k in range(1, round(math.log10(farthest)) + 1)]
    ticks = [*(-d for d in reversed(decades)), -1.0, 1.0, *decades]
    axes.set_xticks(ticks, [f"{abs(tick):g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=SMALL, color=GREY, length=3)
    return farthest
