"""Sheets of images: pixels and words at places in inches, from the upper left corner."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from jax_unlearn.report.figures.style import GREY, INK, SMALL


def place_image(
    figure: Figure,
    place: tuple[float, float],
    side: float,
    pixels: np.ndarray,
    *,
    limits: tuple[float, float],
    cmap: str | Colormap = "gray",
) -> None:
    """Show an image unsmoothed in a thin frame.

    Args:
      figure: at its final size.
      place: inches of the upper left corner from the left and from the top.
      side: of the square that it fills, inches.
      pixels: [H, W], [H, W, 1] or [H, W, 3].
      limits: what black and white, or the ends of ``cmap``, stand for.
      cmap: colours of an image of one channel.
    """
    width, height = figure.get_size_inches()
    x, y = place
    axes = figure.add_axes((x / width, 1 - (y + side) / height, side / width, side / height))
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    axes.imshow(flat, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.6)


def place_text(figure: Figure, x: float, y: float, words: str, **style: Any) -> None:
    """Write words centred on a place in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    look = {"size": SMALL, "color": INK, "ha": "center", "va": "center", **style}
    figure.text(x / width, 1 - y / height, words, **look)


def class_name(names: Sequence[str], label: int, longest: int) -> str:
    """Name a class in at most so many letters; by its number where it has no name."""
    known = 0 <= label < len(names)
    words = str(names[label]) if known else f"class {label}"
    words = words.replace("_", " ")
    return words if len(words) <= longest else words[: longest - 1] + "\u2026"
