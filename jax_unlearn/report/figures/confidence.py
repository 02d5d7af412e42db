"""Confidences under many models: pooled as densities, and model by model for single examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.report.figures.style import (
    COMPACT,
    GREY,
    INK,
    LABEL,
    LIGHT,
    SMALL,
    new_panels,
    set_title,
    styles,
    tidy,
)

_AXIS = "confidence, log(p / (1 - p))"


def kernel_density(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return a Gaussian kernel estimate of a density, float64 [G].

    The width follows Silverman's rule ("Density Estimation", 1986), and is at least a hundredth of
    the range of ``at``, so that equal values give a narrow peak instead of none.

    Args:
      values: float [N], finite, N >= 1.
      at: float [G], ascending, where to estimate.
    """
    quarter = np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.34
    spread = min(values.std(), quarter) if quarter > 0 else values.std()
    width = max(0.9 * spread * len(values) ** -0.2, (at[-1] - at[0]) / 100)
    z = (at[:, None] - values[None]) / width
    return np.exp(-0.5 * z**2).mean(1) / (width * np.sqrt(2 * np.pi))


def density_figure(
    confidences: Mapping[str, Sequence[float]],
    *,
    title: str = "Confidences on the forget set",
) -> Figure:
    """Draw the density of each model's confidences over the oracle's, one panel per model.

    Args:
      confidences: name -> confidences of forget examples pooled over models, [N]; the oracle's
        under ``'oracle'``. Not finite ones are left out.
      title: heading.

    Raises:
      InputError: if there is no oracle, nothing besides it, or a model without a finite value.
    """
    others = [name for name in confidences if name != "oracle"]
    if not others or len(others) == len(confidences):
        raise InputError(f"confidences of {list(confidences)}: expected 'oracle' and another model")
    values = {name: _finite(name, given) for name, given in confidences.items()}
    low, high = _limits(values.values())
    at = np.linspace(low, high, 161)
    reference = kernel_density(values["oracle"], at)
    densities = {name: kernel_density(values[name], at) for name in others}

    figure, panels = new_panels(len(others), columns=2, head=0.55, height=1.2, width=COMPACT)
    # One model that always answers the same must not flatten all other panels.
    peaks = [float(d.max()) for d in densities.values()]
    top = max(float(reference.max()), min(max(peaks), 2 * float(np.median(peaks))))
    panels[0].set_ylim(0, 1.08 * top)
    looks = styles(others)
    for axes, name in zip(panels, others, strict=True):
        tidy(axes, grid="x")
        axes.set_xlim(low, high)
        axes.set_yticks([])
        axes.fill_between(at, reference, color=LIGHT, lw=0, label="oracle")
        axes.plot(at, reference, color=INK, lw=1.1, ls="--")
        colour, dash, _ = looks[name]
        axes.plot(at, densities[name], color=colour, ls=dash, lw=1.8)
        weight = "bold" if name == "original" else "normal"
        axes.set_title(display_name(name), loc="left", size=LABEL, weight=weight, pad=3)
        if densities[name].max() > 1.08 * top:
            where: dict[str, Any] = {"transform": axes.transAxes, "size": SMALL, "color": GREY}
            axes.text(0.03, 0.86, "peak cut", **where)
    figure.supxlabel(_AXIS, size=LABEL)
    set_title(
        figure,
        title,
        "Right: surer of the true class. Grey with dashes: the oracles. The aim: a curve that "
        "covers theirs.",
    )
    return figure


def strip_figure(
    examples: Sequence[Mapping[str, Any]],
    *,
    title: str = "Single forget examples",
) -> Figure:
    """Draw the confidence in single forget examples under every model, one panel per example.

    Each stroke is one model. The grey band holds the middle 95 % of the oracles.

    Args:
      examples: mappings with ``id``, ``label``, ``models``: name -> confidences [n], one per
        model, ``'oracle'`` among them. All examples name the same models.
      title: heading.

    Raises:
      InputError: if there is no example, an example has no oracle, or names other models.
    """
    if not examples:
        raise InputError("examples=[]: expected at least one forget example")
    names = list(examples[0]["models"])
    for example in examples:
        if set(example["models"]) != set(names) or "oracle" not in names:
            raise InputError(
                f"example {example['id']}: models {sorted(example['models'])}: expected 'oracle' "
                f"and the same models in every example, here {sorted(names)}"
            )
    order = [name for name in ("oracle", "original") if name in names]
    order += [name for name in names if name not in order]
    values = [
        {name: np.asarray(example["models"][name], float) for name in order} for example in examples
    ]
    low, high = _limits([v[np.isfinite(v)] for model in values for v in model.values()], 0.002)

    height = 0.38 + 0.135 * len(order)
    figure, panels = new_panels(len(examples), columns=2, head=0.35, height=height, width=COMPACT)
    panels[0].set_xlim(low, high)
    panels[0].set_ylim(len(order) - 0.4, -0.6)
    looks = styles(order)
    for axes, example, models in zip(panels, examples, values, strict=True):
        tidy(axes, grid="x")
        axes.set_yticks(range(len(order)), [display_name(name) for name in order])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        label = f"id {example['id']}, class {example['label']}"
        axes.set_title(label, loc="left", size=SMALL, pad=2)
        oracle = models["oracle"][np.isfinite(models["oracle"])]
        if oracle.size:
            axes.axvspan(*np.quantile(oracle, [0.025, 0.975]), color=LIGHT, lw=0, zorder=0)
        for row, name in enumerate(order):
            finite = models[name][np.isfinite(models[name])]
            _strokes(axes, np.clip(finite, low, high), row, looks[name].colour)
    figure.supxlabel(_AXIS, size=LABEL)
    set_title(
        figure,
        title,
        "One stroke per model; grey: the middle 95 % of the oracles. Strokes right of it: the "
        "model still knows the example; left of it: it forgot more than retraining does.",
    )
    return figure


def _strokes(axes: Any, values: np.ndarray, row: int, colour: str) -> None:
    """Draw one short upright stroke per value, all as a single path; few strokes are bolder."""
    few = len(values) <= 16
    x = np.repeat(np.round(values, 3), 3)
    y = np.tile([row - 0.36, row + 0.36, np.nan], len(values))
    axes.plot(
        x,
        y,
        color=colour,
        lw=1.6 if few else 0.8,
        alpha=0.9 if few else 0.6,
        solid_capstyle="butt",
        zorder=3,
    )


def _finite(name: str, given: Sequence[float]) -> np.ndarray:
    """Take the finite confidences of one model."""
    values = np.asarray(given, float).reshape(-1)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise InputError(f"confidences[{name!r}]: no finite number among {values.size}: leave out")
    return finite


def _limits(samples: Any, tail: float = 0.005) -> tuple[float, float]:
    """Choose an axis that holds all but the farthest tails."""
    every = np.concatenate(list(samples))
    if not every.size:
        raise InputError("confidences: no finite number: nothing to draw")
    low, high = np.quantile(every, [tail, 1 - tail])
    margin = 0.06 * (high - low) or 1.0
    return float(low - margin), float(high + margin)
