"""The tables: what each program costs, and what it consists of."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from jax_unlearn.report.markdown import escape
from jax_unlearn.report.markdown import table as markdown_table

from ..shared.config import Experiment
from .measuring import CRASHED, Record

COSTS = (
    *("program", "compiled s", "GFLOP/image", "MB/image", "x cross-entropy", "x plain"),
    *("GiB/device", "largest batch", "bound ms", "images/s"),
)
PARTS = ("program", "collectives", "convolutions", "oversized", "copies", "transposes")

_ANY = 10_000
"""Columns of a terminal in which every table has room."""


def costs(records: Mapping[str, Record]) -> list[list[str]]:
    """Rows of the table of costs, of records with what is derived from them."""
    return [_costs(name, record) for name, record in records.items()]


def _costs(name: str, record: Record) -> list[str]:
    if record["error"] is not None:
        cells = ["-", _why(record), *[""] * (len(COSTS) - 3)]
        if record.get("largest_batch") is not None:
            cells[COSTS.index("largest batch") - 1] = shown_batch(record)
        return [name, *cells]
    per_image, seconds = record["per_image"], record["bound_seconds"]
    memory = f"{record['memory']['total'] / 2**30:.3g}"
    bound = [f"{1e3 * seconds:.3g} ({record['bound_by']})", f"{record['images_per_second']:.4g}"]
    if not record["fits"]:
        memory += f", does not fit {record['room'] / 2**30:.3g}"
        bound = ["", ""]
    return [
        name,
        f"= {record['same_as']}" if "same_as" in record else f"{record['seconds']:.0f}",
        f"{per_image['flops'] / 1e9:.4g}",
        f"{per_image['bytes'] / 1e6:.4g}",
        *(_ratio(record.get(other)) for other in ("of_cross_entropy", "of_plain")),
        memory,
        shown_batch(record),
        *bound,
    ]


def _why(record: Record) -> str:
    """Why a program is not compiled."""
    return f"{record['error']}: {record['words']}" if "words" in record else record["error"]


def shown_batch(record: Record) -> str:
    """The largest batch, and how far it is known; see :func:`heading`."""
    largest = record["largest_batch"]
    if largest is None or not record.get("confirmed"):
        return "-" if largest is None else f"~{largest}"
    if "refused_batch" not in record:
        return f"{largest}"
    refused = record["refused_batch"]
    return f"{largest} or more" if refused is None else f"{largest}, not {refused}"


def _ratio(found: Mapping[str, float] | None) -> str:
    return "" if found is None else f"{found['flops']:.2f} / {found['bytes']:.2f}"


def parts(records: Mapping[str, Record]) -> list[list[str]]:
    """Rows of the table of parts."""
    return [
        [
            name,
            ", ".join(
                f"{found['count']} {kind} ({found['bytes'] / 1e6:.3g} MB)"
                for kind, found in record["collectives"].items()
            )
            or "none",
            _listed(record["convolutions"]),
            _listed(record["oversized"]) or "none",
            str(record["copies"]),
            str(record["transposes"]),
        ]
        for name, record in records.items()
        if record["error"] is None
    ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {window}" for window, count in counts.items())


def notes(records: Mapping[str, Record], totals: Mapping[str, Any]) -> list[str]:
    """What the tables must be read with, a sentence each."""
    sound = [record for record in records.values() if record["error"] is None]
    said = [
        "A loop of steps counts as one step. Ratios are of operations / bytes for each image. A "
        "bound is a roofline from the published peak and bandwidth, not a measurement."
    ]
    if any(record["counted_by"] == "program" for record in sound):
        said.append(
            "Operations are those of convolutions and products, and bytes those of the operands "
            "and results of the kernels: this compiler counts neither."
        )
    if any(record["counted_by"] == "compiler" for record in sound):
        said.append(
            "Operations are the compiler's own count, and bytes those that its kernels and copies "
            "move to and from the device's memory."
        )
    if any(name.split()[-2:-1] == ["scan"] and "of_plain" in one for name, one in records.items()):
        said.append("Of plain layers there is a step alone: a loop gathers its batches, too.")
    if any(record["error"] == CRASHED for record in records.values()):
        said.append(
            f"Where {CRASHED}, it is tried twice at most: another batch or another version of the "
            "compiler may do, or --overwrite, which compiles everything anew."
        )
    if any(record.get("loops") for record in sound):
        said.append(
            "Of a loop inside of a step convolutions, copies and transposes count once, "
            "operations, bytes and collectives as often as it runs."
        )
    untold = [name for name, one in records.items() if one.get("loops_untold")]
    if untold:
        said.append(
            f"A loop of {', '.join(untold)} counts once in all: the program does not tell how "
            "often it runs."
        )
    for name, record in records.items():
        if "refused_for" in record:
            said.append(f"{name}, of {record['refused_batch']}: {record['refused_for']}")
    refused = [name for name, one in records.items() if "own_products_refused" in one]
    if refused:
        said.append(
            f"Matrix products are all cuBLAS's in {', '.join(refused)}: some of its own XLA cannot "
            "make without a GPU to try them on, see own_products_refused in compile.json."
        )
    if "models_per_hour" in totals:
        said.append(f"A bank at the bound: {totals['models_per_hour']:.4g} models an hour.")
    if "minutes" in totals:
        lacks = [*totals["without"], *totals.get("left_out", [])]
        missing = f"; without {', '.join(lacks)}" if lacks else ""
        at_once = totals.get("at_once", 1)
        how = "one after another, each batch shared by all devices"
        how = f"{at_once} at a time" if at_once > 1 else how
        said.append(
            f"The whole setting at the bound, {totals['models']} models {how}: "
            f"{totals['minutes']:.4g} minutes where no rule stops a method early{missing}."
        )
    if "images_per_second" in totals:
        said.append(
            f"Training at the bound takes in {totals['images_per_second']:.4g} images/s, "
            f"{totals['input_bytes_per_second'] / 1e9:.3g} GB/s."
        )
    return said


def show(title: str, records: Mapping[str, Record], said: Sequence[str], terminal: Console) -> None:
    """Print a target's tables."""
    failed = {name: _why(one) for name, one in records.items() if one["error"] is not None}
    for head, rows in ((COSTS, costs(records)), (PARTS, parts(records))):
        if _fits(_table(head, [row for row in rows if row[0] not in failed]), terminal):
            terminal.print(_table(head, rows, title=title), markup=False)
            continue
        # Cut to a narrow terminal, a table loses its numbers.
        terminal.print(title, markup=False, highlight=False)
        for name, *cells in rows:
            said_of = [f"{what} {cell}" for what, cell in zip(head[1:], cells, strict=True) if cell]
            if name in failed:
                said_of[:2] = [f"not compiled: {failed[name]}"]
            terminal.print(f"{name}: {'; '.join(said_of)}", markup=False, highlight=False)
    for line in said:
        terminal.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Table:
    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*row)
    return table


def _fits(table: Table, terminal: Console) -> bool:
    """Whether a terminal has room for a table whose cells are not folded."""
    needed = Measurement.get(terminal, terminal.options.update(width=_ANY), table).maximum
    return needed <= terminal.width


def heading(experiment: Experiment, made: Mapping[str, Any]) -> str:
    """The beginning of the page: of what, by what and when."""
    network, data = experiment.network, experiment.data
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    requests = escape(", ".join(experiment.requests))
    on = f"{escape(network.name)} in {network.dtype} on {escape(data.name)}"
    return "\n\n".join(
        [
            "# Compiled, not run",
            f"{on}, requests {requests}; "
            "the batch stands behind each program's name. A largest batch is what memory allows, "
            "however many examples there are; with ~ it is an estimate, without it is compiled, as "
            "is one behind it that does not fit; where it is - the program's own data have room "
            "in the chip itself, which tells nothing of larger batches. Methods' programs are of "
            f"{_spread(made)}.",
            *(f"`{one['command']}`, {one['date']}" for one in made.get("before", [])),
            f"`{made['command']}`, {made['date']}; {escape(versions)}",
            "",
        ]
    )


def _spread(made: Mapping[str, Any]) -> str:
    """How models lie on the devices, in words."""
    mesh = made["settings"]["mesh"]
    if mesh:
        return f"models that lie on the devices as --mesh {escape(mesh)} says"
    return (
        "one model, whose batch all devices share, as of a run with --mesh data=N; without --mesh "
        "a run has a model on each device, which is to be asked for with --mesh model=N"
    )


def markdown(title: str, records: Mapping[str, Record], said: Sequence[str]) -> str:
    """A target's tables as Markdown."""
    tables = [
        markdown_table([head, *([*map(escape, row)] for row in rows)])
        for head, rows in ((COSTS, costs(records)), (PARTS, parts(records)))
    ]
    return "\n\n".join([f"## {title}", *tables, *said]) + "\n"
