"""The page: for each request a table that sorts, and the examples that differ most."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jax_unlearn.core import InputError
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.report.formats import duration, finite, interval, number, percent, row_name
from jax_unlearn.report.page.blocks import Block, Cell, Paragraph, Section, Table
from jax_unlearn.report.page.html import html_page
from jax_unlearn.report.page.lead import outcomes
from jax_unlearn.wording import listed

from .examples import Differing, differing, images_of, load_images
from .reading import Audit

MEASURES = ("gap", "FA", "RA", "TA", "KL_forget", "ulira_auc")
"""Columns of the table, those of them that an audit has."""

COMPARED = (
    "Every row is judged by the audit of its own run: a verdict goes by that run's oracles. Press "
    "a head to sort."
)


def compare_page(
    groups: Sequence[Sequence[Audit]], count: int, data_dir: str | None
) -> tuple[str, list[str]]:
    """Write the page.

    Args:
      groups: audits of one request each.
      count: of examples to show for each request.
      data_dir: where the runs' data lies, None for where it was.

    Returns:
      The page, and a line for each part that is missing.
    """
    sections, notes = [], []
    for audits, text in zip(groups, _headings(groups), strict=True):
        titles = _titles(audits)
        blocks: list[Block] = [Paragraph(_said(audits)), _table(audits, titles)]
        sections.append(Section(text, blocks))
        if count:
            found, missing = _examples(audits, titles, count, data_dir)
            sections.append(Section(f"{text}: the examples that differ most", found, folded=True))
            notes += [f"{text}: {note}" for note in missing]
    runs = list(dict.fromkeys(audit.run for audits in groups for audit in audits))
    return html_page(f"Compared: {listed(runs)}", sections), notes


def _headings(groups: Sequence[Sequence[Audit]]) -> list[str]:
    """Each request in words; with its runs where one of these words forgets other examples."""
    words = [describe_request(audits[0].record["request"]["text"]) for audits in groups]
    runs = [listed([audit.run for audit in audits]) for audits in groups]
    return [
        f"{text} of {whose}" if words.count(text) > 1 else text
        for text, whose in zip(words, runs, strict=True)
    ]


def _said(audits: Sequence[Audit]) -> str:
    """What came out, run by run."""
    told = [f"{audit.run}: {outcomes(audit.record)}" for audit in audits]
    if len(audits) == 1:
        return f"{_sentence(outcomes(audits[0].record))} {COMPARED}"
    return f"{'; '.join(told)}. {COMPARED}"


def _titles(audits: Sequence[Audit]) -> dict[tuple[str, str], str]:
    """How each row is called, by run and name; with its run where several have one of its name.

    References that an earlier run has too, model by model, have no row of their own.
    """
    rows: dict[tuple[str, str], str] = {}
    known = set()
    for audit in audits:
        for row in audit.record["rows"]:
            name = row["name"]
            files = (audit.record.get("files") or {}).get(name) or ()
            models = (name, *sorted(file["sha256"] for file in files))
            if row["kind"] == "method" or len(models) == 1 or models not in known:
                rows[audit.run, name] = name
            known.add(models)
    names = list(rows.values())
    return {
        (run, name): f"{row_name(name)} ({run})" if names.count(name) > 1 else row_name(name)
        for run, name in rows
    }


def _table(audits: Sequence[Audit], titles: Mapping[tuple[str, str], str]) -> Table:
    known = {m["name"]: m for audit in audits for m in audit.record["measures"]}
    chosen = [known[name] for name in MEASURES if name in known]
    heads = [Cell("method"), Cell("verdict"), Cell("outside")]
    heads += [Cell(m["title"], m["unit"]) for m in chosen]
    heads += [Cell("time", "per model"), Cell("of retraining")]
    heads += [Cell("run")] if len(audits) > 1 else []
    body = []
    for audit in audits:
        rows = sorted(audit.record["rows"], key=lambda row: row["kind"] != "method")
        for row in rows:
            if (audit.run, row["name"]) not in titles:
                continue
            line = _line(row, titles[audit.run, row["name"]], [m["name"] for m in chosen])
            body.append([*line, *([Cell(audit.run)] if len(audits) > 1 else [])])
    return Table(heads, body, "measures", sortable=True)


def _line(row: Mapping[str, Any], title: str, measures: Sequence[str]) -> list[Cell]:
    verdict = row["verdict"]
    outside, judged = verdict["outside"], verdict["judged"]
    share = outside / judged if judged else math.nan
    seconds, part = (finite((row.get(key) or {}).get("value")) for key in ("seconds", "share"))
    return [
        Cell(title, "; ".join(row["flags"])),
        Cell("", "", verdict["outcome"]),
        Cell(f"{outside} of {judged}" if judged else "-", order=share),
        *(_measured(row["results"].get(name) or {}) for name in measures),
        Cell(duration(seconds) if math.isfinite(seconds) else "-", order=seconds),
        Cell(percent(part / 100.0) if math.isfinite(part) else "-", order=part),
    ]


def _measured(cell: Mapping[str, Any]) -> Cell:
    value = finite(cell.get("value"))
    ends = interval(cell.get("low"), cell.get("high")) if cell.get("n", 0) > 2 else ""
    return Cell(number(value), ends, cell.get("verdict") or "", order=value)


def _examples(
    audits: Sequence[Audit],
    titles: Mapping[tuple[str, str], str],
    count: int,
    data_dir: str | None,
) -> tuple[list[Block], list[str]]:
    """Lay out the examples, with what is missing of them and why."""
    try:
        found = differing(audits, titles, count)
    except InputError as error:
        why = f"examples are not shown: {_why_missing(audits, error)}"
        return [Paragraph(_sentence(why))], [why]
    images, missing = [""] * len(found.ids), []
    names: Sequence[str] = ()
    try:
        dataset = load_images(audits, data_dir)
        images, names = images_of(dataset, found.ids), dataset.class_names
    except InputError as error:
        missing = [f"images are not shown: {error}"]
    text = (
        "Mean probability of the true class, over the models of a row. Those whose columns lie "
        "farthest apart come first."
    )
    blocks: list[Block] = [Paragraph(text), _grid(found, images, names)]
    return [*(Paragraph(_sentence(note)) for note in missing), *blocks], missing


def _why_missing(audits: Sequence[Audit], error: InputError) -> str:
    """Why predictions are not there: results of runs are passed on without their banks."""
    for audit in audits:
        if audit.config.is_file() and not (audit.folder.parent / "bank").exists():
            return (
                f"the bank of {audit.run} is not in its folder, as of published results, which "
                "come without; the command in its config.json makes it again"
            )
    return (
        f"their predictions are not where the audit found them ({error}); name the run's folder, "
        "with its bank"
    )


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}."


def _grid(found: Differing, images: Sequence[str], names: Sequence[str]) -> Table:
    heads = [Cell("example"), *(Cell(title) for title in found.columns)]
    body = []
    for i, (one, label) in enumerate(zip(found.ids, found.labels, strict=True)):
        name = names[label] if names else f"class {label}"
        first = Cell(f"{one}", str(name), order=float(one), image=images[i])
        values = [float(column[i]) for column in found.columns.values()]
        body.append([first, *(Cell(f"{value:.2f}", order=value) for value in values)])
    return Table(heads, body, sortable=True)
