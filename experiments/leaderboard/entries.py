"""A leaderboard's entries: a row of a run, with whose method it is and whether it has a place."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jax_unlearn.audit.comparison.results import OUTSIDE
from jax_unlearn.display import DEFAULTS, method_of
from jax_unlearn.registry import METHODS

from ..search.forgetting import WAY
from ..shared.composed import methods_in

GAP, FA, KL = "gap", "FA", "KL_forget"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of a run.

    Attributes:
      title: how a reader knows the method.
      submitted: ``built-in``, or the file, module or package of someone's own, with the beginning
        of its digest.
      chosen: how its hyperparameters came about: ``searched``, ``set`` by hand, or ``defaults``.
      run: name of the run's folder.
      gap: ``value``, ``low`` and ``high`` of the average gap; all None where nothing is known.
      fa: the same of the forget accuracy, percent.
      kl: the same of the KL divergence on the forget set.
      seconds: ``value``, the median wall time of its models.
      verdict: in words.
      unranked: why it has no place, '' if it has one.
    """

    title: str
    submitted: str
    chosen: str
    run: str
    gap: Mapping[str, Any]
    fa: Mapping[str, Any]
    kl: Mapping[str, Any]
    seconds: Mapping[str, Any]
    verdict: str
    unranked: str = ""


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of a run.

    Attributes:
      alike: digest of what must be the same for rows to be compared.
      data: name of the data set.
      title: of the request.
      setting: size, network and models, in words.
      band: upper end of the null band of the gap.
      original: row of the originals.
      oracle: row of the held-out oracles.
      entries: of the methods.
      told: the run's folder with its command, date, versions and hardware.
    """

    alike: str
    data: str
    title: str
    setting: str
    band: float
    original: Entry
    oracle: Entry
    entries: tuple[Entry, ...]
    told: Mapping[str, Any]


def make_entry(
    run: str,
    name: str,
    row: Mapping[str, Any],
    settings: Mapping[str, Any],
    chosen: str = "",
    unranked: str = "",
) -> Entry:
    """An entry of a row of an audit whose rows go by their titles."""
    results, verdict = row["results"], row["verdict"]
    outcome = verdict["outcome"]
    if verdict["judged"]:
        outcome += f", {verdict['outside']} of {verdict['judged']} outside"
    return Entry(
        title=row["name"],
        submitted=_submitted(name, settings),
        chosen=chosen,
        run=run,
        gap=results[GAP],
        fa=results[FA],
        kl=results[KL],
        seconds=row["seconds"],
        verdict="; ".join([outcome, *row["flags"]]),
        unranked=unranked,
    )


def why_unranked(
    name: str, row: Mapping[str, Any], original: Mapping[str, Any], oracle: Mapping[str, Any]
) -> str:
    """Why a row has no place among the methods, '' if it has one."""
    if name.endswith(DEFAULTS):
        return "at its defaults"
    if row["results"][GAP]["value"] is None:
        return "none of its models works"
    after, before, reached = (side["results"][FA]["value"] for side in (row, original, oracle))
    # Where originals answer as oracles do, forget accuracy tells nothing.
    tells = original["results"][FA]["verdict"] == OUTSIDE
    if tells and (before - after) / (before - reached) < WAY:
        return "leaves the set known"
    return ""


def make_absent(run: str, absent: Mapping[str, Any], settings: Mapping[str, Any]) -> Entry:
    """An entry of a method that cannot take the request."""
    unknown = {"value": None, "low": None, "high": None}
    results = dict.fromkeys((GAP, FA, KL), unknown)
    verdict = {"outcome": f"not run: {absent['why']}", "judged": 0}
    row = {"name": absent["title"], "results": results, "verdict": verdict}
    row |= {"seconds": unknown, "flags": []}
    return make_entry(run, absent["name"], row, settings, unranked="not run")


def how_chosen(name: str, settings: Mapping[str, Any], text: str) -> str:
    """How the hyperparameters of a row came about, as far as its run's settings tell."""
    if name.endswith(DEFAULTS):
        return "defaults"
    own = settings["experiment"]
    given = set(settings["requests"].get(text, {}).get(name, {}).get("arguments", ()))
    by_hand = {_field(entry) for entry in own.get("set", ()) if _is_of(entry, name)}
    if own.get("hyperparameters") and given - by_hand:
        return "searched"
    # A batch size is what the data allow, and that of all others.
    return "set" if given - {"batch_size"} else "defaults"


def _field(entry: str) -> str:
    """The hyperparameter that an entry of ``set`` is of."""
    return entry.partition("=")[0].rpartition(".")[2]


def _is_of(entry: str, name: str) -> bool:
    """Whether an entry of ``set`` is of a row's method, whatever kind of request it is for."""
    owner = entry.partition("=")[0].rpartition(".")[0]
    return owner == name or owner.partition("/")[2] == name


def _submitted(name: str, settings: Mapping[str, Any]) -> str:
    """Whose a row's method is, or its methods, one for each step of a sequence."""
    methods = methods_in(method_of(name))
    return ", ".join(dict.fromkeys(_owner(method, settings) for method in methods))


def _owner(method: str, settings: Mapping[str, Any]) -> str:
    """Whose a method is: the library's, a package's, or that of a file of someone's own."""
    source = settings["sources"].get(method)
    if source is None:
        return "built-in" if method in METHODS else "an installed package"
    package = settings.get("packages", {}).get(method, "").rpartition(" of ")[2]
    place = package or pathlib.PurePath(method.rpartition(":")[0]).name
    return f"{place} ({source[:8]})"
