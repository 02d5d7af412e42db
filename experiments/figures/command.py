"""The command: a run's folder in, figures and a page that shows them out."""

import dataclasses
import pathlib
from typing import Annotated

import tyro
from rich.console import Console

from jax_unlearn.core import InputError, check_choice
from jax_unlearn.data.request_text import describe_request

from ..shared.command import as_called, console, guarded
from ..shared.command_line import parse
from . import __doc__ as description
from .catalogue import FIGURES
from .drawing import Missing
from .finished import Finished
from .page import Shown, write_page


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Draw the figures of a finished run.

    Attributes:
      run: folder of the run.
      only: names of the figures to draw; empty draws all that the folder holds the parts of.
      out: folder of the figures; empty takes the run's own.
      data_dir: folder of the run's data, where it is not where it was.
    """

    run: Annotated[str, tyro.conf.Positional] = ""
    only: tuple[str, ...] = ()
    out: str = ""
    data_dir: str | None = None


def execute(command: Command, terminal: Console) -> None:
    """Draw everything, then write it."""
    if not command.run:
        raise InputError("run='': expected the folder of a run; python -m experiments.figures RUN")
    for name in command.only:
        check_choice("only", name, FIGURES)
    run = Finished(pathlib.Path(command.run), command.data_dir)
    drawn, lines = draw(run, command.only or tuple(FIGURES))
    said = list(dict.fromkeys(line for found in lines.values() for line in found))
    there = {one.name for found in drawn.values() for one in found}
    lacking = [name for name in command.only or FIGURES if name not in there]
    if (command.only and lacking) or not there:
        reason = next(line for line in said if line.startswith(f"{lacking[0]}: "))
        raise InputError(f"run={command.run!r}: {reason}")
    page = write_page(drawn, lines, pathlib.Path(command.out or command.run))
    for line in [*said, f"figures: {page}"]:
        terminal.print(line, markup=False, highlight=False, soft_wrap=True)


def draw(
    run: Finished, names: tuple[str, ...]
) -> tuple[dict[str, list[Shown]], dict[str, list[str]]]:
    """Draw figures of every request of a run.

    Returns:
      By the request's text what was drawn, and a line for each part that is missing.
    """
    drawn: dict[str, list[Shown]] = {chosen.text: [] for chosen in run.requests}
    lines: dict[str, list[str]] = {chosen.text: [] for chosen in run.requests}
    for chosen in run.requests:
        lines[chosen.text] += chosen.notes
        # Unbroken: "class" at the end of a title's line says nothing.
        request = describe_request(chosen.text).replace(" ", "\u00a0")
        for name in names:
            entry = FIGURES[name]
            title = f"{entry.title} ({request})"
            try:
                found = entry.draw(run, chosen, title)
            except (Missing, InputError) as reason:
                # Every file has been found sound: the data make no figure, as after a collapse.
                why = reason if isinstance(reason, Missing) else f"not drawn, {reason}"
                lines[chosen.text].append(as_called(f"{name}: {why}"))
                continue
            caption = f"{entry.caption} After {entry.source}."
            drawn[chosen.text] += [Shown(name, p, caption) for p in found.pictures]
            lines[chosen.text] += [as_called(f"{name}: {note}") for note in found.notes]
    return drawn, lines


def main() -> None:
    """Read the command line and draw."""
    words = f"{description}\nFigures, for --only: {', '.join(FIGURES)}."
    guarded(lambda: execute(parse(Command, "experiments.figures", words), console()))
