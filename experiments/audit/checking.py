"""An audit computed again from nothing but the predictions that it names."""

from collections.abc import Sequence

from rich.console import Console

from jax_unlearn.audit.records.check import check

SHOWN = 50
"""Differences that a check prints."""


def check_again(record: str, places: Sequence[str], terminal: Console) -> bool:
    """Print where an audit differs from what its predictions give; whether it agrees.

    Args:
      record: its audit.json.
      places: where the predictions lie, if no longer where the audit found them.
      terminal: where to print.
    """
    checked = check(record, places)
    for difference in checked.differences[:SHOWN]:
        terminal.print(f"differs: {difference}", markup=False, soft_wrap=True)
    if len(checked.differences) > SHOWN:
        terminal.print(f"and {len(checked.differences) - SHOWN} more")
    if not checked.differences:
        terminal.print(f"{record}: agrees with what its predictions give", soft_wrap=True)
    if checked.unchecked:
        terminal.print(f"not checked: {checked.unchecked}", markup=False, soft_wrap=True)
    return not checked.differences
