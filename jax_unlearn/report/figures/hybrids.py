"""A sheet of NatMU's hybrids: forget image, retain partners, masks, blends and their labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.style import GREY, INK, SMALL, WIDTH, new_figure, set_title

_ROWS, _MASKS = 6, 4
_SHORT = 13
"""Letters that fit under one image."""

_LEFT, _GAP, _PAIR, _TEXT = 0.12, 0.16, 0.04, 0.22
"""Inches: margin, space between groups, space inside a pair, height of a line of text."""


def hybrid_figure(
    forget: np.ndarray,
    partners: np.ndarray,
    masks: np.ndarray,
    hybrids: np.ndarray,
    *,
    forget_labels: np.ndarray,
    hybrid_labels: np.ndarray,
    class_names: Sequence[str],
    title: str = "NatMU's hybrids",
) -> Figure:
    """Draw forget images with their retain partners and the blends that the model is trained on.

    At most six forget images and four masks are drawn, in the order given.

    Args:
      forget: uint8 [n, H, W, C], C is 1 or 3.
      partners: uint8 [n, m, H, W, C], the retain image blended in under each mask.
      masks: float [m, H, W, 1] in [0, 1], weight of the forget image.
      hybrids: uint8 [n, m, H, W, C].
      forget_labels: int [n].
      hybrid_labels: int [n, m], the label that each hybrid is trained on.
      class_names: name of each class.
      title: heading.

    Raises:
      InputError: if the shapes do not belong together, or there is nothing to draw.
    """
    forget, partners, masks, hybrids = map(np.asarray, (forget, partners, masks, hybrids))
    _check(forget, partners, masks, hybrids, forget_labels, hybrid_labels)
    rows, count = min(_ROWS, len(forget)), min(_MASKS, len(masks))
    cell = 0.87
    step = 2 * cell + _PAIR + _GAP
    width = max(_LEFT + cell + _GAP + count * step, WIDTH / 2)
    row_height = cell + _TEXT + 0.06
    figure = new_figure(3 * _TEXT + cell + rows * row_height, width=width, constrained=False)
    note = (
        "White in a mask: weight of the forget image. Under a hybrid: the label it is trained on."
    )
    head = set_title(figure, title, note) + _TEXT
    height = figure.get_figheight()

    def image(x: float, y: float, pixels: np.ndarray, *, scale: tuple[float, float]) -> None:
        axes = figure.add_axes((x / width, 1 - (y + cell) / height, cell / width, cell / height))
        flat = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        axes.imshow(flat, cmap="gray", vmin=scale[0], vmax=scale[1], interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=GREY, linewidth=0.6)

    def text(x: float, y: float, words: str, **style: Any) -> None:
        figure.text(
            x / width,
            1 - y / height,
            words,
            va="center",
            **{"size": SMALL, "color": INK, "ha": "center", **style},
        )

    def name(label: int, longest: int) -> str:
        known = 0 <= label < len(class_names)
        words = str(class_names[label]) if known else f"class {label}"
        words = words.replace("_", " ")
        return words if len(words) <= longest else words[: longest - 1] + "…"

    start = _LEFT + cell + _GAP
    pixels = (0.0, 255.0)
    body = head + cell + 2 * _TEXT
    text(_LEFT + cell / 2, body - _TEXT / 2, "forget", weight="bold")
    for k in range(count):
        partner, hybrid = start + k * step, start + k * step + cell + _PAIR
        text(hybrid + cell / 2, head - _TEXT / 2, f"mask {k + 1}", color=GREY)
        image(hybrid, head, masks[k], scale=(0.0, 1.0))
        text(partner + cell / 2, body - _TEXT / 2, "retain", weight="bold")
        text(hybrid + cell / 2, body - _TEXT / 2, f"hybrid {k + 1}", weight="bold")
    for i in range(rows):
        y = body + i * row_height
        image(_LEFT, y, forget[i], scale=pixels)
        text(_LEFT + cell / 2, y + cell + _TEXT / 2, name(int(forget_labels[i]), _SHORT))
        for k in range(count):
            partner = start + k * step
            image(partner, y, partners[i, k], scale=pixels)
            image(partner + cell + _PAIR, y, hybrids[i, k], scale=pixels)
            words, right = name(int(hybrid_labels[i][k]), 2 * _SHORT), partner + 2 * cell + _PAIR
            if len(words) <= _SHORT:
                text(right - cell / 2, y + cell + _TEXT / 2, words)
            else:
                text(right, y + cell + _TEXT / 2, words, ha="right")
    return figure


def _check(
    forget: np.ndarray,
    partners: np.ndarray,
    masks: np.ndarray,
    hybrids: np.ndarray,
    forget_labels: np.ndarray,
    hybrid_labels: np.ndarray,
) -> None:
    """Refuse arrays whose shapes do not belong together."""
    if forget.ndim != 4 or not len(forget) or forget.shape[-1] not in (1, 3):
        raise InputError(f"forget: shape {forget.shape}: expected [n, H, W, C], n >= 1, C 1 or 3")
    n, height, width, channels = forget.shape
    m = len(masks)
    expected = {
        "masks": (masks, (m, height, width, 1)),
        "partners": (partners, (n, m, height, width, channels)),
        "hybrids": (hybrids, (n, m, height, width, channels)),
        "forget_labels": (forget_labels, (n,)),
        "hybrid_labels": (hybrid_labels, (n, m)),
    }
    for argument, (array, shape) in expected.items():
        if np.shape(array) != shape or not m:
            raise InputError(
                f"{argument}: shape {np.shape(array)}: expected {shape}, to go with forget "
                f"{forget.shape} and {m} masks"
            )
