"""An ablation's record as figures: one for each field of a study, one of a grid or a sample."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jax_unlearn.data.request_text import describe_request
from jax_unlearn.display import display_name
from jax_unlearn.report.figures import settings_figure, sweep_figure

from .settings import CENTRE

DRAWN = {"FA": "forget accuracy (%)", "gap": "average gap (points)"}
"""Measures of the figures, by name, with what stands beside the axis."""

LINES = 6
"""Most lines in a panel."""


def figures_of(record: Mapping[str, Any]) -> dict[str, Figure]:
    """Figures by the name of their file: a study's fields, or what a grid or a sample varied."""
    rows = [row for row in record["rows"] if row["kind"] == "setting" and row["results"]]
    fields = record["fields"]
    varied = [f for f in fields if len({repr(row["values"][f]) for row in rows}) > 1]
    axes = None if record["sampled"] or not varied else _axes(rows, varied)
    found: dict[str, Figure | None] = {}
    if record["one_at_a_time"]:
        found = {field: _of_study(record, rows, field) for field in fields}
    elif axes:
        found = {"-".join(varied): _of_grid(record, rows, *axes)}
    elif varied:
        found = {"settings": _dots(record, rows, varied)}
    return {name: figure for name, figure in found.items() if figure is not None}


def _of_study(
    record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], field: str
) -> Figure | None:
    """The rows that differ from the centre in one field alone, and the centre."""
    (centre,) = [row["values"] for row in record["rows"] if row["name"] == CENTRE]
    others = [name for name in centre if name != field]
    mine = [row for row in rows if all(row["values"][n] == centre[n] for n in others)]
    values = [row["values"][field] for row in mine]
    # A field that no setting could change, or none but the centre.
    if len(values) < 2:
        return None
    return _sweep(record, field, values, [mine], None)


def _of_grid(
    record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], across: str, other: str
) -> Figure | None:
    """All rows of a grid over one field, or two; those of ``other`` are lines."""
    values = _values(rows, across)
    levels = _values(rows, other) if other else [None]
    found = {(repr(row["values"][across]), repr(row["values"].get(other))): row for row in rows}
    grid = [[found.get((repr(value), repr(level))) for value in values] for level in levels]
    return _sweep(record, across, values, grid, {other: levels} if other else None)


def _axes(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> tuple[str, str] | None:
    """Which field goes along the axis and which makes lines; None where there are too many."""
    if len(varied) == 1:
        return varied[0], ""
    few = [field for field in varied if len(_values(rows, field)) <= LINES]
    if len(varied) > 2 or not few:
        return None

    def fit(field: str) -> tuple[bool, int]:
        # Numbers go along the axis, where a line may join them; of two such the finer.
        values = _values(rows, field)
        return not all(map(_is_number, values)), -len(values)

    other = max(few, key=fit)
    (across,) = [field for field in varied if field != other]
    return across, other


def _sweep(
    record: Mapping[str, Any],
    field: str,
    values: Sequence[Any],
    grid: Sequence[Sequence[Mapping[str, Any] | None]],
    lines: Mapping[str, Sequence[Any]] | None,
) -> Figure | None:
    """Draw rows [L, V] against the values of a field; None where nothing was measured."""
    (oracle,) = [row for row in record["rows"] if row["kind"] == "oracle"]
    measures = {}
    for name, title in DRAWN.items():
        array = np.stack([[_by_seed(row, name, record) for row in line] for line in grid])
        measures[title] = array if lines else array[0]
    if not all(np.isfinite(array).any() for array in measures.values()):
        return None
    known = {n: r["value"] for n, r in oracle["results"].items() if r["value"] is not None}
    bands = {n: band for n, band in record["bands"].items() if None not in band}
    return sweep_figure(
        field,
        [_text(value) for value in values],
        measures,
        lines=lines and {name: [_text(v) for v in levels] for name, levels in lines.items()},
        oracle={DRAWN[name]: value for name, value in known.items() if name in DRAWN},
        bands={DRAWN[name]: tuple(band) for name, band in bands.items() if name in DRAWN},
        title=f"{_who(record)}: {field}",
    )


def _dots(
    record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], varied: Sequence[str]
) -> Figure | None:
    gaps = np.stack([_by_seed(row, "gap", record) for row in rows])
    if not np.isfinite(gaps).any():
        return None
    (oracle,) = [row for row in record["rows"] if row["kind"] == "oracle"]
    band = record["bands"].get("gap")
    return settings_figure(
        {field: [_text(row["values"][field]) for row in rows] for field in varied},
        DRAWN["gap"],
        gaps,
        oracle=oracle["results"]["gap"]["value"],
        band=band if band is None or None in band else tuple(band),
        title=f"{_who(record)}: {len(rows)} settings",
    )


def _who(record: Mapping[str, Any]) -> str:
    return f"{display_name(record['method'])}, {describe_request(record['request']['text'])}"


def _values(rows: Sequence[Mapping[str, Any]], field: str) -> list[Any]:
    """Values of a field in the order of the rows, each once."""
    return list({repr(row["values"][field]): row["values"][field] for row in rows}.values())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> Any:
    """A value that a figure can show: numbers and words as they are."""
    return str(value) if isinstance(value, list) else value


def _by_seed(row: Mapping[str, Any] | None, name: str, record: Mapping[str, Any]) -> np.ndarray:
    """A measure by seed, float [seeds], NaN where a model is missing."""
    seeds = record["seeds"]
    result = row["results"].get(name) if row else None
    known = dict(zip(result["seeds"], result["by_seed"], strict=True)) if result else {}
    return np.array([np.nan if known.get(s) is None else known[s] for s in seeds], float)
