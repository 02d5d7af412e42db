"""An audit computed again from nothing but the predictions that it names."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from jax_unlearn.audit.records.check import check
from jax_unlearn.core import InputError

SHOWN = 50
"""Differences that a check prints."""


def check_again(record: str, places: Sequence[str], terminal: Console) -> bool:
    """Print where an audit differs from what its predictions give; whether it agrees.

    Args:
      record: its audit.json.
      places: where the predictions lie, if no longer where the audit found them.
      terminal: where to print.

    Raises:
      InputError: the file is missing or no audit, or predictions are not found.
    """
    if not Path(record).is_file():
        found = "is a folder" if Path(record).is_dir() else "no such file"
        raise InputError(f"check={record!r}: {found}: expected the audit.json of an audit")
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
