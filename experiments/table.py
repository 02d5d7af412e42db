"""An audit on the terminal: one table, and one line on what its verdicts rest on."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from jax_unlearn.report.page.times import run_times

COLUMNS = {"RA": "RA", "FA": "FA", "TA": "TA", "gap": "gap", "KL_forget": "KL to oracle"}
"""What the table shows of a row, by the measure's name."""

USUAL = ("", "finished", "stopped", "collapsed")
"""Ends of a run that need no word: of collapsed ones the flags tell."""


def show(record: Mapping[str, Any], terminal: Console) -> None:
    """Print a row for each kind of model, its verdict and its flags.

    Args:
      record: of an audit.
      terminal: where to.
    """
    request = record["request"]
    title = f"{request['text']}: {request['forget']} of {_size(request)} training images forgotten"
    printed = Table(title=title, title_justify="left")
    printed.add_column("model", no_wrap=True)
    for header in (*COLUMNS.values(), "seconds"):
        printed.add_column(header, justify="right", no_wrap=True)
    for header in ("audit", "flags"):
        printed.add_column(header, overflow="fold")
    times = run_times(record)
    for row in record["rows"]:
        values = [_value(row["results"].get(name)) for name in COLUMNS]
        seconds = times[row["name"]].mean if row["name"] in times else "-"
        flags = [*row["flags"], *_ends(record, row["name"])]
        printed.add_row(row["name"], *values, seconds, row["verdict"]["outcome"], "; ".join(flags))
    terminal.print(printed, markup=False)
    terminal.print(evidence(record), markup=False, style="dim")


def evidence(record: Mapping[str, Any]) -> str:
    """Say how many models and measures the verdicts rest on."""
    models, measures = record["models"], len(record["measures"])
    kept = models["reference"], models["held_out"]
    blind = len(record["uninformative"])
    counts = [len(method["seeds"]) for method in models["methods"].values()]
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    said = (
        f"{record['level']} audit: {each} models of each method against {kept[0]} oracles, "
        f"{kept[1]} more held out; {measures - blind} of {measures} measures tell the original "
        "from them"
    )
    return f"{said}; ± is half a 95 % interval over models"


def _size(request: Mapping[str, Any]) -> int:
    return request["forget"] + request["retain"]


def _value(cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["value"] is None:
        return "-"
    value = f"{cell['value']:.2f}"
    if cell["low"] is None or cell["high"] is None:
        return value
    # An interval that ends at the measure's own limit is shorter on that side.
    return f"{value} ±{max(cell['high'] - cell['value'], cell['value'] - cell['low']):.2f}"


def _ends(record: Mapping[str, Any], name: str) -> list[str]:
    """How a method's runs ended, where a reader must know."""
    method = record["models"]["methods"].get(name, {})
    ended = {**method.get("statuses", {})}
    return [f"{n} of {method['n']} {status}" for status, n in ended.items() if status not in USUAL]
