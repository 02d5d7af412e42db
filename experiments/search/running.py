"""Many settings of a method on every seed: unlearn side by side, predict, measure."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn import audit
from jax_unlearn.bank import Record
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import Named, Plan, unlearning
from jax_unlearn.core import Predictions
from jax_unlearn.engine import run_many
from jax_unlearn.engine.predictions import predict
from jax_unlearn.engine.run_spec import Result, RunSpec, group_alike
from jax_unlearn.engine.signals import deferred

from ..config import build_method
from ..sources import source_of
from .forgetting import MEASURES, forgotten
from .run_file import Run, RunFile

COLLAPSED = 100.0
"""Gap of a run that collapsed: as far from the oracle as percentages go."""


class Bench:
    """Where the settings of all methods are tried on one request.

    Args:
      plan: what all models share.
      forgetting: the request.
      originals: to be unlearned.
      oracles: of the same seeds.
      file: keeps the runs.

    Attributes:
      slug: the request's short name.
      seeds: of the originals.
      forgotten: what counts as having forgotten.
    """

    def __init__(
        self,
        plan: Plan,
        forgetting: Forgetting,
        originals: Sequence[Record],
        oracles: Sequence[Record],
        file: RunFile,
    ):
        def predictions(records: Sequence[Record]) -> list[Predictions]:
            return [plan.bank.predictions(one, forgetting.request.hash) for one in records]

        self.slug = forgetting.slug
        self.seeds: list[int] = [record.ingredients["seed"] for record in originals]
        before, reached = predictions(originals), predictions(oracles)
        self.forgotten = forgotten(before, reached)
        self._plan, self._forgetting, self._file = plan, forgetting, file
        self._originals = dict(zip(self.seeds, originals, strict=True))
        self._before = dict(zip(self.seeds, before, strict=True))
        self._reached = dict(zip(self.seeds, map(audit.accuracies, reached), strict=True))

    def runs(self, name: str) -> dict[tuple[int, int], Run]:
        """Runs of a method that were kept, by number of the trial and seed."""
        return self._file.of(self.slug, name)

    def fill(
        self,
        name: str,
        fixed: Mapping[str, Any],
        points: Mapping[int, dict[str, float]],
        on_step: Callable[[int, int], None],
    ) -> None:
        """Make those runs that the file lacks, as many side by side as the mesh has places.

        Args:
          name: the method.
          fixed: hyperparameters that are set.
          points: the searched ones by number of the trial.
          on_step: called with the number of steps done and planned.
        """
        there = self.runs(name)
        missing = [(t, s) for t in points for s in self.seeds if (t, s) not in there]
        # The weights of an original are read once for all its settings.
        method = Named(name, build_method(name, fixed), source_of(name))
        begun = {
            seed: unlearning(self._plan, self._forgetting, record, method)
            for seed, record in self._originals.items()
        }
        specs = [
            begun[s]._replace(unlearner=build_method(name, {**fixed, **points[t]}))
            for t, s in missing
        ]
        places, done = self._plan.mesh.shape["model"], 0

        def report(step: int, planned: int) -> None:
            on_step(done * planned + step, len(missing) * planned)

        for alike in group_alike(specs):
            for start in range(0, len(alike), places):
                # Weights of no more runs than these are held at a time.
                some = alike[start : start + places]
                began = time.monotonic()
                results = self._unlearn([specs[index] for index in some], report)
                made = [
                    self._measure(name, *missing[index], points[missing[index][0]], result)
                    for index, result in zip(some, results, strict=True)
                ]
                seconds = (time.monotonic() - began) / len(some)
                self._file.add([Run(**one, seconds=seconds) for one in made])
                done += len(some)

    def _unlearn(
        self, specs: list[RunSpec], on_step: Callable[[int, int], None]
    ) -> Sequence[Result]:
        plan = self._plan
        with warnings.catch_warnings(), deferred() as interrupted:
            # A search goes where methods collapse: they are counted.
            warnings.filterwarnings("ignore", message=".* collapsed by step")
            return run_many(
                specs,
                mesh=plan.mesh,
                loop=plan.loop,
                placement=plan.placement,
                on_step=on_step,
                interrupted=interrupted,
            )

    def _measure(
        self, name: str, trial: int, seed: int, values: dict[str, float], result: Result
    ) -> dict[str, Any]:
        forgetting = self._forgetting
        predictions = predict(
            self._plan.model,
            result.variables,
            forget=forgetting.forget,
            retain=forgetting.retain,
            test=self._plan.dataset.test,
            test_forgotten=forgetting.test_forgotten,
        )
        collapsed = result.status == "collapsed" or audit.is_collapsed(
            predictions, self._before[seed]
        )
        gap = audit.average_gap(audit.accuracies(predictions), self._reached[seed])
        return {
            "request": self.slug,
            "method": name,
            "trial": trial,
            "seed": seed,
            "values": values,
            "gap": COLLAPSED if collapsed else gap,
            "collapsed": collapsed,
            # JSON has no NaN, which collapsed models answer with.
            "measured": {
                key: float(np.nan_to_num(measure(predictions.forget)))
                for key, measure in MEASURES.items()
            },
        }
