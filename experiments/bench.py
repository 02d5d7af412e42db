r"""Measure how fast this machine trains and unlearns: `python -m experiments.bench --out FOLDER`.

The folder gets bench.json and bench.md: every figure with its unit, the command, date, versions and
hardware. What is measured is kept: the same command goes on where it was cut off. `--only` names
benchmarks, `--quick` takes small settings, to see that everything runs.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from jax_unlearn.core import InputError, check_choice
from jax_unlearn.files import write_whole

from .command import console, guarded, parse, program
from .provenance import provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Run the benchmarks.

    Attributes:
      only: names of the benchmarks to run; without it all: throughput, overhead, sensitivity,
        start_up, bank, sweep, sharding, convolution.
      quick: small settings and few repeats.
      out: folder of the figures; new, or one that the same machine began.
      overwrite: measure again what the folder holds.
      torch_python: a Python that has PyTorch, to measure it beside; the one in use is tried first.
    """

    only: tuple[str, ...] = ()
    quick: bool = False
    out: str = "runs/bench"
    overwrite: bool = False
    torch_python: str = ""


MEASURED = ("command", "date")
"""What is kept of each case, since one file may hold figures of several commands."""


class Figures:
    """What is measured so far, in ``bench.json`` and ``bench.md`` of a folder.

    Attributes:
      cases: by benchmark and case, the rows, the seconds they took, and who measured when.
    """

    def __init__(self, folder: pathlib.Path, quick: bool, *, overwrite: bool):
        self._file, self._now = folder / "bench.json", {"quick": quick, **provenance()}
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
            lines += [f"| {' | '.join(_cells(row))} |" for c in cases for row in c["rows"]]
            lines.append("")
        return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    value = "-" if row["value"] is None else f"{row['value']:.4g}"
    return row["name"], value, row["unit"], row["note"].replace("|", "/")


def execute(command: Command, terminal: Console) -> None:
    """Measure what the folder lacks and print it all."""
    # Only here: the benchmarks bring in every part of the library.
    from .benchmarks import BENCHMARKS
    from .benchmarks.cases import Plan, Row

    for name in command.only:
        check_choice("only", name, BENCHMARKS)
    figures = Figures(pathlib.Path(command.out), command.quick, overwrite=command.overwrite)
    plan = Plan(
        quick=command.quick,
        torch_python=_torch_python(command.torch_python),
        accelerator=jax.default_backend() != "cpu",
        kind=jax.devices()[0].device_kind,
    )
    for benchmark in command.only or BENCHMARKS:
        for case in BENCHMARKS[benchmark](plan):
            name = f"{benchmark}/{case.name}"
            kept = figures.cases.get(name)
            if kept and not kept["failed"] and not command.overwrite:
                continue
            start, failed = time.perf_counter(), False
            try:
                rows = case.measure()
            except Exception as error:
                # One that does not fit in memory, say, must not keep the others from being run.
                message = (str(error).strip().splitlines() or [""])[0]
                rows = [
                    Row(case.name, None, "", f"failed: {type(error).__name__}: {message}"[:300])
                ]
                failed = True
            figures.add(name, rows, time.perf_counter() - start, failed=failed)
            for row in rows:
                terminal.print(" ".join(_cells(row._asdict())), highlight=False, markup=False)
    _show(figures, terminal)
    terminal.print(f"figures: {pathlib.Path(command.out) / 'bench.md'}")


def _torch_python(given: str) -> str | None:
    if given and not os.access(given, os.X_OK):
        raise InputError(f"torch_python={given!r}: expected a Python that can be run")
    return given or (sys.executable if importlib.util.find_spec("torch") else None)


def _show(figures: Figures, terminal: Console) -> None:
    table = Table("what", "value", "unit", "note")
    table.columns[1].justify = "right"
    benchmark = ""
    for name, case in figures.cases.items():
        if name.partition("/")[0] != benchmark:
            benchmark = name.partition("/")[0]
            table.add_section()
        for row in case["rows"]:
            table.add_row(*_cells(row))
    terminal.print(table)


def main() -> None:
    """Read the command line and measure."""

    def run() -> None:
        execute(parse(Command, "experiments.bench", __doc__), console())

    guarded(run)


if __name__ == "__main__":
    program(main)
