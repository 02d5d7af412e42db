"""The leaderboard as Markdown, with a figure for each data set."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from jax_unlearn.report.figures import Panel, Place, gap_against_cost_figure
from jax_unlearn.report.formats import finite, number, with_half
from jax_unlearn.report.markdown import escape, table

from .entries import Entry, Request
from .places import Placed, Table

HOW = """\
Made by `python -m experiments.leaderboard`; see `--help`. A method of your own is run and ranked by

```bash
python -m experiments.run --method my_file.py:MyMethod --preset zoo_digits --out runs/mine
python -m experiments.leaderboard runs/mine --out runs/leaderboard.md
```

Methods stand in the order of their average gap to the oracles in accuracy on forget, retain and
test images, in points: the row to reach is that of the held-out oracles, which are retrained. In
brackets the places that the 95 % intervals leave open, which are many where seeds are few: read
the verdict, too. One that leaves the forget set known has no place, however small its gap: its
forget accuracy has not gone a quarter of the way from the originals' to the oracles'; such methods
are not in the figure. Settings are searched, with as many trials for each method of a run, or set
by hand, or a method's defaults; yours are searched by `python -m experiments.search --methods
my_file.py:MyMethod --preset zoo_digits` and given as `--hyperparameters`. FA: forget accuracy in
percent. KL: divergence from the oracles on the forget set, in nats. Seconds are a model's, the
median, on the hardware and under the load of its run: compare them within a run. The verdict counts
the informative measures on which a method lies outside of the oracles' null band.
"""

HEAD = ("place", "method", "source", "settings", "gap", "FA", "KL", "seconds", "verdict", "run")


def slug_of(data: str) -> str:
    """A data set's name as part of a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in data).strip("-")


def board_page(tables: Sequence[Table], runs: Sequence[Request], stem: str) -> str:
    """Write the page.

    Args:
      tables: one for each request.
      runs: one request of each run, for what is told of it.
      stem: name of the page's file without its ending, which the figures' names begin with.
    """
    parts = ["# Leaderboard", HOW.strip()]
    for data in dict.fromkeys(t.first.data for t in tables):
        some = [t for t in tables if t.first.data == data]
        if any(_drawn(t) for t in some):
            parts.append(f"![{escape(data)}: gap against time]({stem}-{slug_of(data)}.png)")
        for one in some:
            parts += [f"## {escape(one.title)}", _band(one), _lines(one)]
    parts += ["## Runs", _runs(runs)]
    return "\n\n".join(parts) + "\n"


def board_figure(tables: Sequence[Table]) -> Figure | None:
    """Draw gap against time, a panel for each table; None where no method has both."""
    drawn = [(one, _drawn(one)) for one in tables]
    panels = [
        Panel(one.title, places, one.first.band, finite(one.first.oracle.seconds["value"]))
        for one, places in drawn
        if places
    ]
    if not panels:
        return None
    return gap_against_cost_figure(panels, title="Gap to retraining against time")


def _drawn(one: Table) -> dict[str, Place]:
    """The methods of a table whose time is known."""
    found = {}
    for entry in (placed.entry for placed in one.placed):
        gap, low, high = (finite(entry.gap[end]) for end in ("value", "low", "high"))
        seconds = finite(entry.seconds["value"])
        if math.isfinite(seconds):
            found[entry.title] = Place(gap, low, high, seconds, entry.run != one.first.told["run"])
    return found


def _band(one: Table) -> str:
    return (
        f"{escape(one.first.setting)} Null band: gaps up to {number(one.first.band)}, as oracles "
        "have among themselves."
    )


def _lines(one: Table) -> str:
    first = [_line("", entry) for entry in (one.first.original, one.first.oracle)]
    placed = [_line(_place(p), p.entry) for p in one.placed]
    return table([HEAD, *first, *placed, *(_line(e.unranked, e) for e in one.unranked)])


def _place(placed: Placed) -> str:
    if placed.best == placed.worst:
        return str(placed.place)
    return f"{placed.place} ({placed.best} to {placed.worst})"


def _line(place: str, entry: Entry) -> list[str]:
    submitted, chosen = (entry.submitted, entry.chosen) if place else ("", "")
    numbers = (with_half(result) for result in (entry.gap, entry.fa, entry.kl, entry.seconds))
    return [
        escape(text)
        for text in (place, entry.title, submitted, chosen, *numbers, entry.verdict, entry.run)
    ]


def _runs(runs: Sequence[Request]) -> str:
    lines = [
        (
            escape(told["run"]),
            f"`{told['command']}`",
            escape(_hardware(told["hardware"])),
            f"JAX {escape(told['versions']['jax'])}",
            escape(told["date"]),
        )
        for told in (request.told for request in runs)
    ]
    return table([("run", "command", "hardware", "version", "date"), *lines])


def _hardware(hardware: dict) -> str:
    if hardware["platform"] == "cpu":
        return f"{hardware['cores']} cores of {hardware['cpu']}"
    return f"{len(hardware['devices'])} x {hardware['devices'][0]}"
