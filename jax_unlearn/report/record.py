"""Whether a record is one that this version reads, before anything is made of it."""

from collections.abc import Mapping
from typing import Any

from jax_unlearn.audit.comparison.record import FORMAT
from jax_unlearn.core import InputError

_PARTS = (
    *("request", "models", "measures", "rows", "bands", "uninformative", "ranking"),
    *("curves", "summary", "notes", "protocol", "provenance", "level"),
)


def check_record(audit: Mapping[str, Any]) -> None:
    """Refuse what is no record of an audit.

    Raises:
      InputError: if ``audit`` is of another format or lacks a part.
    """
    if audit.get("format") != FORMAT:
        raise InputError(
            f"audit: format {audit.get('format')!r}: expected {FORMAT}; make it again with this "
            "version of experiments.audit"
        )
    missing = [part for part in _PARTS if part not in audit]
    if missing:
        raise InputError(
            f"audit: lacks {', '.join(missing)}: expected the record that experiments.audit writes "
            "as audit.json"
        )
