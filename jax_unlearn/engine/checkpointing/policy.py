"""When a run is saved and when it ends early; all processes decide the same."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import numpy as np

from jax_unlearn.engine.callbacks import Callback
from jax_unlearn.engine.signals import Interrupted

if TYPE_CHECKING:
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
    from jax_unlearn.engine.trainer import Trainer

AGREE_EVERY = 64
"""Steps between two checks where several processes must agree, which costs a message each."""


class CheckpointPolicy(Callback):
    """Saves a run now and then, resumes one that was saved, and ends it after a signal."""

    def __init__(
        self, checkpoints: "Checkpoints | None", interrupted: Callable[[], int | None] | None
    ):
        self._checkpoints = checkpoints
        self._interrupted = interrupted or (lambda: None)
        self._every = 1 if jax.process_count() == 1 else AGREE_EVERY
        self._checked_at = 0

    def on_start(self, trainer: "Trainer") -> None:
        """Resume from the checkpoints, if there are any."""
        if self._checkpoints is not None:
            trainer.resume(self._checkpoints)
        self._checked_at = trainer.progress.offset

    def on_step(self, trainer: "Trainer") -> None:
        """Check within an epoch, every so many steps."""
        offset = trainer.progress.offset
        if offset < trainer.epoch_steps and offset - self._checked_at >= self._every:
            self._checked_at = offset
            self._check(trainer)

    def on_epoch(self, trainer: "Trainer") -> None:
        """Check after an epoch."""
        self._checked_at = 0
        self._check(trainer)

    def _check(self, trainer: "Trainer") -> None:
        signal, due = self._interrupted() or 0, bool(self._checkpoints and self._checkpoints.due())
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            # A signal may reach one process alone, and their clocks differ.
            told = multihost_utils.process_allgather(np.array([signal, due], np.int32))
            signal, due = int(told[:, 0].max()), bool(told[0, 1])
        if self._checkpoints is not None and (signal or due):
            trainer.save(self._checkpoints, wait=bool(signal))
        if signal:
            raise Interrupted(signal)
