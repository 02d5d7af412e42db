"""The one place that reads an audit's record: whether it is one, and its rows by title."""

from collections.abc import Mapping
from typing import Any

from jax_unlearn.core import InputError
from jax_unlearn.display import display_name

FORMAT = 2

_PARTS = (
    *("request", "models", "measures", "rows", "bands", "uninformative", "ranking"),
    *("curves", "summary", "notes", "protocol", "provenance", "level"),
)

_BY_ROW = ("roc", "epsilon", "density", "forget_accuracy", "seconds")
"""Curves that a record holds by row."""

Record = Mapping[str, Any]


def check_record(audit: Record) -> None:
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


def titles_of(audit: Record) -> dict[str, str]:
    """How a reader knows each row, by its name in the record."""
    methods = audit["models"]["methods"]
    return {
        row["name"]: (methods.get(row["name"]) or {}).get("title") or display_name(row["name"])
        for row in audit["rows"]
    }


def titled(audit: Record) -> dict[str, Any]:
    """Return a record whose rows go by the names that readers know: ``mumis`` is MU-Mis.

    Programs know a row by its name in the record, which is that of the command line.

    Raises:
      InputError: as :func:`check_record`.
    """
    check_record(audit)
    titles = titles_of(audit)

    def named(rows: Mapping[str, Any]) -> dict[str, Any]:
        return {titles.get(name, name): value for name, value in rows.items()}

    return {
        **audit,
        "rows": [{**row, "name": titles[row["name"]]} for row in audit["rows"]],
        "models": {**audit["models"], "methods": named(audit["models"]["methods"])},
        "ranking": [
            {**r, "order": [{**e, "name": titles.get(e["name"], e["name"])} for e in r["order"]]}
            for r in audit["ranking"]
        ],
        "curves": _titled_curves(audit["curves"], named),
        "courses": _titled_courses(audit.get("courses") or {}, named),
    }


def _titled_curves(curves: Mapping[str, Any], named: Any) -> dict[str, Any]:
    by_row = {name: named(curves[name] or {}) for name in _BY_ROW if name in curves}
    single = curves.get("confidence") or {}
    examples = [{**e, "methods": named(e["methods"])} for e in single.get("examples") or ()]
    return {**curves, **by_row} | {"confidence": {**single, "examples": examples}}


def _titled_courses(courses: Mapping[str, Any], named: Any) -> dict[str, Any]:
    return {**courses, "methods": named(courses.get("methods") or {})}
