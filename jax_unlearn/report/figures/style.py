"""What all figures share: colours, names, sizes, and writing a figure to disk.

The colours are those of Okabe and Ito ("Color Universal Design", 2008), which readers with any
common colour blindness tell apart. Dash and marker repeat what the colour says.
"""

import io
import math
import os
import textwrap
import zlib
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.files import write_whole
from jax_unlearn.registry import METHODS

WIDTH = 9.0
"""Inches. At 150 dpi that is 1350 pixels; shown 900 pixels wide, 8 pt are still 11 pixels."""

COMPACT = 4.6
"""Inches. Drawn this narrow, a figure's words stay legible when a phone shows it whole."""

DPI = 150

INK, GREY, LIGHT = "#1a1a1a", "#6b6b6b", "#d9d9d9"
ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

TITLE, LABEL, SMALL = 11.0, 9.0, 8.5

_LETTER = 0.56 * SMALL
"""Points that a letter takes, on average."""


class Style(NamedTuple):
    """How one method is drawn in every figure.

    Attributes:
      colour: hex.
      dash: a matplotlib line style.
      marker: a matplotlib marker.
    """

    colour: str
    dash: str | tuple
    marker: str


_SOLID, _LONG, _DOTS, _MIXED = "-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1))
_SHORT, _DOUBLE, _WEAVE, _LOOSE = (0, (3, 1)), (0, (8, 1, 1, 1)), (0, (3, 1, 1, 1)), (0, (5, 4))
_WIDE, _SPARSE, _THREE = (0, (9, 2)), (0, (1, 3)), (0, (5, 1, 1, 1, 1, 1))
_COLOURS = (SKY, GREEN, BLUE, VERMILLION, PURPLE, ORANGE)

_FIXED = {
    "oracle": Style(INK, "--", "D"),
    "retrain": Style(INK, "--", "D"),
    "original": Style(GREY, ":", "s"),
    "natmu": Style(VERMILLION, _SOLID, "o"),
    "mumis": Style(BLUE, _SOLID, "s"),
    "mumis_last_layer": Style(BLUE, _LONG, "p"),
    "finetune": Style(SKY, _SOLID, "^"),
    "gradient_ascent": Style(ORANGE, _SOLID, "v"),
    "neggrad_plus": Style(ORANGE, _LONG, "P"),
    "amnesiac": Style(PURPLE, _SOLID, "X"),
    "salun": Style(PURPLE, _LONG, "d"),
    "bad_teacher": Style(GREEN, _SOLID, "<"),
}

# The library's other methods take what is left, in their order.
_LEFT = [
    Style(colour, dash, marker)
    for (dash, marker), colour in product(
        (
            *((_LONG, "8"), (_DOTS, "H"), (_MIXED, "d"), (_SHORT, "P")),
            *((_DOUBLE, "X"), (_WEAVE, "v"), (_LOOSE, "<")),
        ),
        _COLOURS,
    )
    if not any(
        colour == x.colour and (dash == x.dash or marker == x.marker) for x in _FIXED.values()
    )
]
_FIXED |= dict(zip([name for name in METHODS if name not in _FIXED], _LEFT, strict=False))

# Figures of a record know methods by their titles, others by their names: both look the same.
_FIXED |= {display_name(name): style for name, style in _FIXED.items()}

_SPARE = [
    Style(colour, dash, marker)
    for (dash, marker), colour in product(((_WIDE, "h"), (_THREE, "*"), (_SPARSE, ">")), _COLOURS)
]


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Choose each method's colour, dash and marker; the same name looks the same everywhere.

    The library's methods have styles of their own, under their names and their titles. Any other
    name gets a spare one by a hash of the name, moved on only where two names of the same figure
    would share it.
    """
    names = list(dict.fromkeys(names))
    chosen = {name: _FIXED[name] for name in names if name in _FIXED}
    used: set[int] = set()
    for name in sorted(set(names) - set(chosen)):
        start = zlib.crc32(name.encode()) % len(_SPARE)
        around = [(start + k) % len(_SPARE) for k in range(len(_SPARE))]
        slot = next((s for s in around if s not in used), start)
        used.add(slot)
        chosen[name] = _SPARE[slot]
    return {name: chosen[name] for name in names}


class ShownFigure(Figure):
    """A figure that belongs to no window, and that a notebook shows all the same."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def new_figure(height: float, *, width: float = WIDTH, constrained: bool = True) -> Figure:
    """Make an empty white figure of ``width`` x ``height`` inches, belonging to no window."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06) if constrained else None
    figure = ShownFigure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    return figure


def new_panels(
    count: int, *, columns: int, head: float, height: float, width: float = WIDTH
) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels that share both axes, row by row, in at most ``columns`` columns.

    Args:
      count: of the panels.
      columns: the most panels side by side.
      head: inches above the panels.
      height: of a panel, inches.
      width: of the figure, inches.

    Returns:
      The figure and its panels; the lowest of each column, also where the last row is short, carry
      the tick labels: they are the last ``columns`` ones.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = new_figure(head + rows * height, width=width)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count][-columns:]:
        axes.tick_params(labelbottom=True)
    return figure, panels[:count]


def set_title(figure: Figure, title: str, subtitle: str = "") -> float:
    """Head a figure, flush left: what it shows in bold, how to read it in grey below.

    The figure grows by the heading's height, so that what stands below keeps its size.

    Returns:
      The heading's height in inches.
    """
    width, height = figure.get_size_inches()
    head = textwrap.fill(title, int(width * 9.5))
    note = textwrap.fill(subtitle, int(width * 13))
    line, small = TITLE * 1.3 / 72, SMALL * 1.35 / 72
    below = 0.09 + line * (head.count("\n") + 1)
    total = below + (0.03 + small * (note.count("\n") + 1) if note else 0.0) + 0.04
    height += total
    figure.set_size_inches(width, height)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, 1 - total / height))
    left = 0.08 / width
    place: dict[str, Any] = {"ha": "left", "va": "top", "linespacing": 1.25}
    y = 1 - 0.09 / height
    figure.text(left, y, head, size=TITLE, weight="bold", color=INK, **place)
    if note:
        figure.text(left, 1 - below / height, note, size=SMALL, color=GREY, **place)
    return total


def legend_below(figure: Figure) -> None:
    """Name under the figure what its panels show, each label once, in columns that fit."""
    figure.legend(loc="outside lower center", **_entries(figure))


def legend_above(axes: Axes) -> None:
    """Name between heading and axes what a figure of one panel shows, where it is long."""
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.0, **_entries(figure))


def _entries(figure: Figure) -> dict[str, Any]:
    """What a legend says and how it looks."""
    handles: dict[str, object] = {}
    for axes in figure.axes:
        pairs = zip(*axes.get_legend_handles_labels(), strict=True)
        handles |= {label: handle for handle, label in pairs}
    longest = max(map(len, handles), default=1)
    room = 72 * float(figure.get_figwidth()) / (longest * _LETTER + 3 * SMALL)
    return {
        "handles": list(handles.values()),
        "labels": list(handles),
        "ncols": max(1, min(3, int(room))),
        "columnspacing": 1.0,
        "handletextpad": 0.5,
        "handlelength": 1.8,
        "frameon": False,
        "fontsize": SMALL,
    }


def tidy(axes: Axes, *, grid: Literal["both", "x", "y"] = "both") -> None:
    """Give axes a light grid behind the data, no box, and legible ticks."""
    axes.set_axisbelow(True)
    axes.grid(True, axis=grid, color=LIGHT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=SMALL, color=GREY, length=3, which="major")
    axes.tick_params(which="minor", color=LIGHT, length=2)


def draw_point(
    axes: Axes, x: float, y: float, name: str, style: Style, *, clip_on: bool = True
) -> None:
    """Draw one method as its marker, above everything else."""
    axes.plot(
        [x],
        [y],
        marker=style.marker,
        color=style.colour,
        ms=8,
        mec="white",
        mew=0.7,
        ls="none",
        label=display_name(name),
        clip_on=clip_on,
        zorder=4,
    )


def draw_line(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    name: str,
    style: Style,
    *,
    label: str = "",
    **more: Any,
) -> None:
    """Draw one method as a line with some markers; the oracle's is the widest.

    Args:
      axes: where to.
      x: float [N].
      y: float [N].
      name: of the method.
      style: its own.
      label: for the legend; '' takes the name.
      **more: of the line: ``markevery``, ``drawstyle``.
    """
    axes.plot(
        x,
        y,
        color=style.colour,
        ls=style.dash,
        lw=2.2 if name == "oracle" else 1.5,
        marker=style.marker,
        ms=4.5,
        mec="white",
        mew=0.5,
        label=label or display_name(name),
        zorder=3,
        **more,
    )


def log_ticks(axis: Axis, low: float, high: float, *, room: float = 3.0) -> None:
    """Label a log axis from ``low`` to ``high`` with plain numbers, at least two.

    Args:
      axis: already logarithmic.
      low: its lower end.
      high: its upper end.
      room: decades up to which there is room for 1-2-5; beyond them powers of ten stand alone, and
        every second or third one where those are many.
    """
    few = math.log10(high / low) < room
    marks = [m * 10.0**e for e in range(-40, 40) for m in ((1, 2, 5) if few else (1,))]
    marks = [mark for mark in marks if low <= mark <= high]
    if len(marks) < 2:
        marks = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    axis.set_major_locator(FixedLocator(marks[:: 1 + int(len(marks) / (3.5 * room))]))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator() if few else LogLocator(subs="auto", numticks=20))
    axis.set_minor_formatter(NullFormatter())


def seed_values(name: str, values: float | Sequence[float] | np.ndarray) -> np.ndarray:
    """Take one number per seed as float64 [seeds], without those that are not finite.

    Raises:
      InputError: if there are more dimensions than seeds, or no finite number.
    """
    array = np.asarray(values, float)
    if array.ndim > 1:
        raise InputError(f"{name}: shape {array.shape}: expected one number per seed, [seeds]")
    finite = array.reshape(-1)[np.isfinite(array.reshape(-1))]
    if not finite.size:
        raise InputError(f"{name}: no finite number among {array.size}: leave it out")
    return finite


def seeds_note(counts: Iterable[int]) -> str:
    """Say over how many seeds a mean and its band are taken; empty for a single seed."""
    low, high = min(counts := list(counts)), max(counts)
    if high == 1:
        return ""
    return f"Mean of {low if low == high else f'{low} to {high}'} seeds; band: lowest to highest."


def save(figure: Figure, path: str | os.PathLike) -> Path:
    """Write a figure as PNG at 150 dpi or as SVG; the file appears whole or not at all.

    Args:
      figure: what to write.
      path: ends in ``.png`` or ``.svg``; missing folders are made.

    Returns:
      The path.

    Raises:
      InputError: if the path ends otherwise.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"path={str(path)!r}: expected a file name that ends in .png or .svg")
    buffer = io.BytesIO()
    # The same figure is to give the same bytes.
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": path.stem}
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format=path.suffix[1:], dpi=DPI, metadata=metadata)
    return write_whole(path, buffer.getvalue())
