"""A leaderboard in one figure: what nearness to retraining costs, a panel for each request."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.labels import place_labels
from jax_unlearn.report.figures.style import (
    GREY,
    INK,
    LABEL,
    SMALL,
    draw_point,
    log_ticks,
    new_figure,
    set_title,
    styles,
    tidy,
)

_HEIGHT = 4.3
"""Inches of a panel: thirty labels find room."""


class Place(NamedTuple):
    """A method on one request.

    Attributes:
      gap: average gap to the oracles, percentage points.
      low: lower end of its interval; NaN where there is none.
      high: upper end.
      seconds: median wall time of the unlearning, seconds.
      elsewhere: whether it was timed in another run than most, perhaps on another machine.
    """

    gap: float
    low: float
    high: float
    seconds: float
    elsewhere: bool = False


class Panel(NamedTuple):
    """One request.

    Attributes:
      title: of the request.
      places: by the title of each method.
      band: upper end of the null band of the gap, percentage points.
      retrain: wall time of retraining, seconds; NaN for unknown.
    """

    title: str
    places: Mapping[str, Place]
    band: float
    retrain: float


def gap_against_cost_figure(panels: Sequence[Panel], *, title: str) -> Figure:
    """Draw gap against time for every method, both on log axes, a panel for each request.

    Args:
      panels: from top to bottom, each with one method or more.
      title: heading.

    Raises:
      InputError: there is no panel, one without a method, or a gap or time is no finite number, a
        time not above 0.
    """
    if not panels or not all(panel.places for panel in panels):
        raise InputError("panels: one has no method: expected one panel or more, each with methods")
    for panel in panels:
        for name, place in panel.places.items():
            if not (np.isfinite(place.gap) and np.isfinite(place.seconds) and place.seconds > 0):
                raise InputError(
                    f"{panel.title}, {name}: gap={place.gap:g}, seconds={place.seconds:g}: "
                    "expected finite numbers, a time above 0; leave it out"
                )
    figure = new_figure(_HEIGHT * len(panels))
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        _lay_out(axes, panel)
    retrain = any(np.isfinite(panel.retrain) for panel in panels)
    elsewhere = any(place.elsewhere for panel in panels for place in panel.places.values())
    set_title(
        figure,
        title,
        "Lower left: nearer to retraining, sooner. Lines: 95 % intervals. Grey: the null band, as "
        "near as oracles come to each other: by gap alone, so few models in it are not told apart "
        "from retraining. Methods without a place are not drawn."
        + (" Dashed: the time of retraining." if retrain else "")
        + (" Ringed: timed in another run, perhaps on another machine." if elsewhere else ""),
    )
    for axes, panel in zip(grid, panels, strict=True):
        _draw(axes, panel)
    return figure


def _lay_out(axes: Axes, panel: Panel) -> None:
    """Set scales and limits, and what lies behind the points."""
    tidy(axes)
    axes.set(xscale="log", yscale="log")
    times = np.array([place.seconds for place in panel.places.values()])
    times = np.append(times, panel.retrain)[np.isfinite(np.append(times, panel.retrain))]
    left, right = times.min() / 1.6, times.max() * 1.6
    gaps = np.array([place.gap for place in panel.places.values()])
    tops = [place.high for place in panel.places.values() if np.isfinite(place.high)]
    seen = np.append(gaps[gaps > 0], panel.band)
    # A gap of exactly 0, and intervals that reach it, end at the axis.
    bottom, top = seen.min() / 2.5, max([*gaps, *tops, panel.band]) * 1.5
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    log_ticks(axes.xaxis, left, right)
    log_ticks(axes.yaxis, bottom, top)
    axes.axhspan(bottom, panel.band, color=GREY, alpha=0.18, lw=0, zorder=0)
    if np.isfinite(panel.retrain):
        axes.axvline(panel.retrain, color=INK, ls="--", lw=1.8, zorder=2)
    axes.set_title(panel.title, size=LABEL, weight="bold", loc="left", color=INK)
    axes.set_xlabel("seconds per model, median (log scale)", size=SMALL)
    axes.set_ylabel("average gap (points, log scale)", size=SMALL)


def _draw(axes: Axes, panel: Panel) -> None:
    bottom = axes.get_ylim()[0]
    chosen = styles(panel.places)
    points, bars = [], []
    if np.isfinite(panel.retrain):
        bars.append(np.array([[panel.retrain, y] for y in axes.get_ylim()]))
    for name, place in panel.places.items():
        point = place.seconds, max(place.gap, bottom)
        points.append(point)
        if np.isfinite([place.low, place.high]).all():
            bar = np.array([[point[0], max(place.low, bottom)], [point[0], place.high]])
            bars.append(bar)
            axes.plot(*bar.T, color=chosen[name].colour, lw=1.1, alpha=0.5, zorder=3)
        draw_point(axes, *point, name, chosen[name], clip_on=False)
        if place.elsewhere:
            axes.plot(*point, "o", ms=13, mfc="none", mec=INK, mew=1.0, clip_on=False, zorder=4)
    colours = [style.colour for style in chosen.values()]
    place_labels(axes, points, list(panel.places), colours=colours, bars=bars)
