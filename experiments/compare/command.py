"""The command: audits in, one page out."""

import dataclasses
import pathlib
from typing import Annotated

import tyro
from rich.console import Console

from jax_unlearn.core import InputError, check_number
from jax_unlearn.files import write_whole
from jax_unlearn.wording import counted

from ..shared.command import console, guarded
from ..shared.command_line import parse
from . import __doc__ as description
from .page import compare_page
from .reading import alike, read_audits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Compare runs and methods.

    Attributes:
      runs: folders of runs, folders of audits, or audit.json files.
      out: page to write, ending in .html.
      examples: how many examples to show, of those that differ most, for each request; 0 for none.
      data_dir: folder of the runs' data, where it is not where it was.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    out: str = "runs/compare.html"
    examples: int = 24
    data_dir: str | None = None


def execute(command: Command, terminal: Console) -> None:
    """Read the audits, write the page and say where."""
    check_number("examples", command.examples, low=0, whole=True)
    out = pathlib.Path(command.out)
    if out.suffix != ".html" or out.is_dir():
        raise InputError(f"out={command.out!r}: expected the name of a file that ends in .html")
    audits = [audit for run in command.runs for audit in read_audits(pathlib.Path(run))]
    if not audits:
        raise InputError(
            "runs=(): expected the folders of one run or more; python -m experiments.compare RUN..."
        )
    page, notes = compare_page(alike(audits), command.examples, command.data_dir)
    write_whole(out, page.encode("utf-8", "replace"))
    rows = sum(row["kind"] == "method" for audit in audits for row in audit.record["rows"])
    for note in notes:
        terminal.print(note, markup=False, highlight=False, style="dim", soft_wrap=True)
    terminal.print(f"wrote {out}: {counted(rows, 'row')}", markup=False, soft_wrap=True)


def main() -> None:
    """Read the command line and compare."""
    guarded(lambda: execute(parse(Command, "experiments.compare", description), console()))
