"""How results move with one hyperparameter, or with two."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.style import (
    BLUE,
    COMPACT,
    GREEN,
    GREY,
    INK,
    LABEL,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    VERMILLION,
    legend_below,
    new_figure,
    seeds_note,
    set_title,
    tidy,
)

_LOOKS = tuple(
    zip(
        (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY),
        ("o", "s", "^", "D", "v", "P"),
        strict=True,
    )
)
"""Colour and marker of each line."""


class _Scale(NamedTuple):
    """Where the values of the hyperparameter stand.

    Attributes:
      x: float [V], increasing.
      order: int [V], the values' positions in the order of ``x``.
      texts: of the values, in the order of ``x``.
      numeric: whether they are numbers, which a line may join.
      log: whether the axis is logarithmic.
    """

    x: np.ndarray
    order: np.ndarray
    texts: list[str]
    numeric: bool
    log: bool


def sweep_figure(
    name: str,
    values: Sequence[Any],
    measures: Mapping[str, np.ndarray],
    *,
    lines: Mapping[str, Sequence[Any]] | None = None,
    oracle: Mapping[str, float] | None = None,
    bands: Mapping[str, tuple[float, float]] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw measures against one hyperparameter, a panel each, with the oracle's value dashed.

    Numbers that span a factor of 10 or more get a log axis; words (``'uniform'``, ``'patches'``)
    stand side by side and are not joined by a line. The figure is as narrow as a phone shows whole.

    Args:
      name: the hyperparameter.
      values: its V values.
      measures: what is on the vertical axis, unit included, -> float [V, seeds], or [L, V, seeds]
        with ``lines``; NaN where a run is missing.
      lines: name of a second hyperparameter -> its L values, at most six, each a line.
      oracle: the oracle's value under the same names.
      bands: where further oracles would fall, low and high, under the same names; shaded.
      title: heading; None makes one from the name.

    Raises:
      InputError: if there is nothing to draw, a measure is not [V, seeds] or [L, V, seeds], or
        there are more than six lines.
    """
    ((other, levels),) = (lines or {"": [""]}).items()
    _check(name, values, measures, levels, lined=lines is not None)
    shape = (len(levels), len(values), -1)
    arrays = {key: np.asarray(array, float).reshape(shape) for key, array in measures.items()}
    scale = _scale(values)
    figure = new_figure(0.35 + 1.9 * len(arrays), width=COMPACT)
    panels = figure.subplots(len(arrays), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (key, array) in zip(panels, arrays.items(), strict=True):
        tidy(axes)
        if (bands or {}).get(key) is not None:
            axes.axhspan(*bands[key], color=GREY, alpha=0.22, lw=0, label="null band")  # type: ignore[index]
        level = (oracle or {}).get(key)
        if level is not None and np.isfinite(level):
            axes.axhline(level, color=INK, ls="--", lw=1.4, label="oracle")
        labels = [f"{other} {value_text(value)}" for value in levels] if lines else [key]
        _draw(axes, scale, array, labels)
        if scale.log:
            axes.set_xscale("log")
        _value_ticks(axes, scale)
        axes.set_title(key, loc="left", size=LABEL, pad=4)
        axes.margins(y=0.12)
    panels[-1].set_xlabel(name, size=LABEL)
    if lines:
        legend_below(figure)
    counts = [int(np.isfinite(array).sum(2).max()) for array in arrays.values()]
    notes = ["Dashed: the oracle." * bool(oracle), "Grey: null band of retraining." * bool(bands)]
    note = " ".join(filter(None, [*notes, seeds_note(counts)]))
    set_title(figure, title or f"Sensitivity to {name}", note)
    return figure


def settings_figure(
    fields: Mapping[str, Sequence[Any]],
    name: str,
    measure: np.ndarray,
    *,
    oracle: float | None = None,
    band: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one measure of many settings, a dot each, against every hyperparameter in turn.

    Args:
      fields: hyperparameter -> its value in each of the S settings.
      name: of the measure, unit included.
      measure: float [S, seeds]; NaN where a run is missing. Dots are means over seeds.
      oracle: the oracle's value.
      band: where further oracles would fall.
      title: heading; None makes one from the measure.

    Raises:
      InputError: if there is nothing to draw, or a hyperparameter has not a value for each setting.
    """
    array = np.asarray(measure, float)
    rows = np.isfinite(array).any(1) if array.ndim == 2 else np.zeros(0, bool)
    if not fields or not rows.any():
        raise InputError(f"measure: shape {array.shape}: expected [settings, seeds] and a field")
    means = np.nanmean(array[rows], 1)
    figure = new_figure(0.35 + 1.8 * len(fields), width=COMPACT)
    panels = figure.subplots(len(fields), 1, sharey=True, squeeze=False)[:, 0]
    for axes, (field, values) in zip(panels, fields.items(), strict=True):
        if len(values) != len(rows):
            raise InputError(
                f"fields: {len(values)} of {field}: expected {len(rows)}, a setting each"
            )
        tidy(axes)
        numeric = all(isinstance(v, Real) and not isinstance(v, bool) for v in values)
        distinct = [*dict.fromkeys(values)]
        scale = _scale(distinct)
        places = dict(zip((distinct[i] for i in scale.order), scale.x, strict=True))
        at = np.array([places[value] for value in values])[rows]
        if band is not None:
            axes.axhspan(*band, color=GREY, alpha=0.22, lw=0)
        if oracle is not None and np.isfinite(oracle):
            axes.axhline(oracle, color=INK, ls="--", lw=1.4)
        axes.plot(at, means, "o", color=BLUE, ms=4.5, alpha=0.75, label=field)
        if scale.log:
            axes.set_xscale("log")
        if not numeric or len(distinct) <= 6:
            _value_ticks(axes, scale)
        axes.set_title(field, loc="left", size=LABEL, pad=4)
        axes.margins(y=0.12)
    figure.supylabel(name, size=LABEL)
    note = ["Dashed: the oracle." * (oracle is not None), "Grey: null band." * (band is not None)]
    note.append("A dot is a setting, its mean over seeds.")
    set_title(figure, title or f"{name} of {len(rows)} settings", " ".join(filter(None, note)))
    return figure


def value_text(value: Any) -> str:
    """Write a hyperparameter's value as briefly as a reader needs it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, Real) else str(value)


def _check(
    name: str,
    values: Sequence[Any],
    measures: Mapping[str, np.ndarray],
    levels: Sequence[Any],
    *,
    lined: bool,
) -> None:
    if not len(values) or not measures:
        raise InputError(
            f"{name}: {len(values)} values, {len(measures)} measures: expected at least one each"
        )
    if not 1 <= len(levels) <= len(_LOOKS):
        raise InputError(
            f"lines: {len(levels)} values: expected 1 to {len(_LOOKS)}; leave some out"
        )
    expected = [len(levels), len(values)] if lined else [len(values)]
    words = ", ".join(map(str, expected))
    for key, array in measures.items():
        shape = np.shape(array)
        whole = len(shape) == len(expected) + 1 and list(shape[:-1]) == expected
        if not whole or not np.isfinite(np.asarray(array, float)).any():
            raise InputError(
                f"measures[{key!r}]: shape {shape}: expected [{words}, seeds], a row for each "
                f"value of {name}, with a finite number"
            )


def _scale(values: Sequence[Any]) -> _Scale:
    numeric = all(isinstance(v, Real) and not isinstance(v, bool) for v in values)
    x = np.asarray(values, float) if numeric else np.arange(len(values), dtype=float)
    order = np.argsort(x, kind="stable")
    x = x[order]
    log = numeric and x[0] > 0 and x[-1] >= 9.99 * x[0]
    return _Scale(x, order, _tick_texts([values[i] for i in order]), numeric, bool(log))


def _tick_texts(values: Sequence[Any]) -> list[str]:
    """Write values as briefly as they can be told apart."""
    texts = [value_text(value) for value in values]
    short = [
        f"{v:.2g}" if isinstance(v, float) and abs(v) < 1 else t
        for v, t in zip(values, texts, strict=True)
    ]
    return short if len(set(short)) == len(set(texts)) else texts


def _draw(axes: Axes, scale: _Scale, array: np.ndarray, labels: Sequence[str]) -> None:
    """Draw one measure, float [L, V, seeds], a line for each label."""
    middle = (len(labels) - 1) / 2
    for k, (rows, label) in enumerate(zip(array[:, scale.order], labels, strict=True)):
        colour, marker = _LOOKS[k]
        keep = np.isfinite(rows).any(1)
        if not keep.any():
            continue
        shown, at = rows[keep], scale.x[keep]
        mean, low, high = np.nanmean(shown, 1), np.nanmin(shown, 1), np.nanmax(shown, 1)
        if scale.numeric:
            axes.fill_between(at, low, high, color=colour, alpha=0.18, lw=0)
        else:
            at = at + 0.12 * (k - middle)
            axes.vlines(at, low, high, color=colour, lw=1.6)
        line = marker + "-" * scale.numeric
        axes.plot(at, mean, line, color=colour, lw=1.7, ms=4.5, label=label)


def _value_ticks(axes: Axes, scale: _Scale) -> None:
    """Tick the very values that were run, unless they are too many to be read."""
    x = scale.x
    if not scale.numeric:
        slanted: dict[str, Any] = {"rotation": 25, "ha": "right"} if len(x) > 4 else {}
        axes.set_xticks(x, scale.texts, size=SMALL, **slanted)
        axes.set_xlim(x[0] - 0.5, x[-1] + 0.5)
        return
    at = np.log(x) if scale.log else x
    if len(x) == 1 or np.diff(at).min() > 0.11 * (at[-1] - at[0]):
        axes.set_xticks(x, scale.texts)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
