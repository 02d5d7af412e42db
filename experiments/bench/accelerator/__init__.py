"""What `python -m experiments.bench --accelerator` measures, the most telling things first.

A part is measured by a process of its own: what hangs or crashes takes no other part with it, none
leaves memory taken, and a TPU, which one process alone may use, is free for each.
"""

from . import bank, beside_torch, dispatch, paper, speed, suite
from .session import Part, Session


def parts(session: Session) -> list[Part]:
    """All parts, in the order in which they run."""
    return [
        *suite.parts(session),
        *speed.parts(session),
        *beside_torch.parts(session),
        *bank.parts(session),
        *dispatch.parts(session),
        *paper.parts(session),
    ]
