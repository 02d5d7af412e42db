"""The tables of an audit's report: measures with bands, rankings, methods, the legend."""

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

from jax_unlearn.report.formats import (
    FEW,
    band_ends,
    finite,
    interval,
    number,
    row_name,
)
from jax_unlearn.report.page.blocks import Block, Bullets, Cell, Paragraph, Table
from jax_unlearn.report.page.times import run_times
from jax_unlearn.report.page.words import (
    absent_sentence,
    flat,
    ranking_rule,
    sentence,
)
from jax_unlearn.wording import agree, counted, listed

_KEY = (
    "Each cell: value, mark, 95 % interval, number of models (n). \u25cf inside: cannot be told "
    "apart from retraining by this measure. \u25b2 outside: farther from the oracles than "
    "oracles are from each other. \u25cb uninformative: the original, which forgot nothing, lies "
    "inside too, so it proves nothing."
)


def course_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """Lay out how far each method's forget accuracy strayed from the oracles' on the way."""
    methods = (audit.get("courses") or {}).get("methods") or {}
    if not methods:
        return []
    heads = [Cell("method"), Cell("n")]
    heads += [Cell(text) for text in ("largest distance", "beyond the oracles", "mean distance")]
    body = [
        [
            Cell(row_name(name)),
            Cell(str(course["worst"]["n"])),
            *(
                Cell(
                    number(course[key]["value"]),
                    interval(course[key]["low"], course[key]["high"]),
                )
                for key in ("worst", "overshoot", "area")
            ),
        ]
        for name, course in methods.items()
    ]
    text = (
        "Forget accuracy during unlearning, in percentage points from the oracles'; below each "
        "number its 95 % interval."
    )
    return [Paragraph(text), Table(heads, body)]


def measure_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """Lay out the main table: a row per measure, a column per model, the null band beside it.

    Measures without any value are listed below it, and notes of cells are numbered.
    """
    rows = audit["rows"]
    measured: list[tuple[Any, list]] = []
    missing: list[tuple[Any, list]] = []
    for measure in audit["measures"]:
        cells = [row["results"].get(measure["name"], {}) for row in rows]
        has_value = any(not math.isnan(finite(cell.get("value"))) for cell in cells)
        (measured if has_value else missing).append((measure, cells))
    if not measured:
        return [Paragraph("No measure gave a value."), *_missing(missing)]
    notes: dict[str, int] = {}
    # A phone shows the first two columns: the measure, and the method where there is one.
    order = sorted(range(len(rows)), key=lambda i: rows[i]["kind"] != "method")
    head = [Cell("measure")]
    head += [Cell(row_name(rows[i]["name"]), "; ".join(rows[i]["flags"])) for i in order]
    head.append(Cell("null band", "oracles among themselves"))
    body = []
    for measure, cells in measured:
        unit = f"in {measure['unit']}" if measure["unit"] else ""
        band = audit["bands"].get(measure["name"])
        side = measure.get("outside", "both")
        values = [_value(cells[i], band, side, notes) for i in order]
        name = Cell(measure["title"], "; ".join(filter(None, [unit, measure.get("good")])))
        body.append([name, *values, _band(band, side)])
    blocks: list[Block] = [Paragraph(_KEY), Table(head, body, "measures")]
    if notes:
        blocks.append(Bullets([f"({mark}) {note}" for note, mark in notes.items()]))
    return [*blocks, *_missing(missing)]


def ranking_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """Lay out each ranking, nearest to retraining first, its intervals and what they leave open."""
    titles = {measure["name"]: measure["title"] for measure in audit["measures"]}
    blocks: list[Block] = []
    for ranking in audit["ranking"]:
        title = titles.get(ranking["measure"], ranking["measure"])
        rule = ranking_rule(audit, ranking["measure"])
        head = [
            Cell(title, rule),
            Cell("value"),
            Cell("95 % interval"),
            Cell("n"),
        ]
        body = []
        for place, entry in enumerate(ranking["order"], 1):
            n = _n(audit, entry["name"], ranking["measure"])
            ends = interval(entry["low"], entry["high"]) if n >= FEW else ""
            texts = (number(entry["value"]), ends or "-", str(n or "-"))
            name = Cell(f"{place}. {row_name(entry['name'])}")
            body.append([name, *map(Cell, texts)])
        if body:
            blocks.append(Table(head, body))
            if ranking["note"]:
                blocks.append(Paragraph(f"{title}: {ranking['note'].rstrip('.')}."))
    if blocks:
        return blocks
    methods = len(audit["models"]["methods"])
    if methods < 2:
        more = "audit several together, as --methods of a run or NAME=FOLDER of an audit"
        return [Paragraph(f"No ranking: it takes two methods, and there is {methods}; {more}.")]
    more = "more oracles (--oracles 4) give one"
    return [Paragraph(f"No ranking: no method has a value to be ranked by; {more}.")]


def method_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """Lay out how each method was run and how long it took beside retraining."""
    methods = audit["models"]["methods"]
    if not methods:
        return [Paragraph("No unlearned model was given.")]
    heads = ["method", "models", "run time", "of retraining", "compile time", "collapsed"]
    heads += ["unchanged", "ended"]
    body = []
    for name, time in run_times(audit).items():
        method = methods.get(name)
        if method is None:
            others = (str(audit["models"][name]), "-", "-", "-")
        else:
            statuses = [f"{status} {count}" for status, count in (method["statuses"] or {}).items()]
            others = (
                str(method["n"]),
                str(method.get("collapsed") or 0),
                str(method.get("no_op") or 0),
                ", ".join(statuses) or "not reported",
            )
        cells = [
            Cell(row_name(name)),
            Cell(others[0]),
            Cell(time.mean, time.spread),
        ]
        body.append(cells + [Cell(text) for text in (time.share, time.compiling, *others[1:])])
    text = (
        "Run time: mean of a model's training or unlearning with its 95 % interval; watching and "
        "compiling are not counted. Models trained side by side share the time they took."
    )
    return [Paragraph(text), Table([Cell(head) for head in heads], body, "methods")]


def argument_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """List each method's hyperparameters."""
    items = []
    for name, method in audit["models"]["methods"].items():
        arguments = method.get("arguments")
        if arguments is None:
            text = "not known"
        else:
            text = ", ".join(f"{key} = {_short(value)}" for key, value in flat(arguments))
        items.append(f"{row_name(name)}: {text or 'defaults'}.")
    return [Bullets(items)] if items else [Paragraph("None.")]


def legend_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """Lay out what every measure says, which way it points, what it needs and who proposed it."""
    heads = ["measure", "what is good", "what it is", "at the oracle", "higher means"]
    heads.append("how its band is made")
    heads += ["needs", "source"]
    body = []
    for measure in audit["measures"]:
        value = measure["oracle_value"]
        band = audit["bands"].get(measure["name"])
        texts = (
            sentence(measure.get("good") or "good is what retraining has"),
            measure["does"],
            "what the oracles have" if value is None else number(value),
            measure["higher"],
            band["how"] if band else "none",
            measure["needs"],
            measure["source"],
        )
        body.append(
            [
                Cell(measure["title"], measure["name"]),
                *(Cell(text) for text in texts),
            ]
        )
    blocks: list[Block] = [Table([Cell(head) for head in heads], body, "prose")]
    others = audit.get("not_measured") or ()
    if others:
        blocks += [
            Paragraph("Measures that were not taken:"),
            Bullets([absent_sentence(m) for m in others]),
        ]
    return blocks


def settings_blocks(settings: Mapping[str, Any]) -> list[Block]:
    """Lay out settings by dotted name."""
    rows = [[Cell(key), Cell(value)] for key, value in flat(settings)]
    return [Table([Cell("setting"), Cell("value")], rows)] if rows else [Paragraph("None.")]


def file_blocks(audit: Mapping[str, Any]) -> list[Block]:
    """Say which predictions everything was computed from, and how to compute it again."""
    rows = []
    methods = audit["models"]["methods"].items()
    given = itertools.chain(
        (audit.get("files") or {}).items(), ((name, m.get("files")) for name, m in methods)
    )
    for name, files in given:
        paths = [file["path"] for file in files or ()]
        if paths:
            where = paths[0] if len(paths) == 1 else f"{paths[0]} and others"
            rows.append(
                [
                    Cell(row_name(name)),
                    Cell(str(len(paths))),
                    Cell(where),
                ]
            )
    text = (
        "Computed from stored predictions, whose paths and SHA-256 digests are in audit.json. "
        "python -m experiments.audit --check audit.json computes everything again and says where "
        "it differs."
    )
    heads = [Cell("models"), Cell("files"), Cell("where")]
    return [Paragraph(text), *([Table(heads, rows)] if rows else [])]


def _band(band: Mapping[str, Any] | None, side: str) -> Cell:
    """Lay out one null band."""
    if not band:
        return Cell("none")
    ends = band_ends(band["low"], band["high"], side)
    return Cell(ends, f"median {number(band['median'])}, n\u00a0{band['n']}")


def _value(
    cell: Mapping[str, Any], band: Mapping[str, Any] | None, side: str, notes: dict[str, int]
) -> Cell:
    """Lay out one value; its note goes into ``notes`` and leaves its number.

    A row of fewer models than the others has a wider band of its own, which decides its mark.
    """
    details = []
    if not math.isnan(finite(cell.get("value"))):
        ends = interval(cell.get("low"), cell.get("high")) if cell["n"] >= FEW else ""
        details = [ends or "no interval", f"n\u00a0{cell['n']}"]
    own = cell.get("band")
    if own and band and list(own) != [band["low"], band["high"]]:
        details.append(f"band {band_ends(own[0], own[1], side)}")
    if cell.get("note"):
        details.append(f"({notes.setdefault(cell['note'], len(notes) + 1)})")
    return Cell(number(cell.get("value")), ", ".join(details), cell.get("verdict") or "")


def _short(text: str) -> str:
    """Write a fraction with four figures; the record has it whole."""
    try:
        return f"{float(text):.4g}" if re.search(r"\d[.e]", text) else text
    except ValueError:
        return text


def _missing(missing: list) -> list[Block]:
    """Say which measures have no value, and what they would need."""
    if not missing:
        return []
    items = []
    for measure, cells in missing:
        notes = dict.fromkeys(cell["note"] for cell in cells if cell.get("note"))
        why = f" ({listed(notes)})" if notes else ""
        items.append(f"{measure['title']}: needs {measure['needs']}{why}.")
    what = f"{counted(len(missing), 'measure')} {agree(len(missing), 'has', 'have')}"
    return [Paragraph(f"{what} no value here:"), Bullets(items)]


def _n(audit: Mapping[str, Any], name: str, measure: str) -> int:
    """Look up behind how many models a ranked value stands; 0 for unknown."""
    for row in audit["rows"]:
        if row["name"] == name:
            return int(row["results"].get(measure, {}).get("n", 0))
    return 0
