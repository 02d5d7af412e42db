"""How well an attack tells models from oracles: ROC curves where few false alarms are allowed."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.style import (
    COMPACT,
    GREY,
    LABEL,
    LIGHT,
    SMALL,
    draw_line,
    legend_below,
    log_ticks,
    new_figure,
    set_title,
    styles,
    tidy,
)

_FLOOR = 1e-5
"""A rate below it would need more trials than any audit here makes."""

_POINTS = 200
"""Enough for a curve over five decades; every point shown lies on the given curve."""


def roc_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str = "ROC of the attack",
) -> Figure:
    """Draw ROC curves on two logarithmic axes, with chance and the usual false positive rates.

    Both axes begin at the smallest false positive rate above zero of any curve: below it a curve
    says nothing. Carlini et al., "Membership Inference Attacks From First Principles", 2022,
    arXiv:2112.03570, on why the left end counts.

    Args:
      curves: name -> (false positive rates, true positive rates), each [T], in [0, 1], ascending.
      title: heading.

    Raises:
      InputError: if there is no curve, or one's rates do not go together or leave [0, 1].
    """
    if not curves:
        raise InputError("curves={}: expected at least one ROC curve")
    rates = {name: _rates(name, *curve) for name, curve in curves.items()}
    smallest = min(float(fpr[fpr > 0].min()) for fpr, _ in rates.values())
    low = 10.0 ** math.floor(math.log10(min(max(smallest, _FLOOR), 0.1)))
    grid = np.geomspace(low, 1.0, _POINTS)

    figure = new_figure(4.2, width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes)
    axes.set(xscale="log", yscale="log", xlim=(low, 1.0), ylim=(low, 1.1))
    for axis in (axes.xaxis, axes.yaxis):
        log_ticks(axis, low, 1.0)
    axes.plot([low, 1.0], [low, 1.0], color=LIGHT, lw=3, zorder=1, label="chance")
    for rate, text in ((0.001, "0.1 %"), (0.01, "1 %")):
        if rate > low:
            axes.axvline(rate, color=GREY, lw=0.8, ls=":", zorder=1)
            axes.text(rate, 1.13, text, ha="center", va="bottom", size=SMALL, color=GREY)
    for name, style in styles(rates).items():
        fpr, tpr = rates[name]
        # The best rate within the allowance: a step curve, so no point between two is made up.
        reached = tpr[np.searchsorted(fpr, grid * (1 + 1e-9), "right") - 1]
        shown = np.where(reached > 0, reached, np.nan)
        draw_line(axes, grid, shown, name, style, markevery=(10, 45), drawstyle="steps-post")
    axes.set_xlabel("false positive rate (log scale)", size=LABEL)
    axes.set_ylabel("true positive rate (log scale)", size=LABEL)
    legend_below(figure)
    set_title(
        figure,
        title,
        "On the grey diagonal the attack only guesses; away from it, above or below, it tells the "
        "model from retraining. Dotted: the false positive rates of the table.",
    )
    return figure


def _rates(
    name: str, false: Sequence[float], true: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Check one curve and begin it at (0, 0)."""
    fpr, tpr = np.asarray(false, float), np.asarray(true, float)
    sound = fpr.ndim == 1 and fpr.shape == tpr.shape and bool((fpr > 0).any())
    if sound:
        both = np.concatenate([fpr, tpr])
        sound = bool((both >= 0).all() and (both <= 1).all())
        sound = sound and bool((np.diff(fpr) >= 0).all() and (np.diff(tpr) >= 0).all())
    if not sound:
        raise InputError(
            f"curves[{name!r}]: false positive rates of shape {fpr.shape}, true positive rates of "
            f"shape {tpr.shape}: expected two ascending arrays [T] in [0, 1] that leave 0"
        )
    return np.concatenate([[0.0], fpr]), np.concatenate([[0.0], tpr])
