"""What a run on one seed is worth: its gap, whether it collapsed, what shows that it forgot."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jax_unlearn import audit
from jax_unlearn.bank import Record
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import Plan
from jax_unlearn.core import Predictions
from jax_unlearn.engine.predictions import predict
from jax_unlearn.engine.run_spec import Result

from .forgetting import MEASURES, forgotten

COLLAPSED = 100.0
"""Gap of a run that collapsed: as far from the oracle as percentages go."""


class Yardstick:
    """Measures the runs on one request against originals and oracles of their seeds.

    Args:
      plan: what all models share.
      forgetting: the request.
      originals: of all seeds.
      oracles: of the same seeds.

    Attributes:
      forgotten: what counts as having forgotten.
    """

    def __init__(
        self,
        plan: Plan,
        forgetting: Forgetting,
        originals: Sequence[Record],
        oracles: Sequence[Record],
    ):
        def predictions(records: Sequence[Record]) -> dict[int, Predictions]:
            return {
                record.ingredients["seed"]: plan.bank.predictions(record, forgetting.request.hash)
                for record in records
            }

        self._plan, self._forgetting = plan, forgetting
        self._before, reached = predictions(originals), predictions(oracles)
        self._reached = {seed: audit.accuracies(oracle) for seed, oracle in reached.items()}
        self.forgotten = forgotten(list(self._before.values()), list(reached.values()))

    def measure(self, seed: int, result: Result) -> dict[str, Any]:
        """The fields ``gap``, ``collapsed`` and ``measured`` of a ``run_file.MeasuredRun``."""
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
        # JSON has no NaN, which collapsed models answer with.
        measured = {
            key: float(np.nan_to_num(measure(predictions.forget)))
            for key, measure in MEASURES.items()
        }
        return {
            "gap": COLLAPSED if collapsed else gap,
            "collapsed": collapsed,
            "measured": measured,
        }
