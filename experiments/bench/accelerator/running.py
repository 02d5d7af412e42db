"""A session on an accelerator: part after part, each kept when it is done, while time is left."""

import math
import pathlib
import time
from collections.abc import Sequence

from rich.console import Console

from jax_unlearn.core import InputError

from ..benchmarks.apart import run_apart
from ..benchmarks.cases import Row
from ..figures import Figures, cells
from . import parts
from .session import Part, Session, UnfinishedError

GRACE = 10.0
"""Seconds that the session itself keeps: to end a process, to write and to print."""


REHEARSED = 0.1
"""Share of the time that a part needs which it needs on small workloads."""


def begin(
    out: pathlib.Path, *, quick: bool, torch_python: str | None, data_dir: str
) -> tuple[Session, dict[str, Part]]:
    """Look at the machine and list the parts by name.

    Raises:
      InputError: there is no accelerator, and it is no rehearsal; or none can be started.
    """
    try:
        found = run_apart("..accelerator.session.look", limit=300)
    except RuntimeError as error:
        raise InputError(f"accelerator: JAX finds no device: {error}") from error
    session = Session(quick, **found, torch_python=torch_python, data_dir=data_dir, out=out)
    if not (session.accelerator or quick):
        raise InputError(
            f"accelerator: JAX finds no GPU or TPU, only {session.kind}: expected one; pip install "
            "'jax_unlearn[gpu]' or 'jax_unlearn[tpu]', or rehearse on this machine with --quick"
        )
    listed = parts(session)
    if quick:
        # What is small is begun later, and a CPU takes as long as it takes.
        listed = [part._replace(needs=REHEARSED * part.needs, most=math.inf) for part in listed]
    return session, {part.name: part for part in listed}


def spend(
    end: float,
    chosen: Sequence[str],
    listed: dict[str, Part],
    figures: Figures,
    terminal: Console,
    *,
    again: bool = False,
) -> None:
    """Measure what the figures lack, as far as the time goes; what is left is said.

    Args:
      end: when all of it is to be over, by :func:`time.perf_counter`.
      chosen: names of the parts; empty is all.
      listed: the parts by name.
      figures: where each is kept as soon as it is done.
      terminal: told of each.
      again: measure what the figures hold, too.
    """
    for name in chosen or listed:
        kept = figures.cases.get(f"accelerator/{name}")
        if kept and not kept["failed"] and not again:
            continue
        start = time.perf_counter()
        part, left = listed[name], end - start - GRACE
        if left < part.needs:
            note = f"not begun: it needs {part.needs:.0f} s, and {max(left, 0):.0f} are left"
            rows, failed = [Row(name, None, "", note)], True
        else:
            rows, failed = _measured(part, left)
        # How far an unfinished part has come is worth more than that it waits.
        if kept is None or left >= part.needs:
            figures.add(f"accelerator/{name}", rows, time.perf_counter() - start, failed=failed)
        for row in rows:
            terminal.print(" ".join(cells(row._asdict())), highlight=False, markup=False)


def _measured(part: Part, left: float) -> tuple[list[Row], bool]:
    """Rows of a part, and whether it is to be tried again."""
    try:
        return part.measure(min(part.most, left)), False
    except UnfinishedError as unfinished:
        return unfinished.rows, True
    except Exception as error:
        # Whatever it was, the other parts are to have their turn.
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return [Row(part.name, None, "", f"failed: {said}"[:300])], True
