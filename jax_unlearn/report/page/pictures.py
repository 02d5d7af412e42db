"""The figures of an audit's report, and a sentence for each that cannot be drawn."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.audit.measures.measure import MIN_BANK
from jax_unlearn.core import InputError
from jax_unlearn.report.figures.comparison import gap_against_kl_figure
from jax_unlearn.report.figures.confidence import density_figure, strip_figure
from jax_unlearn.report.figures.cost import gap_against_time_figure
from jax_unlearn.report.figures.course import forget_accuracy_figure
from jax_unlearn.report.figures.epsilon import epsilon_figure
from jax_unlearn.report.figures.roc import roc_figure
from jax_unlearn.report.formats import finite
from jax_unlearn.report.page.blocks import Picture

_ATTACKS = {"ulira": "U-LiRA", "rmia": "RMIA"}
_BANKS = (
    f"; {MIN_BANK} models of each method and {2 * MIN_BANK} oracles have it, as experiments.bank "
    f"--count {2 * MIN_BANK} trains them"
)
_REMEDIES = {
    "roc": _BANKS,
    "epsilon": _BANKS,
    "densities": "; it takes oracles and one method or more",
    "gap-time": "; run times come with models of experiments.run and experiments.bank, not with "
    "files made elsewhere",
    "gap-kl": "; it takes three oracles or more, so that both measures have a null band",
    "examples": "; it takes oracles, an original and one method or more",
    "forget-accuracy": "; methods have it that were watched, in a bank by experiments.bank --watch "
    "or in a run's folder by experiments.run",
}
"""How to come by what a figure is drawn from, where that is a matter of a command."""
_LONGEST = 28
"""Characters of a name that a legend has room for."""


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """Let figures take every name literally; otherwise a dollar sign begins a formula."""
    with matplotlib.rc_context({"text.parse_math": False}):
        yield


def pictures(audit: Mapping[str, Any]) -> tuple[list[Picture], list[str]]:
    """Draw what the record has curves for.

    Returns:
      The pictures, and for each that is missing one sentence that says why.
    """
    curves = audit["curves"]
    rename = short_names([row["name"] for row in audit["rows"]])

    def named(rows: Mapping[str, Any]) -> dict[str, Any]:
        return {rename.get(name, name): value for name, value in rows.items()}

    attacks = list(dict.fromkeys(a for row in (curves.get("roc") or {}).values() for a in row))
    wanted: list[tuple[str, str, bool, Callable]] = [
        (
            f"roc-{i}",
            f"ROC of {_ATTACKS.get(attack, attack)}",
            False,
            lambda title, attack=attack: roc_figure(
                named(
                    {
                        name: (_numbers(row[attack]["fpr"]), _numbers(row[attack]["tpr"]))
                        for name, row in curves["roc"].items()
                        if attack in row
                    }
                ),
                title=title,
            ),
        )
        for i, attack in enumerate(attacks)
    ]
    if not attacks:
        wanted.append(("roc", "ROC of the attacks", False, lambda title: None))
    wanted += [
        ("epsilon", "Epsilon per forget example", False, _epsilon(curves, named)),
        ("densities", "Confidences on the forget set", False, _densities(curves, named)),
        ("gap-time", "Distance to the oracle against time", False, _cost(audit, named)),
        ("gap-kl", "Distance to the oracle by two measures", False, _two_measures(audit, named)),
        ("examples", "Single forget examples", False, _examples(curves, named)),
        ("forget-accuracy", "Forget accuracy during unlearning", False, _course(audit, named)),
    ]
    drawn, omitted = [], []
    for slug, title, wide, draw in wanted:
        try:
            with plain_text():
                figure = draw(title)
        except InputError as error:
            omitted.append(f"{title}: not drawn, {error}")
            continue
        if figure is None:
            remedy = _REMEDIES.get(slug, "")
            omitted.append(f"{title}: not drawn, because the audit holds no such data{remedy}.")
        else:
            drawn.append(Picture(slug, title, figure, wide))
    return drawn, omitted


def _epsilon(curves: Mapping[str, Any], named: Callable) -> Callable:
    rows = _some(curves.get("epsilon"))
    return lambda title: epsilon_figure(named(rows), title=title) if rows else None


def _densities(curves: Mapping[str, Any], named: Callable) -> Callable:
    rows = _some(curves.get("density"))
    drawable = "oracle" in rows and len(rows) > 1
    return lambda title: density_figure(named(rows), title=title) if drawable else None


def _examples(curves: Mapping[str, Any], named: Callable) -> Callable:
    given = (curves.get("confidence") or {}).get("examples") or ()
    rows = [{"oracle": e["oracle"], "original": e["original"], **e["methods"]} for e in given]
    names = {name for row in rows for name in _some(row)}
    examples = [
        {
            "id": example["id"],
            "label": example["label"],
            "models": named({n: _numbers(v or ()) for n, v in row.items() if n in names}),
        }
        for example, row in zip(given, rows, strict=True)
    ]
    return lambda title: strip_figure(examples, title=title) if examples else None


def _cost(audit: Mapping[str, Any], named: Callable) -> Callable:
    """Choose the methods that have both a gap and times."""
    seconds = _some(audit["curves"].get("seconds"))
    measure = next((m for m in audit["measures"] if m["name"] == "gap"), None)
    gaps = {}
    for row in audit["rows"]:
        cell = row["results"].get("gap") or {}
        value = finite(cell.get("value"))
        if row["kind"] == "method" and row["name"] in seconds and np.isfinite(value):
            gaps[row["name"]] = (value, finite(cell.get("low")), finite(cell.get("high")))
    band = audit["bands"].get("gap")
    ends = (finite(band["low"]), finite(band["high"])) if band else (np.nan, np.nan)

    def draw(title: str) -> Figure | None:
        if not gaps or measure is None:
            return None
        return gap_against_time_figure(
            named(gaps),
            named({name: seconds[name] for name in gaps}),
            retrain=seconds.get("oracle", np.empty(0)).tolist(),
            band=ends if np.isfinite(ends).all() else None,
            label=f"{measure['title'].lower()} ({measure['unit']})",
            title=title,
        )

    return draw


def _two_measures(audit: Mapping[str, Any], named: Callable) -> Callable:
    """Choose the methods that have both a gap and a divergence, where both have a null band."""
    bands = audit["bands"]
    points: dict[str, dict[str, list[float]]] = {"gap": {}, "KL_forget": {}}
    for row in audit["rows"]:
        values = {name: finite((row["results"].get(name) or {}).get("value")) for name in points}
        if row["kind"] == "method" and all(map(np.isfinite, values.values())):
            for name, value in values.items():
                points[name][row["name"]] = [value]

    def draw(title: str) -> Figure | None:
        if not points["gap"] or not all(name in bands for name in points):
            return None
        return gap_against_kl_figure(
            named(points["gap"]),
            named(points["KL_forget"]),
            null_gap=[finite(bands["gap"]["high"])],
            null_kl=[finite(bands["KL_forget"]["high"])],
            title=title,
        )

    return draw


def _course(audit: Mapping[str, Any], named: Callable) -> Callable:
    """Give runs of unlike length one shape, and the two lines that they move between."""
    rows = {
        name: _padded(runs)
        for name, runs in (audit["curves"].get("forget_accuracy") or {}).items()
        if name not in ("oracle", "original") and runs and any(runs)
    }
    ends = {
        row["kind"]: finite((row["results"].get("FA") or {}).get("value"))
        for row in audit["rows"]
        if row["kind"] != "method"
    }

    def draw(title: str) -> Figure | None:
        if not rows or "oracle" not in ends:
            return None
        # Without an original model, the runs' common start is where it was.
        start = np.mean([np.nanmean(runs[:, 0]) for runs in rows.values()])
        return forget_accuracy_figure(
            named(rows), oracle=ends["oracle"], original=ends.get("original", start), title=title
        )

    return draw


def _some(rows: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """Take the rows that hold a finite number, missing entries as NaN."""
    arrays = {name: _numbers(values) for name, values in (rows or {}).items() if values}
    return {name: values for name, values in arrays.items() if np.isfinite(values).any()}


def _numbers(values: Iterable[Any]) -> np.ndarray:
    """Read numbers of the record as float64 [N], missing ones as NaN."""
    return np.array([finite(value) for value in values], float)


def _padded(given: Iterable[Iterable[Any]]) -> np.ndarray:
    """Put runs of unlike length into one array [seeds, epochs + 1], NaN after the end."""
    runs = [_numbers(run) for run in given]
    padded = np.full((len(runs), max(map(len, runs))), np.nan)
    for row, run in zip(padded, runs, strict=True):
        row[: len(run)] = run
    return padded


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Cut names to what a legend has room for, and keep them apart."""
    chosen: dict[str, str] = {}
    for name in names:
        text = " ".join(str(name).split())
        short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"
        while short in chosen.values():
            short += "'"
        chosen[name] = short
    return chosen
