"""How sure each model is: densities of softmax entropy on forget and on test images."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jax_unlearn.core import InputError, Predictions
from jax_unlearn.display import display_name
from jax_unlearn.report.figures.style import (
    BLUE,
    COMPACT,
    GREEN,
    GREY,
    LABEL,
    SMALL,
    VERMILLION,
    legend_below,
    log_ticks,
    new_panels,
    set_title,
    tidy,
)

_FLOOR = 1e-6
"""Nats. Below it float32 probabilities round to 0 and 1, and entropies differ by rounding only."""

_TALL = 2.0
"""Panels are cut off at this multiple of their median peak, but never below the first one's."""

_BANDWIDTH = 0.2
"""Decades: the standard deviation of the Gaussian kernel."""


def softmax_entropy(logits: np.ndarray) -> np.ndarray:
    """Entropy of softmax, float64 [N] in nats, of logits [N, K]; NaN for rows not finite."""
    logits = np.asarray(logits, float)
    finite = np.isfinite(logits).all(1)
    shifted = np.where(finite[:, None], logits, 0.0)
    shifted = shifted - shifted.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    entropy = -(np.exp(log_p) * log_p).sum(1)
    return np.where(finite, np.maximum(entropy, 0.0), np.nan)


def log_density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Smooth density per decade of values between two bounds, reflected there so that none is lost.

    Args:
      values: float [N], positive; outside the bounds they count at the bound.
      edges: float [G + 1], equally spaced exponents of ten; the bounds are the outer ones.

    Returns:
      float [G], at the middles of the cells; its integral over decades is 1.
    """
    exponents = np.log10(np.clip(values, 10 ** edges[0], 10 ** edges[-1]))
    counts, _ = np.histogram(np.clip(exponents, edges[0], edges[-1]), edges)
    cell = edges[1] - edges[0]
    reach = min(len(counts), math.ceil(4 * _BANDWIDTH / cell))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * cell / _BANDWIDTH) ** 2)
    padded = np.pad(counts.astype(float), reach, mode="symmetric")
    smooth = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return smooth / (counts.sum() * cell)


def entropy_figure(
    predictions: Mapping[str, Predictions],
    *,
    title: str = "How sure each model is of forget and of test images",
) -> Figure:
    """Draw the densities of softmax entropy on forget and test images, one panel per model.

    The axis is logarithmic, because a trained network's entropies spread over decades near zero,
    where a linear axis shows one spike. If the request forgets a whole class, the test images of
    that class are drawn apart.

    Args:
      predictions: name -> outputs of one model; ``'oracle'`` and ``'original'`` come first.
      title: heading.

    Raises:
      InputError: if ``predictions`` is empty, or no model has finite logits.
    """
    if not predictions:
        raise InputError("predictions={}: expected at least one model")
    first = [name for name in ("oracle", "original") if name in predictions]
    names = first + [name for name in predictions if name not in first]
    samples = {name: _samples(predictions[name]) for name in names}
    drawn = [values for groups in samples.values() for values in groups.values()]
    if not drawn:
        raise InputError(f"predictions of {', '.join(names)}: no finite logits: nothing to draw")
    classes = predictions[names[0]].forget.logits.shape[1]
    low = math.floor(math.log10(max(np.quantile(np.concatenate(drawn), 0.01), _FLOOR)))
    high = math.log10(math.log(classes))
    edges = np.linspace(low, high, 201)

    figure, panels = new_panels(len(names), columns=2, head=0.75, height=1.2, width=COMPACT)
    peaks = [
        _panel(axes, name, samples[name], edges) for axes, name in zip(panels, names, strict=True)
    ]
    # A model that is uniform everywhere is one spike; it must not flatten all other panels.
    top = min(max(peaks), max(peaks[0], _TALL * float(np.median(peaks))))
    panels[0].set_ylim(0, 1.05 * top)
    for axes, peak in zip(panels, peaks, strict=True):
        if peak > 1.05 * top:
            text = f"cut, peak {peak:.1f}"
            axes.text(0.03, 0.88, text, transform=axes.transAxes, size=SMALL, color=GREY)
    for axes in panels[-2:]:
        axes.set_xlabel("entropy (nats)", size=LABEL)
    figure.supylabel("density per decade", size=LABEL)
    legend_below(figure)
    set_title(
        figure,
        title,
        "Entropy of the softmax: left certain, right end uniform over classes. The aim: a forget "
        "density like the oracle's.",
    )
    return figure


def _samples(outputs: Predictions) -> dict[str, np.ndarray]:
    """Finite entropies by group of images; groups without any are left out."""
    forgotten = np.asarray(outputs.test_forgotten, bool)
    test = softmax_entropy(outputs.test.logits)
    groups = {"forget images (train)": softmax_entropy(outputs.forget.logits)}
    if forgotten.any():
        groups["test images, remaining classes"] = test[~forgotten]
        groups["test images, forgotten class"] = test[forgotten]
    else:
        groups["test images"] = test
    groups = {name: values[np.isfinite(values)] for name, values in groups.items()}
    return {name: values for name, values in groups.items() if values.size}


def _panel(axes: Axes, name: str, groups: dict[str, np.ndarray], edges: np.ndarray) -> float:
    """Draw one model, forget density filled, test densities as lines; return the highest peak."""
    tidy(axes)
    special = name in ("oracle", "original")
    axes.set_title(
        display_name(name), loc="left", size=LABEL, weight="bold" if special else "normal", pad=3
    )
    axes.set_xscale("log")
    axes.set_xlim(10 ** edges[0], 10 ** edges[-1])
    log_ticks(axes.xaxis, 10 ** edges[0], 10 ** edges[-1], room=1.0)
    x = 10 ** ((edges[1:] + edges[:-1]) / 2)
    peak = 0.0
    for group, values in groups.items():
        y = log_density(values, edges)
        peak = max(peak, float(y.max()))
        if group.startswith("forget"):
            axes.fill_between(x, y, color=VERMILLION, alpha=0.30, lw=0, label=group)
            axes.plot(x, y, color=VERMILLION, lw=1.4)
        elif group.endswith("forgotten class"):
            axes.plot(x, y, color=GREEN, lw=1.5, ls=(0, (1, 1)), label=group)
        else:
            axes.plot(x, y, color=BLUE, lw=1.5, ls=(0, (4, 1.5)), label=group)
    if not groups:
        axes.text(
            0.5,
            0.5,
            "no finite outputs",
            transform=axes.transAxes,
            ha="center",
            size=SMALL,
            color=GREY,
        )
    return peak
