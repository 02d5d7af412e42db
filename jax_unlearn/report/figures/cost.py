"""What nearness to the oracle costs: a measure against the time of the unlearning."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.report.figures.labels import extra_height, place_labels
from jax_unlearn.report.figures.scales import spread_scale
from jax_unlearn.report.figures.style import (
    COMPACT,
    GREY,
    INK,
    LABEL,
    draw_point,
    log_ticks,
    new_figure,
    seed_values,
    set_title,
    styles,
    tidy,
)
from jax_unlearn.report.formats import duration


def gap_against_time_figure(
    gap: Mapping[str, tuple[float, float, float]],
    seconds: Mapping[str, Sequence[float]],
    *,
    retrain: Sequence[float] = (),
    band: tuple[float, float] | None = None,
    label: str = "average gap (points)",
    title: str = "Distance to the oracle against time",
) -> Figure:
    """Draw one labelled point per method: its gap upwards, its mean time to the right.

    Args:
      gap: name -> (value, low, high); the ends of the interval NaN where there is none.
      seconds: name -> wall time of the unlearning, seconds, one per run; the same names.
      retrain: wall time of retraining, seconds, one per run; empty where unknown.
      band: ends of the null band of the gap, or None.
      label: of the axis of the gap.
      title: heading.

    Raises:
      InputError: if there is no method, the names differ, or a time is not positive.
    """
    if not gap or set(gap) != set(seconds):
        raise InputError(
            f"gap names {sorted(gap)}, seconds names {sorted(seconds)}: expected the same methods, "
            "at least one"
        )
    times = {name: seed_values(f"seconds[{name!r}]", seconds[name]) for name in gap}
    reference = seed_values("retrain", retrain) if len(retrain) else np.zeros(0)
    every = np.concatenate([*times.values(), reference])
    if every.min() <= 0:
        raise InputError(f"seconds: {every.min():g}: expected times > 0 seconds")
    intervals = {name: np.asarray(ends, float) for name, ends in gap.items()}
    points = {name: (float(times[name].mean()), intervals[name][0]) for name in gap}
    bad = [name for name, (_, y) in points.items() if not np.isfinite(y)]
    if bad:
        raise InputError(f"gap[{bad[0]!r}]: {gap[bad[0]]}: expected a finite value: leave it out")

    figure = new_figure(3.3 + extra_height(len(gap)), width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes)
    axes.set_xscale("log")
    low, high = every.min() / 1.5, every.max() * 1.5
    axes.set_xlim(low, high)
    log_ticks(axes.xaxis, low, high)
    heights = [value for _, value in points.values()] + ([band[1]] if band else [])
    reach = np.concatenate([*intervals.values(), band or ()])
    y_note = spread_scale(axes, "y", heights, reach[np.isfinite(reach)])
    note, bars = "", []
    if band is not None:
        axes.axhspan(*band, color=GREY, alpha=0.18, lw=0, zorder=0)
        note += " Grey: the null band of oracles among themselves."
    if reference.size:
        axes.axvline(reference.mean(), color=INK, ls="--", lw=1.8, zorder=2)
        bars.append(np.array([[reference.mean(), y] for y in axes.get_ylim()]))
        time = duration(reference.mean()).replace(" ", "\u00a0")
        note += f" Dashed: retraining, {time}."
    for name, style in styles(gap).items():
        x, y = points[name]
        ends = intervals[name][1:]
        if np.isfinite(ends).all():
            bars.append(np.array([[x, ends[0]], [x, ends[1]]]))
            axes.plot([x, x], ends, color=style.colour, lw=1.4, zorder=3)
        draw_point(axes, x, y, name, style, clip_on=False)
    axes.set_xlabel("seconds per model, mean (log scale)", size=LABEL)
    axes.set_ylabel(label + y_note, size=LABEL)
    set_title(figure, title, "Lower left: nearer to the oracle, sooner." + note)
    place_labels(
        axes,
        list(points.values()),
        [display_name(name) for name in points],
        colours=[style.colour for style in styles(gap).values()],
        bars=bars,
    )
    return figure
