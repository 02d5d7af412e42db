"""A run as a tracker shows it: settings, metrics per epoch, the final table, figures.

Everything is in the run's folder as well, so that a tracker that fails loses nothing: a line says
so, and the run goes on without it.
"""

import contextlib
import importlib.util
import json
import math
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jax_unlearn.bank.record import Record
from jax_unlearn.bank.request_models import RequestRecords
from jax_unlearn.core import InputError, check_choice
from jax_unlearn.report.tables import summary_table

from .trackers import TRACKERS, Tracker

AUDIT = "audit.json"


class Tracking:
    """What a run tells its tracker; the first thing that fails is the last that it is told.

    Attributes:
      name: of the tracker, as --track has it.
    """

    def __init__(self, name: str, start: Callable[[], Tracker]):
        self.name = name
        self._followed: set[str] = set()
        self._tracker: Tracker | None = None
        with self._told_once():
            self._tracker = start()

    @contextlib.contextmanager
    def _told_once(self) -> Iterator[None]:
        try:
            yield
        # Trackers fail in ways of their own: no network, no key, a full disk.
        except Exception as error:
            self._tracker = None
            said = " ".join(str(error).split())
            warnings.warn(
                f"track={self.name!r}: {type(error).__name__}: {said}; the run goes on without it, "
                "everything is in its folder",
                stacklevel=2,
            )

    def entry(
        self, group: str, made_of: Mapping[str, Any], number: int, entry: Mapping[str, Any]
    ) -> None:
        """Tell what a model under way has come to after an epoch."""
        model = f"{group}/{seeds_of(made_of)}"
        self._followed.add(model)
        if self._tracker is not None:
            with self._told_once():
                self._tracker.metrics(_numbers(model, entry), number)

    def _history(self, model: str, record: Record) -> None:
        """Tell how a model got there that was not followed, since it was there already."""
        if model in self._followed or self._tracker is None:
            return
        self._followed.add(model)
        for number, entry in enumerate(record.outcome.get("history", ())):
            self._tracker.metrics(_numbers(model, entry), number)

    def request(self, filled: RequestRecords, folder: pathlib.Path) -> None:
        """Tell what came out of a request: how its models got there, its table and its figures."""
        tracker = self._tracker
        if tracker is None:
            return
        slug = filled.forgetting.slug
        groups = {"original": filled.originals, f"{slug}/oracle": filled.oracles}
        groups |= {f"{slug}/{name}": records for name, records in filled.methods.items()}
        with self._told_once():
            for group, records in groups.items():
                for one in records:
                    self._history(f"{group}/{seeds_of(one.ingredients)}", one)
            record = json.loads((folder / AUDIT).read_text())
            head, *lines = summary_table(record)
            tracker.table(f"{slug}/table", head, lines)
            tracker.summary(final_values(record, slug))
            for path in sorted((folder / "figures").glob("*.png")):
                tracker.figure(f"{slug}/{path.stem}", path)

    def close(self) -> None:
        """Let the tracker write what it holds."""
        if self._tracker is not None:
            with self._told_once():
                self._tracker.close()


def start_tracking(name: str, folder: pathlib.Path, settings: Mapping[str, Any]) -> Tracking | None:
    """Begin to tell a tracker of a run; None without one.

    Args:
      name: of the tracker, '' for none.
      folder: of the run, whose name the tracker shows.
      settings: of the run.
    """
    if not name:
        return None
    return Tracking(name, lambda: TRACKERS[name].start(folder, settings))


def check_tracker(name: str) -> None:
    """Raise InputError for a tracker that is unknown or not installed; nothing is imported."""
    if not name:
        return
    check_choice("track", name, TRACKERS)
    package = TRACKERS[name].package
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"track={name!r}: expected the package {package}, which is not installed; "
            f"pip install 'jax_unlearn[{name}]'"
        )


def seeds_of(made_of: Mapping[str, Any]) -> str:
    """The seeds by which a model is told from others of its group: of training, of unlearning."""
    own = (made_of["method"] or {}).get("seed")
    return f"{made_of['seed']}" if own is None else f"{made_of['seed']}-{own}"


def _numbers(model: str, entry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an entry of a history, by model and name."""
    return {f"{model}/{key}": float(value) for key, value in entry.items() if _is_finite(value)}


def final_values(record: Mapping[str, Any], slug: str) -> dict[str, float]:
    """The last number of every measure, by request, row and measure."""
    return {
        f"{slug}/{row['name']}/{name}": float(cell["value"])
        for row in record["rows"]
        for name, cell in row["results"].items()
        if _is_finite(cell["value"])
    }


def _is_finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
