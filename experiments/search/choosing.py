"""What came of each trial, and which is chosen."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .forgetting import CONFIDENCE, Forgotten
from .measuring import COLLAPSED
from .proposals import Tried
from .run_file import MeasuredRun
from .space import at_bounds

FAILED = "no setting found that forgets"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A setting on all seeds.

    Attributes:
      values: the searched hyperparameters.
      gap: average gap over the seeds; one that collapsed counts 100.
      collapsed: whether the model of any seed collapsed.
      forgets: whether those of all seeds have forgotten.
      confidence: mean confidence on the forget set, in percent.
    """

    values: dict[str, float]
    gap: float
    collapsed: bool
    forgets: bool
    confidence: float

    @property
    def eligible(self) -> bool:
        """Whether it may be chosen."""
        return self.forgets and not self.collapsed

    def tried(self) -> Tried:
        """What the sampler is told: every setting that may be chosen goes before all others.

        Then come those that leave the set known, the least confident first, whose accuracy would
        give way next; by their gaps the sampler would look where nothing changes. Last come those
        that collapse.
        """
        if self.eligible:
            return Tried(self.values, self.gap)
        return Tried(
            self.values, 2.0 * COLLAPSED if self.collapsed else COLLAPSED + self.confidence
        )


def judge(runs: Sequence[MeasuredRun], forgotten: Forgotten) -> Judgement:
    """A trial of its runs, in the order of the seeds."""
    values = [run.measured.get(forgotten.measure, 0.0) for run in runs]
    return Judgement(
        values=runs[0].values,
        gap=float(np.mean([run.gap for run in runs])),
        collapsed=any(run.collapsed for run in runs),
        forgets=forgotten.holds(values),
        confidence=float(np.mean([run.measured[CONFIDENCE] for run in runs])),
    )


def choose(name: str, fixed: Mapping[str, Any], trials: Sequence[Judgement]) -> dict[str, Any]:
    """The entry of a method in the result.

    The eligible trial with the smallest gap is chosen, the first of equals. Where none is eligible,
    the entry says so under ``failed``, beside the trial with the smallest gap of all.

    Args:
      name: the method.
      fixed: hyperparameters that are set.
      trials: the default setting first.

    Returns:
      ``arguments`` and ``gap`` of the chosen trial; ``published``, what the first trial gave, and
      whether it was eligible and whether it collapsed; how
      many ``trials`` there were, how many of them ``collapsed`` and how many, collapsed or not,
      left the set ``unforgotten``; ``at_bounds``, see :func:`experiments.search.space.at_bounds`.
    """
    eligible = [trial for trial in trials if trial.eligible]
    best = min(eligible or trials, key=lambda trial: trial.gap)
    arguments = {**fixed, **best.values}
    failed = {} if eligible else {"failed": FAILED}
    first = trials[0]
    told = {"gap": first.gap, "eligible": first.eligible, "collapsed": first.collapsed}
    return failed | {
        "arguments": arguments,
        "gap": best.gap,
        "published": told,
        "trials": len(trials),
        "collapsed": sum(trial.collapsed for trial in trials),
        "unforgotten": sum(not trial.forgets for trial in trials),
        "at_bounds": at_bounds(name, arguments) if eligible else [],
    }
