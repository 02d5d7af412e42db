"""Input sensitivities: of members and non-members, and whose falls when it was left out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.confidence import kernel_density
from jax_unlearn.report.figures.style import (
    BLUE,
    COMPACT,
    GREY,
    INK,
    LABEL,
    LIGHT,
    SMALL,
    VERMILLION,
    legend_below,
    log_ticks,
    new_figure,
    seed_values,
    set_title,
    tidy,
)

_LOOKS: list[dict[str, Any]] = [
    {"color": VERMILLION, "ls": "-"},
    {"color": BLUE, "ls": (0, (4, 1.5))},
]


def sensitivity_figure(
    samples: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]],
    *,
    title: str = "Sensitivity of members and non-members",
    note: str = "",
) -> Figure:
    """Draw densities of input sensitivity on log axes: a row per stage, a panel per kind of class.

    Args:
      samples: stage (``'at initialisation'``) -> classes (``'true class'``) -> group
        (``'members'``) -> squared norms of input gradients, float [N]; two groups at most. Values
        that are not finite and positive are left out.
      title: heading.
      note: of whom the values are.

    Raises:
      InputError: if there is nothing to draw, a stage lacks classes that another has, or a group
        holds no positive number.
    """
    stages = list(samples)
    kinds = list(samples[stages[0]]) if stages else []
    if not kinds or any(list(samples[stage]) != kinds for stage in stages):
        raise InputError(
            f"samples of {stages}: expected one or more stages with the same classes in each"
        )
    drawn = {
        (stage, kind): {
            name: _exponents(f"{stage}, {kind}, {name}", values)
            for name, values in samples[stage][kind].items()
        }
        for stage in stages
        for kind in kinds
    }
    figure = new_figure(0.9 + 1.6 * len(stages), width=COMPACT)
    grid = figure.subplots(len(stages), len(kinds), sharex="row", squeeze=False)
    for row, stage in enumerate(stages):
        at = _axis([v for kind in kinds for v in drawn[stage, kind].values()])
        for axes, kind in zip(grid[row], kinds, strict=True):
            tidy(axes, grid="x")
            axes.set_xscale("log")
            axes.set_xlim(10 ** at[0], 10 ** at[-1])
            axes.set_yticks([])
            for look, (name, values) in zip(_LOOKS, drawn[stage, kind].items(), strict=False):
                density = kernel_density(values, at)
                axes.plot(10**at, density, lw=1.8, label=name, **look)
                axes.fill_between(10**at, density, color=look["color"], alpha=0.12, lw=0)
                axes.axvline(10 ** np.median(values), color=look["color"], lw=1.0, ls=":")
            axes.set_ylim(bottom=0)
            axes.set_title(f"{kind},\n{stage}", loc="left", size=SMALL, pad=3)
        log_ticks(grid[row, 0].xaxis, 10 ** at[0], 10 ** at[-1], room=1.0)
    for axes in grid[-1]:
        axes.set_xlabel("squared norm of\nthe input gradient", size=LABEL)
    figure.supylabel("density", size=LABEL)
    legend_below(figure)
    words = (
        "Right: the logit depends more on the image. Dotted: medians. Each row has its own axis. "
    )
    set_title(figure, title, words + note)
    return figure


def falling_figure(
    shares: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    title: str = "Whose sensitivity falls from original to oracle",
) -> Figure:
    """Draw the share of examples whose sensitivity falls, the rest of each bar rising.

    Args:
      shares: classes (``'true class'``) -> group (``'forget images'``) -> percent that falls, one
        per seed.
      title: heading.

    Raises:
      InputError: if there is nothing to draw or a share without a finite value.
    """
    rows = [(kind, group, given) for kind, g in shares.items() for group, given in g.items()]
    if not rows:
        raise InputError("shares={}: expected at least one group")
    figure = new_figure(0.8 + 0.42 * len(rows), width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes, grid="x")
    for height, (kind, group, given) in enumerate(rows):
        values = seed_values(f"{kind}, {group}", given)
        mean = float(values.mean())
        labels = ("falls", "rises") if not height else (None, None)
        axes.barh(height, mean, color=BLUE, height=0.66, label=labels[0], zorder=2)
        axes.barh(
            height, 100 - mean, left=mean, color=LIGHT, height=0.66, label=labels[1], zorder=2
        )
        if len(values) > 1:
            ticks: dict[str, Any] = {"marker": "|", "ls": "none", "ms": 9, "mew": 1.3}
            axes.plot(values, np.full(len(values), height), color=INK, zorder=4, **ticks)
        axes.text(
            1.02,
            height,
            f"{mean:.0f} %",
            transform=axes.get_yaxis_transform(),
            va="center",
            size=SMALL,
            color=INK,
        )
    axes.axvline(50, color=GREY, ls="--", lw=1.2, zorder=3)
    axes.set_yticks(range(len(rows)), [f"{group},\n{kind}" for kind, group, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the examples (%)", size=LABEL)
    legend_below(figure)
    seeds = max(len(given) for _, _, given in rows)
    note = " Ticks: single seeds; bar: their mean." if seeds > 1 else ""
    set_title(
        figure,
        title,
        "Dashed: half, what chance gives. The oracle starts from the original's initial weights "
        "and never saw the forget images." + note,
    )
    return figure


def _axis(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Choose exponents of ten, float [G], that span all but the farthest tails."""
    low, high = np.quantile(np.concatenate(samples), [0.002, 0.998])
    air = 0.08 * (high - low) or 0.5
    return np.linspace(low - air, high + air, 241)


def _exponents(source: str, given: np.ndarray) -> np.ndarray:
    """Take the exponents of ten of the values that a log axis can show."""
    values = np.asarray(given, float).reshape(-1)
    shown = values[np.isfinite(values) & (values > 0)]
    if not shown.size:
        raise InputError(f"{source}: no positive number among {values.size}: leave it out")
    return np.log10(shown)
