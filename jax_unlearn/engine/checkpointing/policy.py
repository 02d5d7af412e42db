"""When the loop saves and when it ends early, decided with one voice for all processes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import numpy as np

if TYPE_CHECKING:
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

EVERY = 64
"""Steps between two looks where several processes must agree, which costs a message each."""


class CheckpointPolicy:
    """Asks after a step whether the run is to be saved or to end.

    Attributes:
      every: steps between two questions.
      signal: the signal that ends the run; None while there is none.
    """

    def __init__(
        self, checkpoints: "Checkpoints | None", interrupted: Callable[[], int | None] | None
    ):
        self.every = 1 if jax.process_count() == 1 else EVERY
        self.signal: int | None = None
        self._due = checkpoints.due if checkpoints else lambda: False
        self._interrupted = interrupted or (lambda: None)
        self._needed = checkpoints is not None or interrupted is not None

    def ask(self) -> bool:
        """Whether to pause now."""
        if not self._needed:
            return False
        signal, due = self._interrupted() or 0, self._due()
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            # A signal may reach one process alone, and their clocks differ.
            told = multihost_utils.process_allgather(np.array([signal, due], np.int32))
            signal, due = int(told[:, 0].max()), bool(told[0, 1])
        self.signal = signal or None
        return bool(signal or due)
