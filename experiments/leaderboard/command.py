"""The command: finished runs in, a leaderboard out."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich.console import Console

from jax_unlearn.core import InputError
from jax_unlearn.files import write_whole
from jax_unlearn.report.figures import save
from jax_unlearn.wording import counted

from ..shared.command import console, guarded
from ..shared.command_line import parse
from . import __doc__ as description
from .page import board_figure, board_page, slug_of
from .places import make_tables
from .reading import read_run

RESULTS = pathlib.Path(__file__).parents[1] / "results"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Make the leaderboard.

    Attributes:
      runs: folders of finished runs beside those of experiments/results.
      out: file to write, ending in .md; figures stand beside it.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    out: str = "experiments/results/leaderboard.md"


def execute(command: Command, terminal: Console) -> None:
    """Read the runs, write the page and say where."""
    given = [pathlib.Path(run) for run in command.runs]
    known = {path.resolve() for path in given}
    own = [path for path in sorted(RESULTS.glob("zoo_*")) if path.resolve() not in known]
    if not own and not given:
        raise InputError(
            "runs=(): expected the folder of a run: none of experiments/results begins with zoo_; "
            "name one"
        )
    out = pathlib.Path(command.out)
    if out.suffix != ".md" or out.is_dir():
        raise InputError(f"out={command.out!r}: expected the name of a file that ends in .md")
    methods = write_board([*own, *given], out)
    terminal.print(f"wrote {out}: {counted(methods, 'row')}", markup=False, soft_wrap=True)


def write_board(folders: Sequence[pathlib.Path], out: pathlib.Path) -> int:
    """Write the leaderboard of runs, and count its rows.

    Args:
      folders: of the runs.
      out: the page; its figures are written beside it.

    Raises:
      InputError: a folder lacks what is needed, or two runs have a method of the same name; nothing
        is written then.
    """
    runs = [read_run(folder) for folder in folders]
    tables = make_tables(request for run in runs for request in run)
    page = board_page(tables, [run[0] for run in runs], out.stem)
    for data in dict.fromkeys(table.first.data for table in tables):
        figure = board_figure([table for table in tables if table.first.data == data])
        if figure is not None:
            save(figure, out.with_name(f"{out.stem}-{slug_of(data)}.png"))
    write_whole(out, page)
    return sum(len(table.placed) + len(table.unranked) for table in tables)


def main() -> None:
    """Read the command line and make the leaderboard."""
    guarded(lambda: execute(parse(Command, "experiments.leaderboard", description), console()))
