"""Verdicts: which measures have power, and whether a row passes, fails or cannot be judged.

A measure has power for a row if the originals, which forgot nothing, would lie outside the null
band of as many models as the row has. Only such measures count: that a row lies inside the others
says nothing. Where no measure counts, or a pass could not be failed, there is no verdict.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jax_unlearn.audit.comparison.models import Group, RequestModels
from jax_unlearn.audit.comparison.results import (
    INSIDE,
    OUTSIDE,
    UNINFORMATIVE,
    MeasureResult,
    judge,
)
from jax_unlearn.audit.measures.measure import Measure
from jax_unlearn.wording import counted

PASSES, FAILS, CANNOT_BE_JUDGED = "passes", "fails", "cannot be judged"

MIN_ORACLES = 4
"""Oracles that work below which there is no verdict: too few to show what chance does."""

RECIPE = "a recipe that trains (--training.learning-rate lower, --training.epochs more)"
"""What helps where training collapses: the same seeds and settings would collapse again."""

MOST_MODELS = 64
"""Models of a row that a reader may be advised to train, and half as many as oracles."""

Results = Mapping[str, MeasureResult]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the audit makes of a row.

    Attributes:
      outcome: 'passes', 'fails' or 'cannot be judged'.
      outside: informative measures on which the row lies outside the null band.
      judged: informative measures that have a band and a value.
      chance: of those judged at most so many are outside for 95 % of the splits of the oracles;
        None if unknown.
      reason: how strong the evidence is, or why there is no verdict and what would give one.
    """

    outcome: str
    outside: int
    judged: int
    chance: int | None
    reason: str = ""


def few_oracles(models: RequestModels) -> str:
    """Return why there is no verdict for want of oracles, '' where there are enough."""
    n = len(models.oracle.kept)
    if n >= MIN_ORACLES:
        return ""
    few = f"no verdict below {MIN_ORACLES} oracles"
    lacking, given = MIN_ORACLES - n, len(models.oracle.runs)
    if given == n:
        return f"{few}; train {lacking} more (--oracles {MIN_ORACLES})"
    return (
        f"{few} that work, {given - n} of {given} collapsed; take more seeds "
        f"(--oracles {given + lacking}) or {RECIPE}"
    )


def _no_original(models: RequestModels) -> str:
    """Why there is no verdict for want of originals, and what would give one."""
    unknown = "so no measure is known to tell it from retraining"
    if not models.original.runs:
        return f"no original is given, {unknown}; train 1 on all data"
    return (
        f"no original works, {unknown}; take other seeds (--seeds, in a bank a larger --count) or "
        f"{RECIPE}"
    )


def with_power(results: Results, original: Results | None, measures: Sequence[Measure]) -> Results:
    """Return a row's results, 'uninformative' where the originals would lie inside its band too.

    Args:
      results: of the row.
      original: of the originals; None without any that work, where power is unknown.
      measures: of the audit.
    """
    if original is None:
        return results
    found = dict(results)
    for m in measures:
        result = results[m.name]
        if result.verdict not in (INSIDE, OUTSIDE):
            continue
        if judge(m, original[m.name].value, result.band) != OUTSIDE:
            found[m.name] = dataclasses.replace(result, verdict=UNINFORMATIVE)
    return found


def give_verdict(
    group: Group,
    results: Results,
    unpowered: Results,
    models: RequestModels,
    sizes: tuple[int, int],
    measures: Sequence[Measure],
    chance_of: Callable[[Sequence[Measure]], int | None],
) -> Verdict:
    """Return the verdict of a row.

    Args:
      group: its models.
      results: from :func:`with_power`.
      unpowered: the same without regard to power.
      models: all models of the request.
      sizes: models of the row that are measured, and oracles that they are compared with.
      measures: of the audit.
      chance_of: on how many of some measures further oracles lie outside by chance.
    """
    judged = [m for m in measures if results[m.name].verdict in (INSIDE, OUTSIDE)]
    outside = sum(results[m.name].verdict == OUTSIDE for m in judged)
    n, references = sizes
    if group.failed:
        reason = f"{group.failed}; the numbers are those of the best setting tried"
        return Verdict(CANNOT_BE_JUDGED, outside, len(judged), None, reason)
    few = few_oracles(models)
    if few:
        return Verdict(CANNOT_BE_JUDGED, outside, len(judged), None, few)
    if not n:
        return Verdict(CANNOT_BE_JUDGED, 0, 0, None, "none of its models works")
    chance = chance_of(judged)
    if not models.original.kept:
        reason = _no_original(models)
        return Verdict(CANNOT_BE_JUDGED, outside, len(judged), chance, reason)
    against = f"{counted(n, 'model')} against {counted(references, 'oracle')}"
    if not judged:
        reason = f"{against}: no measure tells the originals from retraining; {_remedy(models)}"
        return Verdict(CANNOT_BE_JUDGED, 0, 0, None, reason)
    if chance is None or chance >= len(judged):
        reason = (
            f"{against}: all of {counted(len(judged), 'informative measure')} may lie outside by "
            f"chance; {_remedy(models)}"
        )
        return Verdict(CANNOT_BE_JUDGED, outside, len(judged), chance, reason)
    reason = (
        f"{against}: {outside} of {counted(len(judged), 'informative measure')} outside, at most "
        f"{chance} by chance"
    )
    outcome = PASSES if outside <= chance else FAILS
    if outcome == PASSES:
        idle = sum(group.no_op)
        damage = _damage(results, unpowered, measures, chance_of)
        if idle:
            outcome, reason = (
                FAILS,
                f"{idle} of {counted(len(group.runs), 'model')} did nothing; {reason}",
            )
        elif damage:
            outcome, reason = FAILS, f"{reason}; {damage}"
    return Verdict(outcome, outside, len(judged), chance, reason)


def _damage(
    results: Results,
    unpowered: Results,
    measures: Sequence[Measure],
    chance_of: Callable[[Sequence[Measure]], int | None],
) -> str:
    """Say that a row is unlike retraining where the originals are not, '' where it is not.

    To lie inside an uninformative band proves nothing. To lie outside of it does: the originals
    answer retain and test images as oracles do, a damaged model does not.
    """
    others = [m for m in measures if results[m.name].verdict == UNINFORMATIVE]
    outside = sum(unpowered[m.name].verdict == OUTSIDE for m in others)
    chance = chance_of(others)
    if chance is None or outside <= chance:
        return ""
    return (
        f"outside on {outside} of {counted(len(others), 'measure')} on which even the originals "
        f"lie inside, at most {chance} by chance"
    )


def _remedy(models: RequestModels) -> str:
    """What would give a verdict: how many models, or other data where no number of them would."""
    size = _models_for_power(models)
    if size is None:
        return (
            f"even {2 * MOST_MODELS} oracles and {MOST_MODELS} models of each row would hardly "
            "tell them apart: forget more images, or such as retraining gets wrong (hardest:0.1)"
        )
    return f"about {2 * size} oracles and {size} models of each row may give a verdict"


def _models_for_power(models: RequestModels) -> int | None:
    """Models of a row, against as many oracles of twice as many, that show what originals know.

    By the forget accuracy, whose spread among oracles is known: the smallest number at which the
    difference seen leaves the null band. None above ``MOST_MODELS``.
    """
    from scipy.stats import t

    from jax_unlearn.audit.measures.accuracy import accuracy

    oracle, original = (
        np.array([accuracy(run.predictions.forget) for run in group.kept])
        for group in (models.oracle, models.original)
    )
    step = 100.0 / len(models.oracle.kept[0].predictions.forget.label)
    spread = math.sqrt(np.var(oracle, ddof=1) + step**2 / 12.0)
    apart = abs(float(original.mean() - oracle.mean()))
    first = max(len(oracle) // 2, len(original)) + 1
    for size in range(first, MOST_MODELS + 1):
        if apart > t.ppf(0.975, 2 * size - 1) * spread * math.sqrt(2.0 / size):
            return size
    return None


def uninformative_for_all(
    rows: Sequence[tuple[Group, Results]], measures: Sequence[Measure]
) -> tuple[str, ...]:
    """Return the measures that are uninformative for every row, by name."""
    found = []
    for m in measures:
        verdicts = {results[m.name].verdict for _, results in rows} - {""}
        if verdicts == {UNINFORMATIVE}:
            found.append(m.name)
    return tuple(found)
