"""The accuracy gap against both readings of the KL that NatMU's paper reports."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.report.figures.scales import spread_scale
from jax_unlearn.report.figures.style import (
    COMPACT,
    GREY,
    LABEL,
    SMALL,
    legend_below,
    new_figure,
    set_title,
    styles,
    tidy,
)


def gap_against_both_kl_figure(
    gap: Mapping[str, Sequence[float]],
    readings: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    null_gap: Sequence[float] = (),
    null: Mapping[str, Sequence[float]] | None = None,
    title: str = "Accuracy gap against KL",
) -> Figure:
    """Draw one point per method and seed, a panel for each reading of the KL.

    Args:
      gap: name -> average gap to the oracle, percentage points, [seeds].
      readings: what is on the horizontal axis, unit included -> name -> nats, [seeds], the seeds as
        in ``gap``. Methods that a reading lacks are missing in its panel and named there; so are
        those without a finite pair.
      null_gap: average gaps of oracles to each other, up to the largest of which the band reaches.
      null: the same for the readings that have one.
      title: heading.

    Raises:
      InputError: if there is no finite pair at all, or a reading has other seeds than ``gap``.
    """
    pairs = {kind: _pairs(gap, found, kind) for kind, found in readings.items()}
    if not any(pairs.values()):
        raise InputError(
            f"gap of {', '.join(gap) or 'no method'}: no finite pair with a KL: nothing to draw"
        )
    heights = [y for found in pairs.values() for _, y in found.values()]
    if len(null_gap):
        heights.append(np.array([np.max(null_gap)]))
    figure = new_figure(0.7 + 2.1 * len(pairs), width=COMPACT)
    panels = figure.subplots(len(pairs), 1, squeeze=False)[:, 0]
    looks = styles(gap)
    for axes, (kind, found) in zip(panels, pairs.items(), strict=True):
        tidy(axes)
        across = [x for x, _ in found.values()]
        between = np.asarray((null or {}).get(kind, ()), float)
        drawn = np.concatenate([*across, [between.max()] if between.size else []])
        x_note = spread_scale(axes, "x", drawn if drawn.size else [1.0])
        y_note = spread_scale(axes, "y", np.concatenate(heights))
        if between.size:
            axes.axvspan(axes.get_xlim()[0], between.max(), color=GREY, alpha=0.16, lw=0, zorder=0)
        if len(null_gap):
            top = float(np.max(null_gap))
            axes.axhspan(axes.get_ylim()[0], top, color=GREY, alpha=0.16, lw=0, zorder=0)
        for name, (x, y) in found.items():
            look = looks[name]
            axes.plot(
                x,
                y,
                ls="none",
                marker=look.marker,
                color=look.colour,
                mfc=look.colour if look.dash == "-" else "white",
                ms=6.5,
                mew=1.2,
                label=display_name(name),
                clip_on=False,
                zorder=4,
            )
        axes.set_xlabel(kind + x_note, size=LABEL)
        axes.set_ylabel(f"average gap\n(percentage points{y_note})", size=LABEL)
        absent = [display_name(name) for name in gap if name not in found]
        if absent:
            words = f"not shown: {', '.join(absent)}"
            axes.set_title(_folded(words), loc="right", size=SMALL, color=GREY, pad=3)
    legend_below(figure)
    set_title(
        figure,
        title,
        "One point per method and seed; lower left is nearer to the oracle. Grey: null band, as "
        "near as oracles come to each other.",
    )
    return figure


def _pairs(
    gap: Mapping[str, Sequence[float]], found: Mapping[str, Sequence[float]], kind: str
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Take the finite pairs (nats, points) of every method."""
    pairs = {}
    for name, values in found.items():
        x, y = np.asarray(values, float), np.asarray(gap.get(name, ()), float)
        if x.shape != y.shape:
            raise InputError(
                f"readings[{kind!r}][{name!r}]: {len(x)} values: expected {len(y)}, one for each "
                "seed of gap"
            )
        finite = np.isfinite(x) & np.isfinite(y)
        if finite.any():
            pairs[name] = (x[finite], y[finite])
    return pairs


def _folded(words: str, width: int = 46) -> str:
    """Break a line where it would leave a narrow panel."""
    return textwrap.fill(words, width, break_on_hyphens=False)
