"""What of an experiment does not fit its data: all of it at once, with the flags that mend it."""

from collections.abc import Mapping

from jax_unlearn.core import InputError


class MisfitError(InputError):
    """Settings that do not fit their data.

    Attributes:
      most: by setting, as OWNER.NAME, the largest value that fits, where that is known.
    """

    def __init__(self, message: str, most: Mapping[str, int]):
        super().__init__(message)
        self.most = dict(most)


class Refusals:
    """Collects what does not fit, and the largest settings that would."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        self._most: dict[str, int] = {}

    def say(self, what: str, setting: str = "", most: int = 0) -> None:
        """Note something that does not fit.

        Args:
          what: one line of it.
          setting: as OWNER.NAME, what to set otherwise; '' where that is not known. Of each setting
            only the tightest is said.
          most: its largest value that fits here.
        """
        if setting and self._most.get(setting, most + 1) <= most:
            return
        self._said[setting or what] = what
        if setting:
            self._most[setting] = most

    def batch(self, owner: str, batch_size: int, rows: int, whose: str) -> None:
        """Note a batch that is larger than what it is drawn from; nothing of others."""
        if batch_size > rows:
            what = (
                f"{owner}.batch_size={batch_size}: there are only {rows} examples to draw from for "
                f"{whose}; use at most {rows}"
            )
            self.say(what, f"{owner}.batch_size", rows)

    def check(self) -> None:
        """Raise InputError where anything was noted."""
        if self._said:
            raise MisfitError("; ".join([*self._said.values(), *self._remedy()]), self._most)

    def _remedy(self) -> list[str]:
        """The flags that mend all of it, to paste; none where that is not known."""
        if not self._most:
            return []
        most = dict(self._most)
        training = most.pop("training.batch_size", 0)
        flags = [f"--training.batch-size {training}"] if training else []
        if most:
            flags.append("--set " + " ".join(f"{name}={value}" for name, value in most.items()))
        return [f"what fits: {' '.join(flags)}"]
