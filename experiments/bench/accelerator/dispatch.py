"""What it costs to start a small step from the host: a compiled loop against steps one by one."""

from ..benchmarks.cases import Row
from ..benchmarks.dispatch import LOADS, rows
from .session import Part, Session


def parts(session: Session) -> list[Part]:
    """One part."""
    return [Part("dispatch", 30, 90, lambda limit: _measure(session, limit))]


def _measure(session: Session, limit: float) -> list[Row]:
    load, loop = LOADS[0], session.accelerator
    given = {"load": load.to_json(), "seconds": session.seconds}
    return rows(load, session.run("dispatch.take", limit, **given), compiled_by_default=loop)
