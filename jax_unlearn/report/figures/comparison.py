"""Methods side by side: what they cost in time, and how near they land to the oracle."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
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
    SMALL,
    draw_point,
    log_ticks,
    new_figure,
    seed_values,
    set_title,
    styles,
    tidy,
)
from jax_unlearn.report.formats import duration, percent

_MEAN, _SHARE = 46.0, 86.0
"""Right ends of the columns of numbers beside the axis of times, points from the axis."""


def time_figure(
    seconds: Mapping[str, Sequence[float]],
    *,
    retrain: Sequence[float],
    title: str = "Time per method",
) -> Figure:
    """Draw each method's wall time on a log axis, fastest on top, with retraining as reference.

    Args:
      seconds: name -> wall time of the unlearning without compilation, seconds, one per seed.
      retrain: wall time of retraining, seconds, one per seed.
      title: heading.

    Raises:
      InputError: if there is no method or a time is not positive.
    """
    if not seconds:
        raise InputError("seconds={}: expected at least one method")
    times = {name: seed_values(f"seconds[{name!r}]", values) for name, values in seconds.items()}
    reference = seed_values("retrain", retrain)
    for name, values in {**times, "retrain": reference}.items():
        if values.min() <= 0:
            raise InputError(f"seconds of {name}: {values.min():g}: expected a time > 0 seconds")
    names = sorted(times, key=lambda name: times[name].mean())
    every = np.concatenate([*times.values(), reference])
    mean = reference.mean()

    figure = new_figure(0.75 + 0.27 * len(names), width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes, grid="x")
    axes.set_xscale("log")
    axes.axvline(mean, color=INK, ls="--", lw=1.8, zorder=2)
    for row, (name, style) in enumerate(styles(names).items()):
        values = times[name]
        axes.axhline(row, color="#efefef", lw=0.8, zorder=0)
        axes.hlines(row, values.min(), values.max(), color=style.colour, lw=2.0, zorder=3)
        if len(values) > 1:
            ticks: dict[str, Any] = {"marker": "|", "ls": "none", "ms": 9, "mew": 1.4}
            axes.plot(values, np.full(len(values), row), color=style.colour, zorder=3, **ticks)
        draw_point(axes, values.mean(), row, name, style)
        texts = {_MEAN: duration(values.mean()), _SHARE: percent(values.mean() / mean)}
        for x, text in texts.items():
            _margin_text(axes, x, row, text)
    for points, text in {_MEAN: "mean", _SHARE: "share"}.items():
        # A length above the axes: the layout finds room for a share of them in several passes only.
        _margin_text(axes, points, 1, text, coordinates="axes fraction", up=9, color=GREY)
    axes.set_yticks(range(len(names)), [display_name(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(every.min() / 1.4, every.max() * 1.4)
    log_ticks(axes.xaxis, *axes.get_xlim(), room=1.5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=LABEL)
    axes.set_xlabel("seconds (log scale)", size=LABEL)
    note = " Ticks: single seeds; marker: their mean." if len(every) > len(names) + 1 else ""
    set_title(
        figure,
        title,
        f"Dashed: retraining, {duration(mean)}; share: of that time. Without compilation.{note}",
    )
    return figure


def gap_against_kl_figure(
    gap: Mapping[str, Sequence[float]],
    kl: Mapping[str, Sequence[float]],
    *,
    null_gap: Sequence[float],
    null_kl: Sequence[float],
    title: str = "Distance to the oracle by two measures",
) -> Figure:
    """Draw the average gap against KL(oracle || unlearned), one labelled point per method.

    Shaded is the null band: values up to the largest that one set of oracles has against another.
    A method there cannot be told apart from retraining. A method without finite values, as after a
    collapse, is named under the title instead.

    Args:
      gap: name -> average gap to the oracle, percentage points, one per seed.
      kl: name -> mean KL(oracle || unlearned), nats, one per seed; the same names as ``gap``.
      null_gap: average gaps between oracles, percentage points.
      null_kl: KL between oracles, nats.
      title: heading.

    Raises:
      InputError: if there is no method with finite values, or the mappings name different methods.
    """
    if not gap or set(gap) != set(kl):
        raise InputError(
            f"gap names {sorted(gap)}, kl names {sorted(kl)}: expected the same methods, "
            "at least one"
        )
    names = [n for n in gap if np.isfinite(gap[n]).any() and np.isfinite(kl[n]).any()]
    if not names:
        raise InputError(f"gap and kl of {', '.join(gap)}: no finite pair: nothing to draw")
    across = {name: seed_values(f"kl[{name!r}]", kl[name]) for name in names}
    up = {name: seed_values(f"gap[{name!r}]", gap[name]) for name in names}
    between_kl, between_gap = seed_values("null_kl", null_kl), seed_values("null_gap", null_gap)

    figure = new_figure(4.0 + extra_height(len(names)), width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes)
    points = np.array([(across[name].mean(), up[name].mean()) for name in names])
    x_seeds, y_seeds = (np.concatenate([*seeds.values()]) for seeds in (across, up))
    x_note = spread_scale(axes, "x", [*points[:, 0], between_kl.max()], x_seeds)
    y_note = spread_scale(axes, "y", [*points[:, 1], between_gap.max()], y_seeds)
    axes.axvspan(axes.get_xlim()[0], between_kl.max(), color=GREY, alpha=0.16, lw=0, zorder=0)
    axes.axhspan(axes.get_ylim()[0], between_gap.max(), color=GREY, alpha=0.16, lw=0, zorder=0)
    bars = []
    for (name, style), point in zip(styles(names).items(), points, strict=True):
        (x, y), (x_mean, y_mean) = (across[name], up[name]), point
        across_bar = np.array([[x.min(), y_mean], [x.max(), y_mean]])
        up_bar = np.array([[x_mean, y.min()], [x_mean, y.max()]])
        for ends in (across_bar, up_bar):
            axes.plot(*ends.T, color=style.colour, lw=1.2, alpha=0.75, zorder=3)
        bars += [across_bar, up_bar]
        draw_point(axes, x_mean, y_mean, name, style)
    axes.set_xlabel(f"KL(oracle || unlearned), mean (nats{x_note})", size=LABEL)
    axes.set_ylabel(f"average gap to the oracle\n(percentage points{y_note})", size=LABEL)
    crosses = any(len(v) > 1 for v in (*across.values(), *up.values()))
    note = " Cross: lowest to highest seed." if crosses else ""
    missing = [display_name(name) for name in gap if name not in names]
    if missing:
        note += f" Not shown, for want of finite values: {', '.join(missing)}."
    set_title(
        figure,
        title,
        "Lower left is nearer. Grey: null band, as near as independent oracles come to each other; "
        "where both bands meet, a method cannot be told apart from retraining." + note,
    )
    colours = [style.colour for style in styles(names).values()]
    texts = [display_name(name) for name in names]
    place_labels(axes, points, texts, colours=colours, bars=bars)
    return figure


def _margin_text(
    axes: Axes,
    points: float,
    row: float,
    text: str,
    *,
    coordinates: Any = None,
    up: float = 0.0,
    color: str = INK,
) -> None:
    """Write text in the right margin, level with a row, that ends so far from the axes."""
    axes.annotate(
        text,
        (1, row),
        xycoords=coordinates or axes.get_yaxis_transform(),
        xytext=(points, up),
        textcoords="offset points",
        ha="right",
        va="center",
        size=SMALL,
        color=color,
        annotation_clip=False,
    )
