"""Figures of what the bank has stored: predictions, histories and times."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jax_unlearn.bank.record import Record
from jax_unlearn.core import Outputs, Predictions
from jax_unlearn.report import MethodRun, Picture, method_figures
from jax_unlearn.report.figures import entropy_figure, forget_accuracy_figure, time_figure

from .chosen import Chosen
from .drawing import Drawing, Missing
from .finished import Finished

WATCH = (
    "needs accuracies on the way, and no model of the run has them; run again with another --out "
    "and no --bank that was filled without --watch"
)


def forget_accuracy(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Forget accuracy per epoch of every method, with the oracle's line and null band."""
    curves = {name: _curves(records) for name, records in chosen.methods.items()}
    curves = {name: curve for name, curve in curves.items() if np.isfinite(curve).any()}
    if not curves:
        raise Missing(WATCH)

    def levels(records: Sequence[Record]) -> list[float]:
        return [run.accuracies(record, chosen)["FA"] for record in records]

    figure = forget_accuracy_figure(
        curves,
        oracle=levels(chosen.oracles),
        original=levels(chosen.originals),
        band=run.band(chosen, "FA"),
        title=title,
    )
    return Drawing([Picture(f"{chosen.stem}-forget-accuracy", title, figure)])


def _curves(records: Sequence[Record]) -> np.ndarray:
    """Forget accuracies in percent, [seeds, epochs + 1], NaN after the end and where unknown."""
    runs = [
        [entry.get("forget_accuracy") for entry in record.outcome.get("history", [])]
        for record in records
    ]
    longest = max(1, *(len(run) for run in runs))
    padded = [[np.nan if v is None else v for v in run] + [np.nan] * longest for run in runs]
    return np.array([run[:longest] for run in padded], float)


def entropy(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Densities of output entropy on forget and test images, pooled over seeds."""
    groups = {"oracle": chosen.oracles, "original": chosen.originals, **chosen.methods}
    pooled = {
        name: _pooled([run.predictions(record, chosen) for record in records])
        for name, records in groups.items()
    }
    figure = entropy_figure(pooled, title=title)
    return Drawing([Picture(f"{chosen.stem}-entropy", title, figure)])


def _pooled(models: Sequence[Predictions]) -> Predictions:
    """The outputs of several models as if they were one's."""

    def joined(parts: Sequence[Outputs]) -> Outputs:
        return Outputs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    return Predictions(
        joined([model.forget for model in models]),
        joined([model.retain for model in models]),
        joined([model.test for model in models]),
        np.concatenate([np.asarray(model.test_forgotten) for model in models]),
    )


def time(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Unlearning time per method, without compilation."""
    seconds = {name: _seconds(run, records) for name, records in chosen.methods.items()}
    if not seconds:
        raise Missing("needs a method of which not every model collapsed")
    retrain = _seconds(run, chosen.oracles)
    if not np.isfinite(retrain).any():
        raise Missing("needs oracles that were trained here, not taken from a reference")
    figure = time_figure(seconds, retrain=retrain, title=title)
    return Drawing([Picture(f"{chosen.stem}-time", title, figure)])


def _seconds(run: Finished, records: Sequence[Record]) -> list[float]:
    return [run.bank.run_seconds(record) for record in records]


def mumis_course(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Both sensitivities and the accuracies on the way, with the stop, of the first seed."""
    del title
    named = [n for n in run.methods(chosen) if getattr(n.unlearner, "history_figure", "")]
    if not named:
        raise Missing("needs MU-Mis; run again with --methods mumis and another --out")
    runs = {}
    for one in named:
        # One that collapsed, too: how it came to that is what its course shows.
        outcome = chosen.every[one.name][0].outcome
        history, status = outcome.get("history", ()), outcome["status"]
        if history:
            runs[one.name] = MethodRun(method=one.unlearner, history=history, status=status)
    if not runs:
        raise Missing(WATCH)
    return declared(run, chosen, "mumis-course", runs)


def declared(run: Finished, chosen: Chosen, name: str, runs: Mapping[str, MethodRun]) -> Drawing:
    """Draw what methods declare, under the figure's name; several with what tells them apart."""
    found = [run.accuracies(record, chosen) for record in chosen.oracles]
    results = {name: {"value": float(np.mean([f[name] for f in found]))} for name in found[0]}
    record: dict[str, Any] = {
        "request": {"text": chosen.text},
        "models": {"methods": {}},
        "rows": [{"name": "oracle", "kind": "oracle", "results": results}],
    }
    drawn = method_figures(runs, record)
    apart = [f"-{p.slug}" if len(drawn) > 1 else "" for p in drawn]
    return Drawing(
        [
            Picture(f"{chosen.stem}-{name}{word}", p.text, p.figure)
            for p, word in zip(drawn, apart, strict=True)
        ]
    )
