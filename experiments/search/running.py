"""Many settings of a method on every seed, unlearnt side by side."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jax_unlearn.bank import Record
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import Plan, unlearning
from jax_unlearn.engine import run_many
from jax_unlearn.engine.run_spec import Result, RunSpec, group_alike
from jax_unlearn.engine.signals import deferred

from ..shared.hyperparameters import build_method, name_method
from .measuring import Yardstick
from .run_file import MeasuredRun, RunFile


class Bench:
    """Where the settings of all methods are tried on one request.

    Args:
      plan: what all models share.
      forgetting: the request.
      seeds: of the originals.
      starts: by method the models to be unlearned: the originals, or, in a sequence, those that the
        steps before left.
      yardstick: measures what comes of them.
      file: keeps the runs.

    Attributes:
      seeds: of the originals.
      forgotten: what counts as having forgotten.
    """

    def __init__(
        self,
        plan: Plan,
        forgetting: Forgetting,
        seeds: Sequence[int],
        starts: Mapping[str, Sequence[Record]],
        yardstick: Yardstick,
        file: RunFile,
    ):
        self._plan, self._forgetting = plan, forgetting
        self._yardstick, self._file = yardstick, file
        self._starts = {
            name: {record.ingredients["seed"]: record for record in records}
            for name, records in starts.items()
        }
        self.seeds = list(seeds)
        self.forgotten = yardstick.forgotten

    def runs(self, name: str) -> dict[tuple[int, int], MeasuredRun]:
        """Runs of a method that were kept, by number of the trial and seed."""
        return self._file.of(self._forgetting.slug, name)

    def fill(
        self,
        name: str,
        fixed: Mapping[str, Any],
        points: Mapping[int, dict[str, float]],
        on_step: Callable[[int, int], None],
    ) -> None:
        """Make those runs that the file lacks, as many side by side as the mesh has places.

        Those that differ in traced numbers alone share one program, those of earlier calls
        included. Weights are held of no more runs than go side by side.

        Args:
          name: the method.
          fixed: hyperparameters that are set.
          points: the searched ones by number of the trial.
          on_step: called with the number of steps done and planned.
        """
        there, places, done = self.runs(name), self._plan.mesh.shape["model"], 0
        missing = [(t, s) for t in points for s in self.seeds if (t, s) not in there]
        specs = self._specs(name, fixed, [(points[t], s) for t, s in missing])

        def report(step: int, planned: int) -> None:
            on_step(done * planned + step, len(missing) * planned)

        for alike in group_alike(specs):
            for start in range(0, len(alike), places):
                some, began = alike[start : start + places], time.monotonic()
                results = self._unlearn([specs[index] for index in some], report)
                tried = [missing[index] for index in some]
                with ThreadPoolExecutor(len(some)) as threads:
                    seeds = (seed for _, seed in tried)
                    measured = list(threads.map(self._yardstick.measure, seeds, results))
                seconds = (time.monotonic() - began) / len(some)
                slug = self._forgetting.slug
                self._file.add(
                    [
                        MeasuredRun(
                            slug, name, trial, seed, points[trial], **found, seconds=seconds
                        )
                        for (trial, seed), found in zip(tried, measured, strict=True)
                    ]
                )
                done += len(some)

    def _specs(
        self, name: str, fixed: Mapping[str, Any], wanted: Sequence[tuple[dict[str, float], int]]
    ) -> list[RunSpec]:
        """Runs of points on seeds; the weights of an original are read once for all of them."""
        method = name_method(name, self._forgetting.text, fixed)
        begun = {
            seed: unlearning(self._plan, self._forgetting, self._starts[name][seed], method)
            for seed in {seed for _, seed in wanted}
        }
        return [
            begun[seed]._replace(unlearner=build_method(name, {**fixed, **point}))
            for point, seed in wanted
        ]

    def _unlearn(
        self, specs: list[RunSpec], on_step: Callable[[int, int], None]
    ) -> Sequence[Result]:
        plan = self._plan
        with warnings.catch_warnings(), deferred() as interrupted:
            # A search goes where methods collapse: they are counted.
            warnings.filterwarnings("ignore", message=".* collapsed by step|.* so nothing changes")
            return run_many(
                specs,
                mesh=plan.mesh,
                loop=plan.loop,
                placement=plan.placement,
                on_step=on_step,
                interrupted=interrupted,
            )
