"""The command: measures what the folder lacks."""

import dataclasses
import importlib.util
import os
import pathlib
import sys
import time

import jax
from rich.console import Console

from jax_unlearn.core import InputError, check_choice, check_number

from ..shared.command import console, guarded
from ..shared.command_line import parse
from ..shared.writable import check_writable
from . import __doc__ as description
from .figures import Figures, cells, show

MINUTES = 8.0
"""How long an accelerator is used where nobody says it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Run the benchmarks.

    Attributes:
      only: names of the benchmarks to run; without it all: throughput, overhead, dispatch,
        sensitivity, start_up, bank, sweep, sharding, convolution. With --accelerator its parts:
        tests, training, NatMU, 'MU-Mis forward', 'MU-Mis reverse', PyTorch,
        'PyTorch MU-Mis', bank, dispatch, natmu_cifar10_vgg16.
      quick: small workloads and few repeats.
      out: folder of the figures; new, or one that the same machine began.
      overwrite: measure again what the folder holds.
      torch_python: a Python that has PyTorch, to measure it beside; without it the one in use,
        where that has it.
      accelerator: what tells most about a GPU or TPU, in an order that suits little time: its
        tests; images/s beside the roofline and PyTorch; a bank's models/hour; what dispatch costs;
        and natmu_cifar10_vgg16 as far as it goes. With --quick the CPU may stand in.
      minutes: for --accelerator: how long it may take; what is left out the same command makes up.
      data_dir: for --accelerator: folder of CIFAR-10, as `experiments.run` reads it.
    """

    only: tuple[str, ...] = ()
    quick: bool = False
    out: str = "runs/bench"
    overwrite: bool = False
    torch_python: str = ""
    accelerator: bool = False
    minutes: float = MINUTES
    data_dir: str = ""


def execute(command: Command, terminal: Console) -> None:
    """Measure what the folder lacks and print it all."""
    # Only here: the benchmarks bring in every part of the library.
    from .benchmarks import BENCHMARKS
    from .benchmarks.cases import Bench, Row

    usual = Command()
    for name in ("minutes", "data_dir"):
        given = getattr(command, name)
        if given != getattr(usual, name):
            raise InputError(f"{name}={given!r}: expected with --accelerator alone; add it")
    for name in command.only:
        check_choice("only", name, BENCHMARKS)
    figures = Figures(pathlib.Path(command.out), command.quick, overwrite=command.overwrite)
    bench = Bench(
        quick=command.quick,
        torch_python=_torch_python(command.torch_python),
        accelerator=jax.default_backend() != "cpu",
        kind=jax.devices()[0].device_kind,
    )
    check_writable(pathlib.Path(command.out))
    for benchmark in command.only or BENCHMARKS:
        for case in BENCHMARKS[benchmark](bench):
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
                terminal.print(" ".join(cells(row._asdict())), highlight=False, markup=False)
    show(figures, terminal)
    terminal.print(f"figures: {pathlib.Path(command.out) / 'bench.md'}")


def on_accelerator(command: Command, terminal: Console) -> None:
    """Spend some minutes on a GPU or TPU. This process touches no device."""
    from .accelerator import running
    from .accelerator.paper import PRESET

    check_number("minutes", command.minutes, above=0)
    if command.data_dir and not os.path.isdir(command.data_dir):
        # Known only in the last part, it would cost all minutes before.
        raise InputError(
            f"data_dir={command.data_dir!r}: no such folder; expected that of CIFAR-10"
        )
    end = time.perf_counter() + 60 * command.minutes
    out, torch_python = pathlib.Path(command.out), _torch_python(command.torch_python)
    session, listed = running.begin(
        out, quick=command.quick, torch_python=torch_python, data_dir=command.data_dir
    )
    for name in command.only:
        check_choice("only", name, listed)
    figures = Figures(out, command.quick, overwrite=command.overwrite, machine=session.machine)
    check_writable(out)
    if PRESET in (command.only or listed) and not command.data_dir:
        terminal.print(
            f"{PRESET} will be missing: pass --data-dir with CIFAR-10's folder",
            highlight=False,
        )
    running.spend(end, command.only, listed, figures, terminal, again=command.overwrite)
    show(figures, terminal)
    terminal.print(f"figures: {out / 'bench.md'}")
    asked = command.only or listed
    if all(figures.cases[f"accelerator/{name}"]["failed"] for name in asked):
        # Whoever pays by the minute wants to know it from the exit code.
        raise SystemExit(1)


def _torch_python(given: str) -> str | None:
    if given and not (os.path.isfile(given) and os.access(given, os.X_OK)):
        raise InputError(f"torch_python={given!r}: expected a Python that can be run")
    return given or (sys.executable if importlib.util.find_spec("torch") else None)


def main() -> None:
    """Read the command line and measure."""

    def run() -> None:
        command = parse(Command, "experiments.bench", description)
        (on_accelerator if command.accelerator else execute)(command, console())

    guarded(run)
