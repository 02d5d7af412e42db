"""What the forget image's share of a hybrid is taken for, with and without injected information."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.report.figures.style import (
    COMPACT,
    INK,
    LABEL,
    new_figure,
    seed_values,
    set_title,
    styles,
    tidy,
)


class MaskedRow(NamedTuple):
    """One row of the figure.

    Attributes:
      name: of the model or method; decides colour and marker.
      injected: whether its hybrids hold the retain image; None where that is no question, as of
        the oracle.
      forget: forget accuracy (FA), percent, one per seed.
      masked: accuracy on the masked forget part against its hybrid's label (PFA), percent, one per
        seed.
    """

    name: str
    injected: bool | None
    forget: Sequence[float]
    masked: Sequence[float]


def masked_forget_figure(
    rows: Sequence[MaskedRow],
    *,
    title: str = "What the masked forget image is taken for",
) -> Figure:
    """Draw FA and PFA of each row side by side, with the oracle's values dashed.

    Args:
      rows: from the top; the oracle's is named ``'oracle'``.
      title: heading.

    Raises:
      InputError: if there is no row, or a row without a finite value.
    """
    if not rows:
        raise InputError("rows=[]: expected at least one model")
    figure = new_figure(0.75 + 0.36 * len(rows), width=COMPACT)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (field, label) in zip(panels, _PANELS.items(), strict=True):
        tidy(axes, grid="x")
        for height, row in enumerate(rows):
            values = seed_values(f"{field} of {row.name}", getattr(row, field))
            axes.axhline(height, color="#efefef", lw=0.8, zorder=0)
            style = styles([row.name])[row.name]
            look: dict[str, Any] = {"marker": style.marker, "color": style.colour, "ls": "none"}
            if row.injected is False:
                look |= {"mfc": "white", "mew": 1.6}
            axes.hlines(height, values.min(), values.max(), color=style.colour, lw=2.0, zorder=3)
            axes.plot([values.mean()], [height], ms=7.5, zorder=4, clip_on=False, **look)
            if row.name == "oracle":
                axes.axvline(values.mean(), color=INK, ls="--", lw=1.3, zorder=2)
        axes.set_xlim(-3, 103)
        axes.set_xticks([0, 50, 100])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(label, size=LABEL)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=LABEL)
    panels[0].set_yticks(range(len(rows)), [_words(row) for row in rows])
    seeds = max(len(row.forget) for row in rows)
    note = " Marker: mean over seeds; bar: lowest to highest." if seeds > 1 else ""
    set_title(
        figure,
        title,
        "PFA: the hybrid's label is given to the masked forget image alone, x_f * m, on black. "
        "Filled: trained with the retain image injected; hollow: without. Dashed: the oracle."
        + note,
    )
    return figure


_PANELS = {"forget": "FA (%)", "masked": "PFA (%)"}


def _words(row: MaskedRow) -> str:
    """Name a row on at most two lines."""
    if row.injected is None:
        return display_name(row.name)
    return f"{display_name(row.name)}\n{'with' if row.injected else 'no'} injection"
