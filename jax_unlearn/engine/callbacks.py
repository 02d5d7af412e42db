"""What may happen around the steps of a run: watching, reporting, saving, ending early."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from jax_unlearn.core import Variables

if TYPE_CHECKING:
    from jax_unlearn.engine.trainer import Trainer


class Callback:
    """Hooks of a run; a subclass overrides those that it needs.

    A hook may raise to end the run. What it reads of the trainer's state must be copied to be kept:
    the next step overwrites it.
    """

    def on_start(self, trainer: "Trainer") -> None:
        """Called before the first step; saving callbacks restore here."""

    def measure(self, variables: Variables) -> dict[str, float]:
        """Quantities of one model's weights that join its history.

        Called before the first and after every epoch, before the method's ``collapsed`` and
        ``stop``, which see them. Its time is not the method's.
        """
        del variables
        return {}

    def on_step(self, trainer: "Trainer") -> None:
        """Called after each step, or each compiled loop of steps."""

    def on_epoch(self, trainer: "Trainer") -> None:
        """Called after each epoch, when its entry is in the history."""

    def on_end(self, trainer: "Trainer") -> None:
        """Called after the last epoch."""


class Watch(Callback):
    """Adds to the history what a function measures of the weights."""

    def __init__(self, watch: Callable[[Variables], dict[str, float]]):
        self._watch = watch

    def measure(self, variables: Variables) -> dict[str, float]:
        """See :class:`Callback`."""
        return self._watch(variables)


class ReportSteps(Callback):
    """Calls a function with the number of steps done and planned."""

    def __init__(self, on_step: Callable[[int, int], None]):
        self._on_step = on_step

    def on_step(self, trainer: "Trainer") -> None:
        """See :class:`Callback`."""
        self._on_step(trainer.steps_done, trainer.steps_planned)


class ReportEntries(Callback):
    """Calls a function with every entry of the models' histories, once its epoch has ended.

    A run that was taken up again begins with the entries that it had.
    """

    def __init__(self, on_entry: Callable[[int, int, Mapping[str, float]], None]):
        self._on_entry = on_entry
        self._told: dict[int, int] = {}

    def on_epoch(self, trainer: "Trainer") -> None:
        """Call with the model's place, the entry's number, from 0, and the entry."""
        for place, history in enumerate(trainer.progress.histories):
            for number in range(self._told.get(place, 0), len(history)):
                self._on_entry(place, number, history[number])
            self._told[place] = len(history)
