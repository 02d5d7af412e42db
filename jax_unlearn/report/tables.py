"""An audit's record as tables: one in long form for programs, one of verdicts to read.

Nothing here needs an extra; Rich is imported where the terminal is written to.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jax_unlearn.audit.measures.focus import FOCUS_NAMES
from jax_unlearn.audit.records.reading import check_record, titled, titles_of
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.report.formats import with_half
from jax_unlearn.report.markdown import MarkdownText, escape, table
from jax_unlearn.report.page.words import accuracy_sentence

if TYPE_CHECKING:
    from rich.console import Console

HALF = "± is half of a 95 % interval over models, cut off where the measure's range ends."

COLUMNS = (
    *("request", "row", "kind", "measure", "unit", "value", "low", "high", "n", "verdict"),
    *("band_low", "band_high", "note"),
)
"""Columns of the long table."""

_SHOWN = {"RA": "RA", "FA": "FA", "TA": "TA", "gap": "gap", "KL_forget": "KL to oracle"}
"""Measures of the table of verdicts, by name, with their heads."""

_PLANNED = ("", "finished", "stopped", "collapsed")
"""Ends of a run that need no word; collapsed ones have a flag."""


def long_table(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one line per row of the audit and measure, with the keys :data:`COLUMNS`.

    Numbers are unrounded and None where nothing is known; ``unit`` is the measure's, and the band
    is the one that decided ``verdict``, that of as many models as the row has. ``row`` is the name
    that commands know it by. The note of a method without a setting that works begins with that.

    Args:
      record: of an audit.

    Raises:
      InputError: if ``record`` is of another format or lacks a part.
    """
    check_record(record)
    lines = []
    for row in record["rows"]:
        failed = (record["models"]["methods"].get(row["name"]) or {}).get("failed")
        for measure in record["measures"]:
            result = row["results"][measure["name"]]
            low, high = result.get("band") or (None, None)
            given = {key: result[key] for key in ("value", "low", "high", "n", "verdict")}
            note = "; ".join(filter(None, [failed, result["note"]]))
            lines.append(
                {
                    "request": record["request"]["text"],
                    "row": row["name"],
                    "kind": row["kind"],
                    "measure": measure["name"],
                    "unit": measure["unit"],
                    "band_low": low,
                    "band_high": high,
                    "note": note,
                    **given,
                }
            )
    return lines


def to_csv(record: Mapping[str, Any]) -> str:
    """Return the long table as CSV: unrounded, empty where nothing is known.

    Raises:
      InputError: as :func:`long_table`.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(long_table(record))
    return text.getvalue()


def summary_table(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the table of verdicts, its head first: a line per row of the audit, all text.

    Raises:
      InputError: if ``record`` is of another format or lacks a part.
    """
    record = titled(record)
    shown = _shown(record)
    lines = [("model", *shown.values(), "seconds", "verdict", "flags")]
    for row in record["rows"]:
        values = (row["results"].get(name) for name in shown)
        flags = [*row["flags"], *_unplanned_ends(record, row["name"])]
        lines.append(
            (
                row["name"],
                *(with_half(value) for value in (*values, row.get("seconds"))),
                row["verdict"]["outcome"],
                "; ".join(flags),
            )
        )
    hyphens = ("-",) * (len(shown) + 1)
    for absent in record.get("unfit", ()):
        lines.append((absent["title"], *hyphens, "not run", absent["why"]))
    return lines


def _shown(record: Mapping[str, Any]) -> dict[str, str]:
    """Measures of the table by name, with their heads: what a request asks for of its own first."""
    own = {m["name"]: m["title"] for m in record["measures"] if m["name"] in FOCUS_NAMES}
    taken = {
        name: title
        for name, title in own.items()
        if any(row["results"][name]["value"] is not None for row in record["rows"])
    }
    return {**taken, **_SHOWN}


def evidence(record: Mapping[str, Any]) -> list[str]:
    """Return what the numbers and verdicts rest on.

    First what there was to unlearn, then a sentence for all rows that have the same reason.
    """
    titles = titles_of(record)
    reasons: dict[str, list[str]] = {}
    for row in record["rows"]:
        reasons.setdefault(row["verdict"]["reason"], []).append(titles[row["name"]])
    said = [f"{', '.join(names)}: {reason}." for reason, names in reasons.items() if reason]
    return [*filter(None, [accuracy_sentence(titled(record))]), *said]


def to_markdown(record: Mapping[str, Any]) -> MarkdownText:
    """Return the table of verdicts and what they rest on as Markdown, which a notebook shows so.

    Raises:
      InputError: as :func:`summary_table`.
    """
    lines = [[escape(text) for text in line] for line in summary_table(record)]
    said = "\n".join(f"- {escape(sentence)}" for sentence in evidence(record))
    return MarkdownText("\n\n".join(filter(None, [table(lines), said])) + "\n")


def print_summary(record: Mapping[str, Any], console: "Console") -> None:
    """Print the table of verdicts and what they rest on.

    Args:
      record: of an audit.
      console: where to.

    Raises:
      InputError: as :func:`summary_table`.
    """
    from rich.table import Table
    from rich.text import Text

    head, *lines = summary_table(record)
    request = record["request"]
    size = request["forget"] + request["retain"]
    title = (
        f"{describe_request(request['text'])}: {request['forget']} of {size} training images "
        "forgotten"
    )
    printed = Table(title=Text(title), title_justify="left")
    for name in head:
        texts = name in ("model", "verdict", "flags")
        printed.add_column(name, justify="left" if texts else "right", overflow="fold")
    for line in lines:
        printed.add_row(*map(Text, line))
    console.print(printed)
    for sentence in evidence(record):
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.print(HALF, markup=False, highlight=False, style="dim")


def _unplanned_ends(record: Mapping[str, Any], name: str) -> Iterable[str]:
    """Say how a method's runs ended, where a reader must know."""
    method = record["models"]["methods"].get(name) or {}
    for status, count in (method.get("statuses") or {}).items():
        if status not in _PLANNED:
            yield f"{count} of {method['n']} {status}"
