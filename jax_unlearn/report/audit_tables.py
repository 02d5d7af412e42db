"""An audit's record as text: tables for the terminal and Markdown, long CSV for programs."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from jax_unlearn.audit.comparison.render import Block
from jax_unlearn.report.markdown import escape
from jax_unlearn.report.page.times import run_times
from jax_unlearn.report.page.words import absent_sentence, band_ends, ranking_rule

MARKS = {"inside": "", "outside": " *", "uninformative": " ?", "": ""}
LEGEND = (
    "value ± half-width of the interval over models; * outside the null band, so unlike a model "
    "retrained without the forget set; ? inside it, but so is the original: no power here; no "
    "sign: inside, or no band is known."
)
MODELS_A_TABLE = 6


def tables(audit: Mapping[str, Any]) -> list[Block]:
    """Return measures against models, a few models a table, then verdicts, rankings and times."""
    references = [row for row in audit["rows"] if row["kind"] != "method"]
    methods = [row for row in audit["rows"] if row["kind"] == "method"]
    width = MODELS_A_TABLE - len(references)
    parts = [methods[i : i + width] for i in range(0, len(methods), width)]
    found = [_values(audit, [*references, *part]) for part in parts]
    return [*found, _verdicts(audit), *_rankings(audit), *_courses(audit), _times(audit)]


def _values(audit: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Block:
    lines = []
    for measure in audit["measures"]:
        name = measure["name"]
        band = audit["bands"].get(name)
        unit = f" ({measure['unit']})" if measure["unit"] else ""
        lines.append(
            (
                name + unit,
                band_ends(band["low"], band["high"], measure["outside"], _digits) if band else "-",
                *(cell_text(row["results"][name]) for row in rows),
            )
        )
    names = [row["name"] + (" !" if row["flags"] else "") for row in rows]
    title = f"{audit['request']['text']}: {audit['level']} audit"
    return Block(title, ("measure", "null band", *names), tuple(lines))


def _verdicts(audit: Mapping[str, Any]) -> Block:
    lines = []
    for row in audit["rows"]:
        verdict = row["verdict"]
        numbers = sorted({cell["n"] for cell in row["results"].values() if cell["n"]})
        lines.append(
            (
                row["name"],
                "/".join(map(str, numbers)) or "0",
                f"{verdict['outside']} of {verdict['judged']}",
                "-" if verdict["chance"] is None else str(verdict["chance"]),
                verdict["outcome"],
                "; ".join(row["flags"]),
            )
        )
    header = ("model", "n", "measures outside", "by chance at most", "audit", "flags")
    return Block("Verdicts", header, tuple(lines))


def _rankings(audit: Mapping[str, Any]) -> list[Block]:
    if not audit["ranking"]:
        return []
    lines = [
        (
            f"{ranking['measure']}, {ranking_rule(audit, ranking['measure'], _digits)}",
            ", ".join(f"{entry['name']} {_with_half(entry)}" for entry in ranking["order"]),
            ranking["note"],
        )
        for ranking in audit["ranking"]
    ]
    return [Block("Nearest to retraining first", ("by", "order", ""), tuple(lines))]


def _courses(audit: Mapping[str, Any]) -> list[Block]:
    methods = audit["courses"]["methods"]
    if not methods:
        return []
    header = ("model", "n", "largest distance", "past the oracles", "mean distance")
    lines = [
        (
            name,
            str(way["worst"]["n"]),
            *(_with_half(way[m]) for m in ("worst", "overshoot", "area")),
        )
        for name, way in methods.items()
    ]
    title = "Forget accuracy on the way, in points from the oracles'"
    return [Block(title, header, tuple(lines))]


def _times(audit: Mapping[str, Any]) -> Block:
    header = ("model", "mean run time", "95 % interval, n", "of retraining", "mean compile time")
    lines = [
        (name, time.mean, time.spread or "-", time.share, time.compiling)
        for name, time in run_times(audit).items()
    ]
    return Block("Time", header, tuple(lines))


def cell_text(cell: Mapping[str, Any]) -> str:
    """Return a cell as 'value ±half mark', '-' where nothing is known."""
    return "-" if cell["value"] is None else _with_half(cell) + MARKS[cell["verdict"]]


def _with_half(cell: Mapping[str, Any]) -> str:
    if cell["low"] is None or cell["high"] is None:
        return _digits(cell["value"])
    # An interval that ends at the measure's own limit is shorter on that side.
    half = max(cell["high"] - cell["value"], cell["value"] - cell["low"])
    return f"{_digits(cell['value'])} ±{_digits(half)}"


def _digits(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def to_markdown(audit: Mapping[str, Any]) -> str:
    """Return the whole audit in Markdown."""
    request = audit["request"]
    parts = [
        f"# Audit of {escape(request['text'])}",
        "",
        f"{request['forget']} forget, {request['retain']} retain, {request['test']} test examples; "
        f"{audit['level']} audit. Request {request['hash'] or 'without a hash'}, ids "
        f"{request['ids_hash']}.",
        "",
        *(f"- {escape(sentence)}" for sentence in audit["summary"]),
        "",
    ]
    for table in tables(audit):
        parts += [f"## {escape(table.title)}", "", *_markdown(table), ""]
        if table.header[0] == "measure":
            parts += [LEGEND, ""]
    parts += ["## Notes", "", *(f"- {escape(note)}" for note in audit["notes"]), ""]
    parts += ["## Measures", ""]
    parts += [
        f"- **{m['name']}**: {m['does']}. Higher: {m['higher']}. Needs {m['needs']}. {m['source']}."
        for m in audit["measures"]
    ]
    if audit["not_measured"]:
        parts += ["", "## Measures not taken", ""]
        parts += [f"- {escape(absent_sentence(m))}" for m in audit["not_measured"]]
    return "\n".join([*parts, ""])


def _markdown(table: Block) -> list[str]:
    lines = [[escape(cell) for cell in line] for line in (table.header, *table.rows)]
    rule = ["---"] * len(table.header)
    return [f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])]


def to_csv(audit: Mapping[str, Any]) -> str:
    """Return one line per model and measure, unrounded, empty where nothing is known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = ("value", "low", "high")
    writer.writerow(
        ["model", "kind", "measure", "unit", *ends, "n", "verdict", "band_low", "band_high", "note"]
    )
    for row in audit["rows"]:
        for measure in audit["measures"]:
            cell = row["results"][measure["name"]]
            band = cell["band"] or (None, None)
            numbers = ["" if cell[end] is None else repr(cell[end]) for end in ends]
            writer.writerow(
                [
                    *(row["name"], row["kind"], measure["name"], measure["unit"], *numbers),
                    *(cell["n"], cell["verdict"]),
                    *("" if end is None else repr(end) for end in band),
                    cell["note"],
                ]
            )
    return text.getvalue()
