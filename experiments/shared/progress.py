"""Progress: bars on a terminal and in a notebook; elsewhere a line for each part that ends."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from jax_unlearn.progress import ProgressBar

from .waiting import tell_warnings


class _Rate(ProgressColumn):
    def render(self, task) -> Text:
        return Text("" if not task.speed else f"{task.speed:.1f} steps/s", style="dim")


@contextlib.contextmanager
def phases(
    console: Console,
) -> Iterator[Callable[[str], contextlib.AbstractContextManager[Callable[[int, int], None]]]]:
    """Give a function that opens a phase: a bar with rate and time left while it lasts.

    The command begins, so warnings that waited are told.

    Yields:
      ``phase(name)``, a context manager that gives ``on_step(done, planned)``.
    """
    tell_warnings()
    if console.is_jupyter:
        # Rich's own bars need another package there, and a line of output for each update.
        yield lambda name: contextlib.nullcontext(ProgressBar(name))
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

    @contextlib.contextmanager
    def phase(name: str) -> Iterator[Callable[[int, int], None]]:
        task = bars.add_task(name, total=None)
        try:
            yield lambda done, planned: bars.update(task, completed=done, total=planned)
        finally:
            bars.remove_task(task)
            bars.refresh()

    with bars:
        yield phase


def teller(console: Console) -> Callable[[str], None]:
    """Give what says a line where no bar is seen, so that a cluster's log lives."""

    def tell(line: str) -> None:
        if not console.is_terminal:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            console.file.flush()

    return tell
