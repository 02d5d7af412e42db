"""Which settings are tried next: pure functions of those tried before, so a search can go on."""

from collections.abc import Sequence
from typing import NamedTuple

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from scipy.stats import qmc

from jax_unlearn.core import SearchRange

from .space import Space, point


class Tried(NamedTuple):
    """A point and what it was worth.

    Attributes:
      values: the searched hyperparameters.
      loss: the lower the better.
    """

    values: dict[str, float]
    loss: float


def group_sizes(trials: int) -> list[int]:
    """How many settings are tried at a time: half of all, then a quarter and a quarter.

    Settings of one group know nothing of each other's outcome, but can be run side by side.
    """
    sizes, left = [-(-trials // 2)], trials // 2
    while left:
        sizes.append(min(left, max(1, trials // 4)))
        left -= sizes[-1]
    return sizes


def propose(
    space: Space, published: dict[str, float], tried: Sequence[Tried], count: int
) -> list[dict[str, float]]:
    """Settings to try next.

    The first group is the default setting and a Halton sequence over the ranges, the same for
    all methods; later ones are drawn by TPE. The same arguments give the same settings.

    Args:
      space: the ranges.
      published: the first setting.
      tried: all settings of earlier groups.
      count: number of settings in this group.
    """
    if not tried:
        spread = qmc.Halton(len(space), scramble=False)
        # The sequence begins in a corner.
        shares = spread.fast_forward(1).random(count - 1)
        return [published, *(point(space, row) for row in shares)]
    # By then half of all trials lie behind: none of TPE's own start is left.
    sampler = optuna.samplers.TPESampler(
        seed=len(tried), n_startup_trials=0, multivariate=True, constant_liar=True
    )
    study = optuna.create_study(sampler=sampler)
    distributions = {field: _distribution(range_) for field, range_ in space.items()}
    study.add_trials(
        [
            optuna.trial.create_trial(params=values, distributions=distributions, value=loss)
            for values, loss in tried
        ]
    )
    return [dict(study.ask(distributions).params) for _ in range(count)]


def _distribution(range_: SearchRange) -> BaseDistribution:
    scale, low, high = range_
    if scale == "int":
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=scale == "log")
