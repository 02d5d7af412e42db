"""The tables of a leaderboard: runs that are alike, and the places of their methods."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from jax_unlearn.core import InputError

from .entries import Entry, Request


@dataclasses.dataclass(frozen=True)
class Placed:
    """A method with its place.

    Attributes:
      entry: the method.
      place: by its gap, from 1 on.
      best: the place that it would have if all that cannot be told apart from it came after it.
      worst: the same if they came before it.
    """

    entry: Entry
    place: int
    best: int
    worst: int


@dataclasses.dataclass(frozen=True)
class Table:
    """One request with the methods of all runs that are alike.

    Attributes:
      first: the first of the runs, which gives title, null band, originals and oracles.
      placed: the methods, nearest to retraining first.
      unranked: rows without a place.
    """

    first: Request
    placed: tuple[Placed, ...]
    unranked: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """Data and request."""
        return f"{self.first.data}, {self.first.title}"


def make_tables(requests: Iterable[Request]) -> list[Table]:
    """Put requests of runs that are alike into one table each, in the order given.

    Raises:
      InputError: two runs have a method of the same name.
    """
    alike: dict[str, list[Request]] = {}
    for request in requests:
        alike.setdefault(request.alike, []).append(request)
    return [_table(group) for group in alike.values()]


def _table(group: Sequence[Request]) -> Table:
    entries = [entry for request in group for entry in request.entries]
    seen: dict[str, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.title.casefold(), entry)
        if other is not entry:
            raise InputError(
                f"run={entry.run!r}: {entry.title} is on the board already, by run {other.run}: "
                "expected a method of another name; give its class another title, or leave the "
                "run out"
            )
    return Table(
        group[0],
        place_all([entry for entry in entries if not entry.unranked]),
        tuple(sorted((entry for entry in entries if entry.unranked), key=_by_reason)),
    )


def _by_reason(entry: Entry) -> tuple[str, float]:
    """Rows without a place stand by why they have none, then by gap; one without a gap last."""
    gap = entry.gap["value"]
    return entry.unranked, math.inf if gap is None else gap


def place_all(entries: Sequence[Entry]) -> tuple[Placed, ...]:
    """Put methods in order of their gaps, with the places that their intervals leave open.

    Two cannot be told apart if their difference is no larger than the half of its interval, with
    the gaps taken as independent: they may be of different runs.
    """
    ordered = sorted(entries, key=lambda entry: entry.gap["value"])
    return tuple(
        Placed(
            entry,
            place,
            1 + sum(_nearer(other, entry) for other in ordered),
            len(ordered) - sum(_nearer(entry, other) for other in ordered),
        )
        for place, entry in enumerate(ordered, 1)
    )


def _nearer(one: Entry, other: Entry) -> bool:
    """Whether a method is nearer to retraining than another, beyond what chance makes."""
    apart = other.gap["value"] - one.gap["value"]
    return apart > math.hypot(_half(one), _half(other))


def _half(entry: Entry) -> float:
    """The longer side of an interval: a gap's is cut short at 0."""
    value, low, high = (entry.gap[end] for end in ("value", "low", "high"))
    return math.inf if low is None or high is None else max(high - value, value - low)
