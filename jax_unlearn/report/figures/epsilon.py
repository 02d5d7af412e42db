"""Epsilon per forget example: how many are safe, and how bad the worst ones are."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.report.figures.style import (
    COMPACT,
    GREY,
    LABEL,
    SMALL,
    draw_line,
    legend_below,
    new_figure,
    set_title,
    styles,
    tidy,
)


def epsilon_figure(
    epsilon: Mapping[str, Sequence[float]],
    *,
    cap: float = 50.0,
    title: str = "Epsilon per forget example",
) -> Figure:
    """Draw each model's epsilons sorted from high to low over the share of forget examples.

    Examples at the cap, which the attacker always tells apart, are drawn on a line of their own
    above all others, because their value is a convention and would flatten every curve.

    Args:
      epsilon: name -> one epsilon per forget example, [E], >= 0; not finite ones are left out.
        ``'oracle'`` is the reference: oracles against oracles.
      cap: the epsilon of an example that is always told apart.
      title: heading.

    Raises:
      InputError: if there is nothing to draw, or an epsilon is negative.
    """
    if not epsilon:
        raise InputError("epsilon={}: expected at least one model")
    values = {name: _finite(name, given) for name, given in epsilon.items()}
    every = np.concatenate(list(values.values()))
    below = every[every < cap]
    highest = float(below.max()) if below.size and below.max() > 0 else 1.0
    top = 1.2 * highest
    capped = bool((every >= cap).any())

    figure = new_figure(3.7, width=COMPACT)
    axes = figure.add_subplot()
    tidy(axes)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 1.08 * top if capped else 1.05 * highest)
    if capped:
        axes.axhline(top, color=GREY, lw=0.8, ls=":", zorder=1)
        text = f"always told apart (\u2265 {cap:g})"
        axes.text(99, top * 1.01, text, ha="right", va="bottom", size=SMALL, color=GREY)
        axes.set_yticks([tick for tick in axes.get_yticks() if tick < highest])
        axes.set_ylim(0, 1.12 * top)
    for name, style in styles(values).items():
        y = np.sort(values[name])[::-1]
        label = display_name(name)
        draw_line(
            axes,
            100 * (np.arange(len(y)) + 0.5) / len(y),
            np.where(y >= cap, top, y),
            name,
            style,
            markevery=max(1, len(y) // 5),
            label=f"{label} vs oracle" if name == "oracle" else label,
        )
    axes.set_xlabel("share of forget examples, worst first (%)", size=LABEL)
    axes.set_ylabel("epsilon", size=LABEL)
    legend_below(figure)
    set_title(
        figure,
        title,
        "Lower: harder to tell from retraining. Oracles against oracles are above 0 by chance; a "
        "method on their curve leaves no more trace than they do.",
    )
    return figure


def _finite(name: str, given: Sequence[float]) -> np.ndarray:
    """Take the finite epsilons of one model."""
    values = np.asarray(given, float).reshape(-1)
    values = values[np.isfinite(values)]
    if not values.size or values.min() < 0:
        raise InputError(
            f"epsilon[{name!r}]: {values.size} finite values, smallest "
            f"{values.min(initial=np.inf):g}: expected at least one, all >= 0"
        )
    return values
