"""Descent in stretches of steps, with a look at the model between two."""

import math

from jax_unlearn.core import check_number
from jax_unlearn.methods.descent import Optimized


class Stretches(Optimized):
    """Take up to ``max_steps`` steps; the engine's epochs are the stretches between two looks.

    Attributes:
      max_steps: limit on the number of steps.
      check_every: steps between two looks.
    """

    max_steps: int = 1000
    check_every: int = 10

    history_unit = "look"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_steps", "check_every"):
            check_number(name, getattr(self, name), low=1, whole=True)

    @property
    def num_epochs(self) -> int:
        """Stretches of ``check_every`` steps, the last one shorter."""
        return math.ceil(self.max_steps / self.check_every)

    def steps_of(self, epoch: int) -> tuple[int, int]:
        """The first step of a stretch, and how many it has."""
        start = epoch * self.check_every
        return start, min(self.check_every, self.max_steps - start)
