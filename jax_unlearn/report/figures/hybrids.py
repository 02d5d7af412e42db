"""A sheet of NatMU's hybrids: forget image, retain partners, masks, blends and their labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.images import class_name, place_image, place_text
from jax_unlearn.report.figures.style import COMPACT, new_figure, set_title

_ROWS, _MASKS = 3, 4
_SHORT = 12
"""Letters that fit under one image."""

_CELL, _LEFT, _GAP, _TEXT = 0.84, 0.12, 0.04, 0.20
"""Inches: side of an image, margin, space between images, height of a line of text."""
_PIXELS = (0.0, 255.0)


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

    At most three forget images and four masks are drawn, in the order given. Narrow enough for a
    phone: a column for each mask.

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
    step = _CELL + _GAP
    block = 2 * step + _TEXT + 0.12
    figure = new_figure(_TEXT + step + rows * block, width=COMPACT, constrained=False)
    note = (
        "White in a mask: weight of the forget image on the left. Under it: the retain image, then "
        "the hybrid, and under that the label it is trained on."
    )
    head = set_title(figure, title, note) + _TEXT
    start = _LEFT + step
    for k in range(count):
        x = start + k * step
        place_text(figure, x + _CELL / 2, head - _TEXT / 2, f"mask {k + 1}", weight="bold")
        place_image(figure, (x, head), _CELL, masks[k], limits=(0.0, 1.0))
    for i in range(rows):
        y = head + step + 0.06 + i * block
        own = class_name(class_names, int(forget_labels[i]), _SHORT)
        place_image(figure, (_LEFT, y), _CELL, forget[i], limits=_PIXELS)
        place_text(figure, _LEFT + _CELL / 2, y + step + _TEXT / 2, "forget", weight="bold")
        place_text(figure, _LEFT + _CELL / 2, y + step + 1.5 * _TEXT, own)
        for k in range(count):
            x = start + k * step
            words = class_name(class_names, int(hybrid_labels[i][k]), _SHORT)
            place_image(figure, (x, y), _CELL, partners[i, k], limits=_PIXELS)
            place_image(figure, (x, y + step), _CELL, hybrids[i, k], limits=_PIXELS)
            place_text(figure, x + _CELL / 2, y + 2 * step + _TEXT / 2, words)
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
