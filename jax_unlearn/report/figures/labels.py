"""Labels beside the points of a figure, none of which can be taken for another point's."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke

from jax_unlearn.report.figures.label_spots import find_spots
from jax_unlearn.report.figures.style import INK, SMALL


def extra_height(count: int) -> float:
    """Find by how many inches a compact figure grows for so many labels to find room."""
    return 0.12 * max(0, count - 10)


def place_labels(
    axes: Axes,
    points: np.ndarray | Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    colours: Sequence[str],
    bars: Sequence[np.ndarray] = (),
) -> None:
    """Write a label beside each point, or away from it with a thin line where others are close.

    Fixes the layout: limits, titles and legends must be in place before.

    Args:
      axes: where the points are.
      points: positions in data coordinates, [N, 2].
      texts: a label for each.
      colours: of the line to a label that stands away from its point, for each.
      bars: ends [2, 2] of lines better not written over, in data coordinates.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    labels = [
        axes.annotate(
            text,
            (x, y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            size=SMALL,
            color=INK,
            zorder=6,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
        for (x, y), text in zip(points, texts, strict=True)
    ]
    unit = figure.dpi / 72
    sizes = np.array([label.get_window_extent(renderer).size for label in labels]) / unit
    starts = axes.transData.transform(points) / unit
    lines = axes.transData.transform(np.reshape(bars, (-1, 2))).reshape(-1, 2, 2) / unit
    frame = axes.get_window_extent(renderer).get_points() / unit
    spots = find_spots(starts, sizes / 2 + 1, frame, lines)
    for label, shift in zip(labels, spots.middles - starts, strict=True):
        label.set_position(tuple(shift))
    for start, end, led, colour in zip(starts, spots.ends, spots.led, colours, strict=True):
        if led:
            line = axes.transData.inverted().transform(np.stack([start, end]) * unit)
            axes.plot(*line.T, color=colour, lw=0.9, zorder=2, scalex=False, scaley=False)
