"""The course of an unlearning run: forget accuracy of all methods, MU-Mis's sensitivities."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name, history_unit
from jax_unlearn.report.figures.style import (
    BLUE,
    COMPACT,
    GREEN,
    GREY,
    INK,
    LABEL,
    LIGHT,
    ORANGE,
    SKY,
    SMALL,
    VERMILLION,
    Style,
    log_ticks,
    new_figure,
    new_panels,
    seed_values,
    seeds_note,
    set_title,
    styles,
    tidy,
)
from jax_unlearn.wording import counted

_COMPARABLE = 4.0
"""Up to this ratio of the longest to the shortest run, epochs share one axis without cramping."""


_TOGETHER = 14
"""More methods than that have a panel each: their lines and words would hide each other."""

_PAIRED = 31
"""Letters of a legend's entries up to which two stand side by side."""


def carried_forward(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Continue seeds that stopped early at their last value, since that model is their result.

    Args:
      curve: float [seeds, epochs + 1], NaN after a seed's last epoch.

    Returns:
      The epochs that any seed reached, int [E], and the values there, float [seeds, E].
    """
    curve = np.asarray(curve, float)
    curve = curve[np.isfinite(curve).any(1)]
    epochs = np.flatnonzero(np.isfinite(curve).any(0))
    filled = curve.copy()
    for epoch in range(1, curve.shape[1]):
        missing = ~np.isfinite(filled[:, epoch])
        filled[missing, epoch] = filled[missing, epoch - 1]
    return epochs, filled[:, epochs]


def forget_accuracy_figure(
    curves: Mapping[str, np.ndarray],
    *,
    oracle: float | Sequence[float] | np.ndarray,
    original: float | Sequence[float] | np.ndarray,
    band: tuple[float, float] | None = None,
    title: str = "Forget accuracy during unlearning",
) -> Figure:
    """Draw every method's forget accuracy along its run, with the oracle's value to land on.

    The legend lists methods by their last value, so that it shows who ends above the oracle and
    who below. Runs of similar length share an axis of epochs, or of what else passes between two
    entries of their histories; otherwise the axis is the share of each method's own run. Methods
    without epochs are markers on the left. Above fourteen methods each has a panel of its own.

    Args:
      curves: name -> float [seeds, epochs + 1], percent; column 0 is before the first epoch, and
        NaN follows a run that stopped early. A one-shot method has the single column of its result.
      oracle: forget accuracy of the oracle, percent, one number or [seeds].
      original: forget accuracy of the original model, percent, one number or [seeds].
      band: ends of the null band of forget accuracy, percent; None shades the oracle's seeds from
        lowest to highest instead.
      title: heading.

    Raises:
      InputError: if there is no curve, or one is not [seeds, epochs + 1] or holds no number.
    """
    if not curves:
        raise InputError("curves={}: expected at least one method")
    for name, curve in curves.items():
        if np.ndim(curve) != 2 or not np.isfinite(curve).any():
            raise InputError(
                f"curves[{name!r}]: shape {np.shape(curve)}: expected [seeds, epochs + 1] in "
                "percent with a finite number; leave out a method that was not measured"
            )
    runs = {name: carried_forward(curve) for name, curve in curves.items()}
    oracle, original = seed_values("oracle", oracle), seed_values("original", original)
    draw = _together if len(runs) <= _TOGETHER else _apart
    figure = draw(runs, oracle, original, band)
    note = seeds_note([len(v) for _, v in runs.values()])
    grey = "" if band is None else "Grey: the null band of oracles among themselves. "
    set_title(
        figure, title, f"The aim is the oracle's line, neither above nor below it. {grey}{note}"
    )
    return figure


def _apart(
    runs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    oracle: np.ndarray,
    original: np.ndarray,
    band: tuple[float, float] | None,
) -> Figure:
    """One panel per method, as shares of its own run; one without epochs is a marker at its end."""
    figure, panels = new_panels(len(runs), columns=2, head=0.3, height=0.95, width=COMPACT)
    for axes, (name, style) in zip(panels, styles(runs).items(), strict=True):
        epochs, values = runs[name]
        tidy(axes)
        if band is not None:
            axes.axhspan(*band, color=GREY, alpha=0.22, lw=0, zorder=0)
        _level(axes, "oracle", oracle, shaded=band is None)
        _level(axes, "original", original)
        if epochs[-1]:
            _seeds(axes, 100.0 * epochs / epochs[-1], values, style)
        else:
            _one_shot_marker(axes, 100.0, values[:, -1], style)
        last = np.nanmean(values[:, -1])
        axes.set_title(f"{display_name(name)}  {last:.1f}", loc="left", size=SMALL, pad=3)
    panels[0].set_xlim(-3.0, 108.0)
    panels[0].set_xticks([0, 50, 100])
    _percent_axis(panels[0], np.concatenate([v.ravel() for _, v in runs.values()]), oracle)
    figure.supxlabel("share of the method's own run (%)", size=LABEL)
    figure.supylabel("forget accuracy (%), the last value behind each name", size=LABEL)
    return figure


def _together(
    runs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    oracle: np.ndarray,
    original: np.ndarray,
    band: tuple[float, float] | None,
) -> Figure:
    """All methods on one pair of axes, with a legend below."""
    span = _span(runs)
    figure = new_figure(3.2 + 0.18 * (len(runs) + 3) / 2, width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes)
    if band is not None:
        axes.axhspan(*band, color=GREY, alpha=0.22, lw=0, zorder=0)
    lines = [
        _level(axes, "oracle", oracle, shaded=band is None),
        _level(axes, "original", original),
    ]
    lines += [_run(axes, name, *runs[name], span, style) for name, style in styles(runs).items()]
    _finish_span(axes, span)
    _percent_axis(axes, np.concatenate([v.ravel() for _, v in runs.values()]), oracle, original)
    axes.set_ylabel("forget accuracy (%)", size=LABEL)
    longest = max(len(str(line.get_label())) for line in lines)
    axes.legend(
        handles=sorted(lines, key=lambda line: -float(np.asarray(line.get_ydata())[-1])),
        loc="upper center",
        bbox_to_anchor=(0.46, 0.0),
        # Below the axis's words by a length, not by a share: the layout then finds room at once.
        bbox_transform=axes.transAxes + ScaledTranslation(0, -0.42, figure.dpi_scale_trans),
        ncols=2 if longest <= _PAIRED else 1,
        frameon=False,
        fontsize=SMALL,
        handlelength=2.6,
        handletextpad=0.5,
        columnspacing=0.8,
        title="last value (%), highest first",
        title_fontsize=SMALL,
        alignment="left",
    )
    return figure


class _Span(NamedTuple):
    """The axis of epochs, or of shares of them, with slots left of 0 for one-shot methods.

    Attributes:
      unit: what is counted; '' for the share of each method's own run, percent.
      extent: its right end.
      one_shot: the methods in the slots, from the right.
      slot: width of a slot.
      start: right end of the slots.
    """

    unit: str
    extent: float
    one_shot: list[str]
    slot: float
    start: float


def _span(runs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> _Span:
    """Lay out the horizontal axis for runs of (epochs, values)."""
    lengths = [int(epochs[-1]) for epochs, _ in runs.values() if epochs[-1]]
    units = {history_unit(name) for name, (epochs, _) in runs.items() if epochs[-1]} or {"epoch"}
    comparable = max(lengths, default=1) <= _COMPARABLE * min(lengths, default=1)
    unit = units.pop() if len(units) == 1 and comparable else ""
    extent = float(max(lengths, default=1)) if unit else 100.0
    one_shot = [name for name, (epochs, _) in runs.items() if not epochs[-1]]
    # Wide enough for the word under the slots not to touch the 0 beside it.
    slot = extent * max(0.06, 0.24 / max(len(one_shot), 1))
    return _Span(unit, extent, one_shot, slot, -0.02 * extent)


def _level(axes: Axes, name: str, values: np.ndarray, *, shaded: bool = True) -> Line2D:
    """Draw the oracle's or the original's level, with a band over its seeds where asked for."""
    style = styles([name])[name]
    wide = 2.2 if name == "oracle" else 1.6
    line = axes.axhline(values.mean(), color=style.colour, ls=style.dash, lw=wide, zorder=3)
    line.set_label(f"{name}  {values.mean():.1f}")
    if shaded and len(values) > 1:
        axes.axhspan(values.min(), values.max(), color=style.colour, alpha=0.10, lw=0)
    return line


def _run(
    axes: Axes, name: str, epochs: np.ndarray, values: np.ndarray, span: _Span, style: Style
) -> Line2D:
    """Draw one method: its mean over seeds and their band, or a marker for a one-shot one."""
    label = f"{display_name(name)}  {np.nanmean(values[:, -1]):.1f}"
    if name in span.one_shot:
        slot = span.start - span.slot * (0.5 + span.one_shot.index(name))
        line = _one_shot_marker(axes, slot, values[:, -1], style)
    else:
        if not span.unit:
            label += f"  ({_counted(epochs[-1], history_unit(name))})"
        line = _seeds(axes, epochs * (1.0 if span.unit else 100.0 / epochs[-1]), values, style)
    line.set_label(label)
    return line


def _seeds(axes: Axes, x: np.ndarray, values: np.ndarray, style: Style) -> Line2D:
    """Draw a method's mean over seeds, and a band from the lowest to the highest."""
    mean = values.mean(0) if np.isfinite(values).all() else np.nanmean(values, 0)
    line = _curve(axes, x, mean, style)
    if len(values) > 1:
        low, high = np.nanmin(values, 0), np.nanmax(values, 0)
        axes.fill_between(x, low, high, color=style.colour, alpha=0.13, lw=0, zorder=1)
    return line


def _counted(count: int, unit: str) -> str:
    """As briefly as a legend needs it: ``5 ep.``, ``40 looks``."""
    return f"{count} ep." if unit == "epoch" else counted(int(count), unit)


def _finish_span(axes: Axes, span: _Span) -> None:
    """Give the horizontal axis its limits and ticks, and the one-shot methods their ground."""
    if not span.unit:
        axes.set_xlabel("share of the method's own run (%)", size=LABEL)
        ticks = np.linspace(0, 100, 6)
    else:
        axes.set_xlabel(span.unit, size=LABEL)
        ticks = np.asarray(MaxNLocator(nbins=10, integer=True).tick_values(0, span.extent))
    labels = {float(tick): f"{tick:g}" for tick in ticks if 0 <= tick <= span.extent}
    left = span.start
    if span.one_shot:
        left -= span.slot * len(span.one_shot)
        axes.axvspan(left, span.start, color=LIGHT, alpha=0.35, lw=0, zorder=0)
        labels[span.start - span.slot * len(span.one_shot) / 2] = "one-shot"
    axes.set_xticks(list(labels), labels.values())
    axes.set_xlim(left, span.extent * 1.03)


def mumis_figure(
    history: Sequence[Mapping[str, Any]],
    *,
    stop_step: int | None = None,
    stop_ratio: float | None = None,
    oracle: Mapping[str, float] | None = None,
    title: str = "MU-Mis: sensitivities and accuracies",
) -> Figure:
    """Draw the two sensitivities that MU-Mis trades, the accuracies, and where it stopped.

    Args:
      history: one entry per measurement with ``step`` and any of ``sensitivity_label``,
        ``sensitivity_irrelevant`` (mean squared norm of the input gradient of one logit over the
        forget set), ``retain_accuracy``, ``forget_accuracy``, ``test_accuracy`` (percent). A value
        that is absent, None or not finite is skipped. ``sensitivity_ratio``, true class over
        irrelevant classes before the first step, stands for the true class's value there where that
        is absent. Sensitivities are drawn as norms, in which the stop rule's ratio is taken, with
        the true class's first as unit.
      stop_step: the step whose weights the method returned.
      stop_ratio: multiple of its first value that the norm for the irrelevant classes must reach.
      oracle: the oracle's accuracies under the same keys, percent.
      title: heading.

    Raises:
      InputError: if no entry holds a step and a sensitivity or an accuracy.
    """
    history = _with_start(history)
    lines = {key: _series(history, key) for key in (*_SENSITIVITIES, *_ACCURACIES)}
    if not any(len(steps) for steps, _ in lines.values()):
        raise InputError(
            f"history: {len(history)} entries: expected 'step' and at least one of "
            f"{', '.join(lines)} in some of them"
        )
    unit = next(iter(lines["sensitivity_label"][1]), 1.0)
    lines |= {key: (lines[key][0], lines[key][1] / unit) for key in _SENSITIVITIES}
    stop = {} if stop_step is None else {"color": INK, "lw": 1.2, "ls": (0, (2, 2)), "zorder": 1}
    panels = [keys for keys in (_SENSITIVITIES, _ACCURACIES) if any(len(lines[k][0]) for k in keys)]
    figure = new_figure(2.4 * len(panels), width=COMPACT)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, keys in zip(grid, panels, strict=True):
        tidy(axes)
        for key, (text, style) in keys.items():
            if len(lines[key][0]):
                _curve(axes, *lines[key], style).set_label(text)
        if keys is _SENSITIVITIES:
            _finish_sensitivities(axes, lines["sensitivity_irrelevant"][1], stop_ratio)
        else:
            _finish_accuracies(axes, [lines[key][1] for key in keys], oracle or {})
        if stop:
            label = f"stop, step {stop_step}" if axes is grid[0] else None
            axes.axvline(stop_step, label=label, **stop)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.04, 0.99),
            ncols=2,
            frameon=False,
            fontsize=SMALL,
            columnspacing=0.8,
            handletextpad=0.5,
            handlelength=1.8,
        )
    grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    grid[-1].set_xlabel("step", size=LABEL)
    note = "Above: how much the forget images' logits depend on the image. "
    first, other = (lines[key] for key in _SENSITIVITIES)
    if len(first[0]) and len(other[0]) and first[0][0] == other[0][0]:
        ratio = (first[1][0] / other[1][0]) ** 2
        note += f"The original's ratio a/b of squared norms: {ratio:.3g}. "
    dashed = "Accuracies: the oracle's dashed." if oracle else ""
    set_title(figure, title, (note if panels[0] is _SENSITIVITIES else "") + dashed)
    return figure


_SENSITIVITIES = {
    "sensitivity_label": ("true class (to fall)", Style(ORANGE, "-", "o")),
    "sensitivity_irrelevant": ("irrelevant classes (to rise)", Style(SKY, "-", "s")),
}
_ACCURACIES = {
    "retain_accuracy": ("retain", Style(BLUE, "-", "^")),
    "test_accuracy": ("test", Style(GREEN, "-", "D")),
    "forget_accuracy": ("forget", Style(VERMILLION, "-", "v")),
}


def _with_start(history: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Complete the first entry by what its ratio of sensitivities says of the true class."""
    if not history:
        return history
    first = history[0]
    other, ratio = (first.get(name) for name in ("sensitivity_irrelevant", "sensitivity_ratio"))
    if first.get("sensitivity_label") is not None or other is None or ratio is None:
        return history
    return [{**first, "sensitivity_label": other * ratio}, *history[1:]]


def _series(history: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Take steps and values of one quantity where it was measured and its axis can show it."""
    pairs = [(h["step"], h[key]) for h in history if h.get(key) is not None and "step" in h]
    steps, values = np.array(pairs, float).reshape(-1, 2).T
    keep = np.isfinite(values) & ((values > 0) | (key in _ACCURACIES))
    steps, values = steps[keep], values[keep]
    return steps, values if key in _ACCURACIES else np.sqrt(values)


def _finish_sensitivities(axes: Axes, irrelevant: np.ndarray, stop_ratio: float | None) -> None:
    """Give the panel of sensitivities its log axis and the level at which the method may stop."""
    if stop_ratio is not None and len(irrelevant):
        text = f"may stop at {stop_ratio:.3g} x its start"
        axes.axhline(stop_ratio * irrelevant[0], color=SKY, ls=":", lw=1.4, label=text)
    axes.set_yscale("log")
    log_ticks(axes.yaxis, *axes.get_ylim(), room=2.0)
    axes.set_ylabel("norm of input gradient\n(true class's first = 1)", size=LABEL)


def _finish_accuracies(
    axes: Axes, drawn: Sequence[np.ndarray], oracle: Mapping[str, float]
) -> None:
    """Give the panel of accuracies the oracle's lines and its limits."""
    known = (key for key in _ACCURACIES if oracle.get(key) is not None)
    levels = {key: oracle[key] for key in known if np.isfinite(oracle[key])}
    for key, level in levels.items():
        text, style = _ACCURACIES[key]
        label = f"{text}, oracle {level:.1f}"
        axes.axhline(level, color=style.colour, ls="--", lw=1.2, label=label)
    axes.set_ylabel("accuracy (%)", size=LABEL)
    _percent_axis(axes, *drawn, np.array(list(levels.values())))


def _curve(axes: Axes, x: np.ndarray, y: np.ndarray, style: Style) -> Line2D:
    """Draw a line with about ten markers; the last point is larger, for there the run ended."""
    every = max(1, len(x) // 10)
    shape: dict[str, Any] = {"color": style.colour, "marker": style.marker, "zorder": 4}
    (line,) = axes.plot(x, y, ls=style.dash, lw=1.7, ms=4.5, markevery=every, **shape)
    axes.plot(x[-1:], y[-1:], ls="none", ms=7.5, mec="white", mew=0.8, clip_on=False, **shape)
    return line


def _one_shot_marker(axes: Axes, x: float, values: np.ndarray, style: Style) -> Line2D:
    """Draw a marker at the mean with a bar from the lowest to the highest seed."""
    axes.vlines(x, values.min(), values.max(), color=style.colour, lw=1.4, zorder=3)
    (line,) = axes.plot(
        [x],
        [values.mean()],
        ls="none",
        marker=style.marker,
        color=style.colour,
        ms=7.5,
        mec="white",
        mew=0.8,
        zorder=5,
    )
    return line


def _percent_axis(axes: Axes, *values: np.ndarray) -> None:
    """Limit a percent axis to what is drawn, with air, and never far outside 0..100."""
    every = np.concatenate([np.ravel(v) for v in values])
    low, high = np.nanmin(every), np.nanmax(every)
    air = max(0.05 * (high - low), 0.5)
    axes.set_ylim(max(low - air, -2.5), min(high + air, 102.5))
