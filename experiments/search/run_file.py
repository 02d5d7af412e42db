"""The file of runs: what a search has measured, a line for each run, so that it can go on."""

import dataclasses
import json
import os
import pathlib

from jax_unlearn.core import InputError
from jax_unlearn.files import write_whole


@dataclasses.dataclass(frozen=True)
class MeasuredRun:
    """One setting on one seed.

    Attributes:
      request: short name.
      method: name.
      trial: number of the setting, from 0.
      seed: of the original.
      values: the searched hyperparameters.
      gap: average gap to the oracle of the seed, in percentage points.
      collapsed: whether the model collapsed.
      measured: the measures by which forgetting is seen, in percent.
      seconds: of wall time, compilation and prediction included; a share of those side by side.
    """

    request: str
    method: str
    trial: int
    seed: int
    values: dict[str, float]
    gap: float
    collapsed: bool
    measured: dict[str, float]
    seconds: float


class RunFile:
    """Runs on disk; a line that was cut off at the end is as if it had not been begun.

    Args:
      path: the file; made with the first run.

    Raises:
      InputError: a line within is not a run.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        text = path.read_text() if path.is_file() else ""
        whole, _, torn = text.rpartition("\n")
        if torn:
            write_whole(path, whole and f"{whole}\n")
        self._runs = [self._read(number, line) for number, line in enumerate(whole.splitlines())]

    def _read(self, number: int, line: str) -> MeasuredRun:
        try:
            return MeasuredRun(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"out={str(self._path.parent)!r}: line {number + 1} of {self._path.name} is not a "
                "run; remove the line, or pass --overwrite"
            ) from error

    def of(self, request: str, method: str) -> dict[tuple[int, int], MeasuredRun]:
        """Runs of a method on a request by number of the trial and seed."""
        return {
            (run.trial, run.seed): run
            for run in self._runs
            if (run.request, run.method) == (request, method)
        }

    def add(self, runs: list[MeasuredRun]) -> None:
        """Keep runs; they are on disk when this returns."""
        lines = [json.dumps(dataclasses.asdict(run)) + "\n" for run in runs]
        with self._path.open("a") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())
        self._runs += runs
