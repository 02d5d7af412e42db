"""Which pixels the true class rests on, before and after unlearning."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name
from jax_unlearn.report.figures.images import class_name, place_image, place_text
from jax_unlearn.report.figures.style import BLUE, COMPACT, GREY, VERMILLION, new_figure, set_title

ROWS, COLUMNS = 3, 4
"""Images that are drawn, and cells side by side."""

_CELL, _LEFT, _GAP, _LINE = 1.0, 0.12, 0.12, 0.16
"""Inches: side of a cell, margin, space between cells, height of a line of text."""
_SIGNED = LinearSegmentedColormap.from_list("relevance", (VERMILLION, "#ffffff", BLUE))
_LONGEST = 15
"""Letters that fit over a cell."""


def relevance_figure(
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    labels: np.ndarray,
    class_names: Sequence[str] = (),
    title: str = "Attention maps, relevance: input x gradient",
) -> Figure:
    """Draw forget images with the relevance of their pixels for the true class under each model.

    Every map has its own scale, symmetric about 0, that its 99th percentile fills: after unlearning
    logits may be much smaller or larger, and where a model looks is what is compared.

    Args:
      images: uint8 [n, H, W, C], C is 1 or 3; the first three are drawn.
      maps: name -> float [n, H, W], positive where a pixel speaks for the true class; in the order
        in which they are drawn, such as the original first.
      labels: int [n].
      class_names: name of each class.
      title: heading.

    Raises:
      InputError: if there is nothing to draw or the shapes do not belong together.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images) or images.shape[-1] not in (1, 3) or not maps:
        raise InputError(
            f"images: shape {images.shape}, maps of {len(maps)} models: expected [n, H, W, C] with "
            "n >= 1 and C 1 or 3, and one model or more"
        )
    for name, relevance in maps.items():
        if np.shape(relevance) != images.shape[:3]:
            raise InputError(
                f"maps[{name!r}]: shape {np.shape(relevance)}: expected {images.shape[:3]}, a map "
                "for each image"
            )
    shown = min(ROWS, len(images))
    lines = -(-(1 + len(maps)) // COLUMNS)
    step = _CELL + _GAP
    over = {name: textwrap.fill(display_name(name), _LONGEST) for name in maps}
    word = 0.04 + _LINE * (1 + max(words.count("\n") for words in over.values()))
    block = lines * (_CELL + word + 0.04)
    figure = new_figure(shown * (block + _GAP), width=COMPACT, constrained=False)
    head = set_title(
        figure,
        title,
        "Input times the gradient of the true class's logit. Blue pixels speak for the class, "
        "orange ones against it; each map on its own scale.",
    )
    for row in range(shown):
        name = class_name(class_names, int(labels[row]), _LONGEST)
        cells = [(name, images[row]), *((over[n], m[row]) for n, m in maps.items())]
        for index, (words, pixels) in enumerate(cells):
            x = _LEFT + step * (index % COLUMNS)
            y = head + row * (block + _GAP) + (index // COLUMNS) * (_CELL + word + 0.04)
            place_text(
                figure,
                x + _CELL / 2,
                y + word / 2,
                words,
                weight="bold" if not index else "normal",
            )
            corner = (x, y + word)
            if not index:
                place_image(figure, corner, _CELL, pixels, limits=(0.0, 255.0))
            elif np.isfinite(pixels).all():
                top = float(np.quantile(np.abs(pixels), 0.99)) or 1.0
                place_image(figure, corner, _CELL, pixels, limits=(-top, top), cmap=_SIGNED)
            else:
                middle = corner[1] + _CELL / 2
                place_text(figure, x + _CELL / 2, middle, "not finite", color=GREY)
    return figure
