"""What a figure's function returns, or raises where a part is missing."""

from typing import NamedTuple

import numpy as np

from jax_unlearn.core import Examples
from jax_unlearn.data import take
from jax_unlearn.report import Picture

EXAMPLES = 1000
"""Images of a group that are computed on, evenly spaced."""


class Missing(Exception):  # noqa: N818 - nothing went wrong: a part is not there
    """A part that the run does not hold: which, and the command that adds it."""


class Drawing(NamedTuple):
    """One figure of a request, or one for each method that has it.

    Attributes:
      pictures: what was drawn.
      notes: what is missing in them, and the command that adds it.
    """

    pictures: list[Picture]
    notes: tuple[str, ...] = ()


def some(examples: Examples, count: int = EXAMPLES) -> Examples:
    """At most so many examples, evenly spaced."""
    return take(examples, rows(len(examples.label), count))


def rows(total: int, count: int = EXAMPLES) -> np.ndarray:
    """At most ``count`` rows of ``total``, evenly spaced."""
    return np.linspace(0, total - 1, min(count, total)).astype(int)
