"""An ablation's record as tables: on the terminal, as Markdown, as CSV."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jax_unlearn.audit.measures.focus import FOCUS_NAMES
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.report.figures.sweep import value_text
from jax_unlearn.report.formats import digits, with_half
from jax_unlearn.report.markdown import escape, table

from .grids import describe_values
from .settings import CENTRE

SHOWN = {"FA": "FA", "RA": "RA", "TA": "TA", "gap": "gap", "KL_forget": "KL to oracle"}
"""Measures of the tables to read, by name, with their heads; a request's own comes before them."""

SAYS = (
    "± is half of a 95 % interval over seeds, cut off where a range ends; the null band is where a "
    "row of as many further oracles would fall, and the last but one column says on which side of "
    "it the gap lies."
)


def read_table(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The table to read, its head first: oracles, their band, the original, the settings.

    A grid's settings are numbered and have a column for each field; a study's have their name.
    """
    fields = () if record["one_at_a_time"] else tuple(record["fields"])
    shown = own_measures(record) | SHOWN
    lines = [("setting", *fields, *shown.values(), "seconds", "gap is", "note")]
    settings = [row["name"] for row in record["rows"] if row["kind"] == "setting"]
    for row in sorted(record["rows"], key=lambda row: row["kind"] != "oracle"):
        results, values = row["results"], row["values"]
        numbered = fields and values
        lines.append(
            (
                str(settings.index(row["name"]) + 1) if numbered else row["name"],
                *(value_text(values[field]) if values else "" for field in fields),
                *(with_half(results.get(name)) for name in shown),
                digits(row.get("seconds")),
                results.get("gap", {}).get("verdict", ""),
                row["note"],
            )
        )
        if row["kind"] == "oracle" and record["bands"]:
            bands = (_band(record["bands"].get(name)) for name in shown)
            lines.append(("null band", *("" for _ in fields), *bands, "", "", ""))
    return lines


def own_measures(record: Mapping[str, Any]) -> dict[str, str]:
    """What shows success with this kind of request alone, by name, with the heads."""
    measures = record["measures"]
    return {name: measures[name]["title"] for name in FOCUS_NAMES if name in measures}


def describe_centre(record: Mapping[str, Any]) -> str:
    """Say what the setting is that a study varies; '' where there is none."""
    rows = [row for row in record["rows"] if row["name"] == CENTRE]
    return f"{CENTRE}: {describe_values(rows[0]['values'])}." if rows else ""


def title_of(record: Mapping[str, Any]) -> str:
    """What the table shows, in a line."""
    size = record["forget"] + record["retain"]
    return (
        f"{record['method']}, {describe_request(record['request']['text'])}: {record['forget']} of "
        f"{size} training images forgotten"
    )


def to_markdown(record: Mapping[str, Any]) -> str:
    """The table and what must be known of it, as Markdown."""
    lines = [[escape(text) for text in line] for line in read_table(record)]
    said = [escape(text) for text in (describe_centre(record), SAYS) if text]
    notes = "\n".join(f"- {escape(note)}" for note in record["notes"])
    parts = [f"# {escape(title_of(record))}", table(lines), *said, notes]
    return "\n\n".join(filter(None, parts)) + "\n"


def print_table(record: Mapping[str, Any], console: Console) -> None:
    """Print the table and what must be known of it."""
    head, *lines = read_table(record)
    printed = Table(title=Text(title_of(record)), title_justify="left")
    for name in head:
        words = name in ("setting", "gap is", "note", *record["fields"])
        printed.add_column(name, justify="left" if words else "right", overflow="fold")
    for line in lines:
        printed.add_row(*map(Text, line))
    console.print(printed)
    for text in filter(None, (describe_centre(record), SAYS, *record["notes"])):
        console.print(f"- {text}", markup=False, highlight=False, style="dim")


def to_csv(record: Mapping[str, Any]) -> str:
    """A line for every setting, unrounded: fields, then each measure with interval and verdict."""
    text = io.StringIO()
    ends = ("", "_low", "_high", "_verdict", "_band_low", "_band_high")
    measures = [f"{name}{end}" for name in record["measures"] for end in ends]
    fields = record["fields"]
    columns = ["request", "kind", "setting", *fields, *measures, "seeds", "seconds", "note"]
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    for row in record["rows"]:
        line = {"request": record["request"]["text"], "kind": row["kind"], "setting": row["name"]}
        for name, result in row["results"].items():
            low, high = record["bands"].get(name) or (None, None)
            line |= {name: result["value"], f"{name}_low": result["low"]}
            line |= {f"{name}_high": result["high"], f"{name}_verdict": result["verdict"]}
            line |= {f"{name}_band_low": low, f"{name}_band_high": high, "seeds": result["n"]}
        writer.writerow(line | row["values"] | {k: row.get(k, "") for k in ("seconds", "note")})
    return text.getvalue()


def _band(band: tuple[float | None, float | None] | None) -> str:
    if band is None or None in band:
        return "-"
    return f"{digits(band[0])} to {digits(band[1])}"
