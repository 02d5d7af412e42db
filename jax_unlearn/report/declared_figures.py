"""Figures that a method asks for: of its run's history, and of the rows that it was shown.

A method names them in ``history_figure`` and ``pool_figure``; what each name means stands here.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.audit.records.reading import titles_of
from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.report.figures.course import mumis_figure
from jax_unlearn.report.figures.hybrids import hybrid_figure
from jax_unlearn.report.formats import finite, row_name
from jax_unlearn.report.page.blocks import Picture
from jax_unlearn.report.page.pictures import plain_text

SHOWN = 3
"""Rows of a pool that are drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodRun:
    """One run of a method, as far as figures are drawn of it.

    Attributes:
      method: what was run; ``history_figure`` and ``pool_figure`` name its figures.
      history: the run's history, as its result has it; empty leaves out figures of it.
      status: how the run ended, such as 'finished' or 'stopped'.
      rows: what the method was shown, for 'hybrids' what ``method.hybrids(key, problem)`` returns;
        None leaves out figures of it.
      problem: what the rows were made of; needed where rows are given.
      class_names: name of each class; empty names them by number.
    """

    method: Any
    history: Sequence[Mapping[str, Any]] = ()
    status: str = ""
    rows: Any = None
    problem: Any = None
    class_names: Sequence[str] = ()


def method_figures(runs: Mapping[str, MethodRun], record: Mapping[str, Any]) -> list[Picture]:
    """Draw what the methods ask for, for :func:`~jax_unlearn.report.write_report`.

    Images that are neither grey nor of three channels cannot be shown; their figure is left out.

    Args:
      runs: row of the audit -> a run of that row.
      record: of the audit, for the oracles' accuracies and the request's text.

    Raises:
      InputError: if a method names a figure that is unknown, or its data do not make one.
    """
    drawn: list[Picture] = []
    titles = titles_of(record)
    for name, run in runs.items():
        shown = row_name(titles.get(name, name))
        wanted = (
            ("history_figure", HISTORY_FIGURES, bool(run.history)),
            ("pool_figure", POOL_FIGURES, run.rows is not None),
        )
        for declared, figures, given in wanted:
            kind = getattr(run.method, declared, "")
            if kind and kind not in figures:
                raise InputError(
                    f"{declared}={kind!r} of {shown}: expected one of {sorted(figures)} "
                    "or '' for none"
                )
            if not kind or not given:
                continue
            request = describe_request(record["request"]["text"]).replace(" ", "\u00a0")
            title = f"{shown}: {_TITLES[kind]} ({request})"
            with plain_text():
                figure = figures[kind](run, record, title)
            if figure is not None:
                slug = _slug(f"{kind}-{name}", [picture.slug for picture in drawn])
                drawn.append(Picture(slug, title, figure))
    return drawn


def _mumis(run: MethodRun, record: Mapping[str, Any], title: str) -> Figure:
    """Draw the sensitivities and accuracies on the way, and the oracles' accuracies."""
    measures = {"forget_accuracy": "FA", "retain_accuracy": "RA", "test_accuracy": "TA"}
    results: Mapping[str, Any] = next(
        (r["results"] for r in record["rows"] if r["kind"] == "oracle"), {}
    )
    levels = {key: finite((results.get(m) or {}).get("value")) for key, m in measures.items()}
    return mumis_figure(
        run.history,
        stop_step=int(run.history[-1]["step"]) if run.status == "stopped" else None,
        stop_ratio=getattr(run.method, "stop_ratio", None),
        oracle={key: level for key, level in levels.items() if np.isfinite(level)},
        title=title,
    )


def _hybrids(run: MethodRun, record: Mapping[str, Any], title: str) -> Figure | None:
    """Draw some hybrids, evenly over the forget set, with what they were blended from."""
    if run.problem is None:
        raise InputError("problem=None: expected what the rows were made of; give it with them")
    forget, retain = run.problem.forget, run.problem.retain
    if forget.image.shape[3] not in (1, 3):
        return None
    count = len(run.rows.label)
    shown = np.linspace(0, count - 1, min(SHOWN, count)).astype(int)
    return hybrid_figure(
        np.asarray(forget.image[shown]),
        np.asarray(retain.image[np.asarray(run.rows.partner)[shown]]),
        np.asarray(run.rows.mask),
        np.asarray(run.rows.image)[shown],
        forget_labels=np.asarray(forget.label)[shown],
        hybrid_labels=np.asarray(run.rows.label)[shown],
        class_names=run.class_names,
        title=title,
    )


_Draw = Callable[[MethodRun, Mapping[str, Any], str], Figure | None]

HISTORY_FIGURES: dict[str, _Draw] = {"mumis": _mumis}
"""What a method may name in ``history_figure``."""

POOL_FIGURES: dict[str, _Draw] = {"hybrids": _hybrids}
"""What a method may name in ``pool_figure``."""

_TITLES = {"mumis": "sensitivities and accuracies", "hybrids": "hybrids, one run"}


def _slug(text: str, taken: Sequence[str]) -> str:
    """Make a slug of any text, unlike those that are taken."""
    base = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    slug, count = base, 1
    while slug in taken:
        count += 1
        slug = f"{base}-{count}"
    return slug
