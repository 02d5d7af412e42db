"""What the bench has measured: kept in a folder, shown on the terminal."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from jax_unlearn.core import InputError
from jax_unlearn.files import write_whole

from ..shared.provenance import provenance

MEASURED = ("command", "date")
"""What is kept of each case, since one file may hold figures of several commands."""


class Figures:
    """What is measured so far, in ``bench.json`` and ``bench.md`` of a folder.

    Args:
      folder: which.
      quick: whether workloads are small.
      overwrite: take no notice of figures of other hardware, versions or workloads.
      machine: see :func:`experiments.shared.provenance.provenance`.

    Attributes:
      cases: by benchmark and case, the rows, the seconds they took, and who measured when.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        quick: bool,
        *,
        overwrite: bool,
        machine: Mapping[str, Any] | None = None,
    ):
        self._file, self._now = folder / "bench.json", {"quick": quick, **provenance(machine)}
        self.cases: dict[str, dict[str, Any]] = {}
        if self._file.is_file():
            self._read(overwrite)

    def _read(self, overwrite: bool) -> None:
        try:
            found = json.loads(self._file.read_text())
            # Files of earlier versions say only at the top who measured when.
            first = {name: found[name] for name in MEASURED}
            cases = {name: {"measured": first, **case} for name, case in found["cases"].items()}
            same = all(found[key] == self._now[key] for key in ("quick", "versions", "hardware"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"out={str(self._file.parent)!r}: its bench.json is not that of a benchmark; name "
                "another folder"
            ) from error
        if same:
            self.cases = cases
        elif not overwrite:
            raise InputError(
                f"out={str(self._file.parent)!r}: it holds figures of other hardware, versions or "
                "another --quick; name another folder or pass --overwrite"
            )

    def add(self, name: str, rows: Sequence[Any], seconds: float, *, failed: bool) -> None:
        """Keep the rows of a case; one that failed is tried again by the next command."""
        rows = [row._asdict() for row in rows]
        self.cases[name] = {
            "rows": rows,
            "seconds": round(seconds, 1),
            "failed": failed,
            "measured": {name: self._now[name] for name in MEASURED},
        }
        try:
            write_whole(self._file, json.dumps({**self._now, "cases": self.cases}, indent=2) + "\n")
            write_whole(self._file.with_suffix(".md"), self._markdown())
        except OSError as error:
            raise InputError(
                f"out={str(self._file.parent)!r}: {error.strerror}; expected a folder that can be "
                "written to"
            ) from error

    def _markdown(self) -> str:
        hardware, versions = self._now["hardware"], self._now["versions"]
        lines = [
            "# Benchmark",
            "",
            f"{', '.join(sorted(set(hardware['devices'])))} x {len(hardware['devices'])}, host "
            f"{hardware['cpu']}, {hardware['cores']} cores; "
            + ", ".join(f"{name} {version}" for name, version in versions.items()),
            "",
        ]
        for benchmark in dict.fromkeys(name.partition("/")[0] for name in self.cases):
            cases = [c for name, c in self.cases.items() if name.partition("/")[0] == benchmark]
            said = [f"`{c['measured']['command']}`, {c['measured']['date']}" for c in cases]
            lines += [f"## {benchmark}", "", "; ".join(dict.fromkeys(said)), ""]
            lines += ["| what | value | unit | note |", "|---|--:|---|---|"]
            lines += [f"| {' | '.join(cells(row))} |" for c in cases for row in c["rows"]]
            lines.append("")
        return "\n".join(lines)


def cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Name, value, unit and note of a row, as they are shown."""
    value = "-" if row["value"] is None else f"{row['value']:.4g}"
    return row["name"], value, row["unit"], row["note"].replace("|", "/")


def show(figures: Figures, terminal: Console) -> None:
    """Print everything that is measured, one benchmark under another."""
    table = Table("what", "value", "unit", "note")
    table.columns[1].justify = "right"
    benchmark = ""
    for name, case in figures.cases.items():
        if name.partition("/")[0] != benchmark:
            benchmark = name.partition("/")[0]
            table.add_section()
        for row in case["rows"]:
            table.add_row(*cells(row))
    terminal.print(table)
