"""How results move with one hyperparameter."""

from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.style import (
    BLUE,
    INK,
    LABEL,
    SMALL,
    new_figure,
    seeds_note,
    set_title,
    tidy,
)


def sweep_figure(
    name: str,
    values: Sequence[float] | Sequence[str],
    measures: Mapping[str, np.ndarray],
    *,
    oracle: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw measures against one hyperparameter, a panel each, with the oracle's value dashed.

    Numbers that span a factor of 20 or more get a log axis; words (``'uniform'``, ``'patches'``)
    stand side by side and are not joined by a line.

    Args:
      name: the hyperparameter.
      values: its V values.
      measures: what is on the vertical axis, unit included, -> float [V, seeds]; NaN where a run
        is missing.
      oracle: the oracle's value under the same names.
      title: heading; None makes one from the name.

    Raises:
      InputError: if there is nothing to draw or a measure is not [V, seeds].
    """
    if not len(values) or not measures:
        raise InputError(
            f"{name}: {len(values)} values, {len(measures)} measures: expected at least one each"
        )
    arrays = {key: np.asarray(array, float) for key, array in measures.items()}
    for key, array in arrays.items():
        if array.ndim != 2 or len(array) != len(values) or not np.isfinite(array).any():
            raise InputError(
                f"measures[{key!r}]: shape {array.shape}: expected [{len(values)}, seeds], a row "
                f"for each value of {name}, with a finite number"
            )
    numeric = all(isinstance(value, Real) for value in values)
    x = np.asarray(values, float) if numeric else np.arange(len(values), dtype=float)
    order = np.argsort(x, kind="stable")
    x = x[order]
    log = numeric and x[0] > 0 and x[-1] >= 20 * x[0]

    columns = 2 if len(arrays) == 4 else min(3, len(arrays))
    rows = -(-len(arrays) // columns)
    figure = new_figure(0.35 + 2.3 * rows)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes, (key, array) in zip(grid.flat, arrays.items(), strict=False):
        tidy(axes)
        keep = np.isfinite(array[order]).any(1)
        shown, at = array[order][keep], x[keep]
        mean = np.nanmean(shown, 1)
        low, high = np.nanmin(shown, 1), np.nanmax(shown, 1)
        if numeric:
            axes.fill_between(at, low, high, color=BLUE, alpha=0.18, lw=0)
        else:
            axes.vlines(at, low, high, color=BLUE, lw=1.6)
        axes.plot(at, mean, "o" + "-" * numeric, color=BLUE, lw=1.7, ms=5, label=key)
        if log:
            axes.set_xscale("log")
        _value_ticks(axes, x, [str(v) for v in np.asarray(values)[order]], numeric=numeric, log=log)
        level = (oracle or {}).get(key)
        if level is not None and np.isfinite(level):
            axes.axhline(level, color=INK, ls="--", lw=1.6, label="oracle")
        axes.set_title(key, loc="left", size=LABEL, pad=4)
        axes.margins(y=0.12)
    for axes in grid.flat[len(arrays) :]:
        axes.remove()
    for column in range(columns):
        last = (len(arrays) - 1 - column) // columns
        grid[last, column].tick_params(labelbottom=True)
    figure.supxlabel(name, size=LABEL)
    dashed = "Dashed: the oracle. " if oracle else ""
    counts = [int(np.isfinite(array).sum(1).max()) for array in arrays.values()]
    set_title(figure, title or f"Sensitivity to {name}", (dashed + seeds_note(counts)).strip())
    return figure


def _value_ticks(
    axes: Axes, x: np.ndarray, texts: Sequence[str], *, numeric: bool, log: bool
) -> None:
    """Tick the very values that were run, unless they are too many to be read."""
    if not numeric:
        axes.set_xticks(x, texts, rotation=25, ha="right", size=SMALL)
        axes.set_xlim(x[0] - 0.5, x[-1] + 0.5)
    elif len(x) == 1 or (log and len(x) <= 6) or np.diff(x).min() > 0.12 * (x[-1] - x[0]):
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
