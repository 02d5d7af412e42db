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

IMAGES = 3
"""Images that are drawn; a model's maps of all of them form a block."""

_ACROSS = {1: 5, 2: 3, 3: 2}
"""Blocks side by side, by their number of images."""

FEW = 13
"""Models up to which all images are drawn, above it the first one: no reader scrolls for more."""

_LEFT, _APART, _BETWEEN, _LINE = 0.06, 0.03, 0.14, 0.16
"""Inches: margin, space between cells and between blocks, height of a line."""
_SIGNED = LinearSegmentedColormap.from_list("relevance", (VERMILLION, "#ffffff", BLUE))
_LETTER = 0.067
"""Inches that a letter over a block takes, on average."""


def relevance_figure(
    images: np.ndarray,
    maps: Mapping[str, np.ndarray],
    *,
    labels: np.ndarray,
    class_names: Sequence[str] = (),
    title: str = "Attention maps, relevance: input x gradient",
) -> Figure:
    """Draw forget images with the relevance of their pixels for the true class under each model.

    Blocks of maps stand in a grid, one for each model, after one of the images. The place in a
    block tells the image, so that models are compared by looking from block to block. Every map has
    its own scale, symmetric about 0, that its 99th percentile fills: after unlearning logits may be
    much smaller or larger, and where a model looks is what is compared.

    Args:
      images: uint8 [n, H, W, C], C is 1 or 3; the first three are drawn, of many models the first
        one.
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
    shown = min(IMAGES, len(images)) if len(maps) <= FEW else 1
    across = _ACROSS[shown]
    wide = (COMPACT - 2 * _LEFT - (across - 1) * _BETWEEN) / across
    side = (wide - (shown - 1) * _APART) / shown
    longest = int(wide / _LETTER)
    classes = dict.fromkeys(class_name(class_names, int(c), longest) for c in labels[:shown])
    heads = [", ".join(classes), *map(display_name, maps)]
    heads = [textwrap.fill(words, longest) for words in heads]
    word = 0.04 + _LINE * (1 + max(words.count("\n") for words in heads))
    down = word + side + 0.06
    figure = new_figure(-(-len(heads) // across) * down, width=COMPACT, constrained=False)
    top = set_title(
        figure,
        title,
        "Input times the gradient of the true class's logit. Blue pixels speak for the class, "
        "orange ones against it; each map on its own scale.",
    )
    for index, (words, block) in enumerate(zip(heads, [images, *maps.values()], strict=True)):
        x = _LEFT + (index % across) * (wide + _BETWEEN)
        y = top + (index // across) * down
        weight = "normal" if index else "bold"
        place_text(figure, x + wide / 2, y + word / 2, words, weight=weight)
        for place, pixels in enumerate(block[:shown]):
            corner = (x + place * (side + _APART), y + word)
            if index:
                _place_map(figure, corner, side, pixels)
            else:
                place_image(figure, corner, side, pixels, limits=(0.0, 255.0))
    return figure


def _place_map(
    figure: Figure, corner: tuple[float, float], side: float, relevance: np.ndarray
) -> None:
    """Draw a map on its own scale, or say that it is not finite."""
    if np.isfinite(relevance).all():
        top = float(np.quantile(np.abs(relevance), 0.99)) or 1.0
        place_image(figure, corner, side, relevance, limits=(-top, top), cmap=_SIGNED)
    else:
        x, y = (end + side / 2 for end in corner)
        place_text(figure, x, y, "not\nfinite", color=GREY)
