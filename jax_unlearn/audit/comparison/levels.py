"""How much an audit does: quick, standard or strong, as far as the models allow."""

import dataclasses
from collections import Counter
from typing import Any

from jax_unlearn.audit.comparison.models import Group, RequestModels
from jax_unlearn.audit.measures.measure import LEVELS, MIN_BANK, QUICK, STANDARD, STRONG
from jax_unlearn.core import check_choice
from jax_unlearn.wording import agree, counted

STANDARD_ORACLES = 5
FULL_BANK = 64
QUICK_MODELS = 4


def choose_level(level: str, models: RequestModels) -> tuple[str, list[str]]:
    """Return the level that an audit can have, and what a reader must know of it.

    Args:
      level: 'quick', 'standard', 'strong' or 'auto' for the highest possible.
      models: of the request.

    Raises:
      InputError: for an unknown level.
    """
    check_choice("level", level, (*LEVELS, "auto"))
    oracles = len(models.oracle.kept)
    others = [len(g.kept) for g in models.groups if g is not models.oracle]
    largest = max(others, default=0)
    possible = QUICK
    if oracles >= STANDARD_ORACLES:
        possible = STANDARD
    if oracles >= 2 * MIN_BANK and largest >= MIN_BANK:
        possible = STRONG
    chosen = possible if level == "auto" else min(level, possible, key=LEVELS.index)
    notes = []
    if level != "auto" and chosen != level:
        needed = (
            f"{STANDARD_ORACLES} oracles"
            if level == STANDARD
            else f"{2 * MIN_BANK} oracles and {MIN_BANK} models of one row"
        )
        notes.append(
            f"The {level} audit needs at least {needed}; there {agree(oracles, 'is', 'are')} "
            f"{counted(oracles, 'oracle')} and at most {counted(largest, 'other model')} of a row: "
            f"the {chosen} audit was done instead."
        )
    if oracles < 2:
        notes.append("One oracle gives no null band.")
    if chosen == QUICK:
        notes.append(
            f"The quick audit takes at most {QUICK_MODELS} models of each row, of as many training "
            "seeds as it can."
        )
    if chosen != STRONG and level in ("auto", STRONG):
        notes.append(
            "Left out, because they compare banks of models: forgetting quality, epsilon, U-LiRA, "
            f"RMIA and KLOM. They need {2 * MIN_BANK} oracles and {MIN_BANK} models, better "
            f"{2 * FULL_BANK} and {FULL_BANK}."
        )
    if chosen == STRONG and min(oracles // 2, largest) < FULL_BANK:
        notes.append(
            f"Banks are compared at {min(oracles // 2, largest)} models a side: small differences "
            f"and low false positive rates need {FULL_BANK} against {2 * FULL_BANK} oracles."
        )
    return chosen, notes


def at_level(models: RequestModels, level: str) -> RequestModels:
    """Return the models that an audit of this level looks at."""
    if level != QUICK:
        return models
    return RequestModels(
        _first(models.original),
        _first(models.oracle),
        {name: _first(group) for name, group in models.methods.items()},
    )


def _first(group: Group) -> Group:
    working = _spread([i for i, out in enumerate(group.collapsed) if not out], group)
    # All that collapsed stay: they cost nothing, and are to be counted.
    order = sorted([*working, *(i for i, out in enumerate(group.collapsed) if out)])
    chosen: dict[str, Any] = {
        name: tuple(getattr(group, name)[i] for i in order) for name in _PER_RUN
    }
    return dataclasses.replace(group, **chosen)


def _spread(working: list[int], group: Group) -> list[int]:
    """The first of every training seed, then the second of every one, and so on."""
    turns: Counter[int | None] = Counter()
    ranked = []
    for index in working:
        seed = group.runs[index].seed
        # Of unknown seeds each may be another.
        ranked.append((0 if seed is None else turns[seed], index))
        turns[seed] += 1
    return [index for _, index in sorted(ranked)[:QUICK_MODELS]]


_PER_RUN = ("runs", "collapsed", "no_op")
