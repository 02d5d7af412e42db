"""The papers' ablations as named studies: one field at a time around the setting of a preset."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jax_unlearn.core import check_choice


class Times(NamedTuple):
    """Values given as multiples of the setting's own.

    Attributes:
      factors: the multiples.
    """

    factors: tuple[float, ...]

    def of(self, value: float) -> tuple[float, ...]:
        """The values around the setting's own, of four digits but for itself."""
        return tuple(value if f == 1 else float(f"{f * value:.4g}") for f in self.factors)


class Study(NamedTuple):
    """A named study.

    Attributes:
      method: whose fields are varied.
      fields: field -> its values; those of the setting itself are added where they lack.
    """

    method: str
    fields: Mapping[str, tuple[Any, ...] | Times]


DECADE = Times((0.1, 0.32, 1, 3.2, 10))

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "natmu": Study(
            "natmu",
            {
                "learning_rate": DECADE,
                "delta": (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4),
                "num": (1, 2, 3, 4, 5, 6, 7, 8),
                "masks": ("gradual", "patches", "uniform"),
                "targets": ("top", "random"),
                "hybrid_label": ("retain", "random_wrong"),
                "inject": (True, False),
            },
        ),
        "mumis": Study(
            "mumis",
            {
                "learning_rate": DECADE,
                "stop_ratio": (1.1, 1.25, 1.5, 2.0, 2.5),
                "body_rate": (0.0, 0.05, 0.2, 1.0),
                "terms": ("both", "target", "irrelevant"),
                "differentiate": ("reverse",),
                "stop_classes": ("one", "all"),
            },
        ),
    }
)
"""The studies by name."""


def find_study(name: str) -> Study:
    """The study of a name.

    Raises:
      InputError: there is none; the message has the near names.
    """
    check_choice("study", name, STUDIES)
    return STUDIES[name]
