"""Methods side by side: what they cost in time, and how near they land to the oracle."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
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

_WIDE = 20.0
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""


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

    figure = new_figure(4.0, width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes)
    spread_scale(axes, "x", [*across.values(), between_kl])
    spread_scale(axes, "y", [*up.values(), between_gap])
    axes.axvspan(axes.get_xlim()[0], between_kl.max(), color=GREY, alpha=0.16, lw=0, zorder=0)
    axes.axhspan(axes.get_ylim()[0], between_gap.max(), color=GREY, alpha=0.16, lw=0, zorder=0)
    points, texts, bars = [], [], []
    for name, style in styles(names).items():
        x, y = across[name], up[name]
        across_bar = np.array([[x.min(), y.mean()], [x.max(), y.mean()]])
        up_bar = np.array([[x.mean(), y.min()], [x.mean(), y.max()]])
        for ends in (across_bar, up_bar):
            axes.plot(*ends.T, color=style.colour, lw=1.2, alpha=0.75, zorder=3)
        bars += [across_bar, up_bar]
        draw_point(axes, x.mean(), y.mean(), name, style)
        points.append((x.mean(), y.mean()))
        texts.append(display_name(name))
    axes.set_xlabel("KL(oracle || unlearned), mean (nats)", size=LABEL)
    axes.set_ylabel("average gap to the oracle (percentage points)", size=LABEL)
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


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    colours: Sequence[str],
    bars: Sequence[np.ndarray] = (),
) -> None:
    """Write a label beside each point where it covers no other label and no point.

    Bars are covered only where every other place is far. Fixes the layout: limits, titles and
    legends must be in place before.

    Args:
      axes: where the points are.
      points: positions in data coordinates.
      texts: a label for each.
      colours: of the line to a label that stands away from its point, for each.
      bars: ends of lines better not written over, in data coordinates.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    scale = figure.dpi / 72
    pixels = axes.transData.transform(points)
    markers = [Bbox([p - 5 * scale, p + 5 * scale]) for p in pixels]
    lines = [Bbox(np.sort(axes.transData.transform(ends), 0)).padded(scale) for ends in bars]
    frame = axes.get_window_extent(renderer)
    angles = np.arange(16) * math.pi / 8
    ways = np.stack([np.cos(angles), np.sin(angles)], 1)
    placed: list[Bbox] = []
    for centre, point, words, colour in zip(pixels, points, texts, colours, strict=True):
        label = axes.annotate(
            words,
            point,
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            size=SMALL,
            color=INK,
            zorder=6,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
        size = label.get_window_extent(renderer)
        half = np.array([size.width, size.height]) / 2
        best = (math.inf, 0, centre, size)
        for distance in range(0, 140, 7):
            for way in ways:
                # From the marker's rim outwards: the label's own half size plus the distance.
                shift = way * (half + (7 + distance) * scale)
                box = Bbox([centre + shift - half - scale, centre + shift + half + scale])
                inside = frame.x0 <= box.x0 < box.x1 <= frame.x1
                inside &= frame.y0 <= box.y0 < box.y1 <= frame.y1
                hidden = box.count_overlaps(placed) + box.count_overlaps(markers) + (not inside)
                cost = 1000 * hidden + 10 * box.count_overlaps(lines) + distance
                if cost < best[0]:
                    best = (cost, distance, shift, box)
        _, distance, shift, box = best
        label.set_position(tuple(shift / scale))
        placed.append(box)
        if distance > 10:
            _leader(axes, centre, shift, half, colour)


def _leader(
    axes: Axes, start: np.ndarray, shift: np.ndarray, half: np.ndarray, colour: str
) -> None:
    """Draw a thin line from a point to the edge of a label that stands away from it."""
    reach = 1 - np.min(half / np.maximum(np.abs(shift), 1e-9))
    ends = axes.transData.inverted().transform([start, start + shift * reach])
    axes.plot(*ends.T, color=colour, lw=0.9, zorder=2, scalex=False, scaley=False)


def spread_scale(axes: Axes, axis: str, values: Sequence[np.ndarray]) -> None:
    """Set an axis's scale and limits: logarithmic where the means spread widely, else from 0."""
    every = np.concatenate(values)
    means = np.array([v.mean() for v in values])
    limits = axes.set_xlim if axis == "x" else axes.set_ylim
    if every.min() > 0 and means.max() > _WIDE * means.min():
        (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
        low, high = every.min(), every.max()
        spread = (high / low) ** 0.08
        limits(low / spread, high * spread)
        log_ticks(axes.xaxis if axis == "x" else axes.yaxis, low / spread, high * spread)
    else:
        limits(min(0.0, every.min()), every.max() * 1.1 or 1.0)
        (axes.xaxis if axis == "x" else axes.yaxis).set_major_locator(MaxNLocator(5))
