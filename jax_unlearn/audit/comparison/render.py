"""An audit's table as text: Markdown to read, CSV and plain rows to compute with.

Markdown shows a table as three blocks, each within 120 columns: what a model does, how far that
is from the oracle, and the verdict. A row that carries flags is marked in all of them.
"""

import csv
import io
import math
from typing import Any, NamedTuple

from jax_unlearn.audit.comparison.table import AGAINST_ORACLE, ALONE, Row, Table
from jax_unlearn.audit.measures.statistics import Interval

HEADERS = {
    "RA": "RA",
    "FA": "FA",
    "TA": "TA",
    "FA_test": "FA test",
    "MIA_entropy_member": "MIA-E in",
    "MIA_svc_nonmember": "MIA-S out",
    "gap": "gap",
    "gap_MIA": "gap+MIA",
    "ToW": "ToW",
    "KL_forget": "KL f",
    "KL_test": "KL t",
    "JS_forget": "JS f",
    "AD_forget": "AD f",
    "seconds": "seconds",
    "share": "% of oracle",
}
_THREE_DECIMALS = ("ToW", "KL_forget", "KL_test", "JS_forget", "AD_forget")
_NOTHING = "-"
_VERDICTS = {True: "inside", False: "outside", None: _NOTHING}


class Block(NamedTuple):
    """A table of strings, or a part of one, that fits on a terminal.

    Attributes:
      title: one line.
      header: one string per column.
      rows: one tuple of strings per row.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def to_blocks(table: Table) -> tuple[Block, Block, Block]:
    """Return the table as three blocks of strings, for a terminal or for Markdown."""

    def block(title: str, measures: tuple[str, ...]) -> Block:
        measures = tuple(m for m in measures if m in table.measures)
        return Block(
            title,
            ("model", *(HEADERS[m] for m in measures)),
            tuple(
                (_marked_name(row), *(format_cell(m, row.cells[m]) for m in measures))
                for row in table.rows
            ),
        )

    verdict = Block(
        "Cost and verdict",
        ("model", "n", HEADERS["seconds"], HEADERS["share"], "null band", "flags"),
        tuple(
            (
                _marked_name(row),
                str(row.n),
                format_cell("seconds", row.cells["seconds"]),
                format_cell("share", row.cells["share"]),
                _VERDICTS[row.inside_null_band],
                "; ".join(row.flags),
            )
            for row in table.rows
        ),
    )
    return (
        block("Accuracies and attacks, in percent", ALONE),
        block("Distance to the oracle of the same seed", AGAINST_ORACLE),
        verdict,
    )


def to_markdown(table: Table) -> str:
    """Return the table in Markdown, with a caption that says what its numbers mean."""
    parts = []
    for block in to_blocks(table):
        parts += [f"**{block.title}**", "", *_markdown_lines(block), ""]
    return "\n".join([*parts, *caption(table), ""])


def to_csv(table: Table) -> str:
    """Return the table as CSV: one line per model, unrounded, empty where nothing is known.

    Columns: model, seeds, n (seeds that did not collapse), ``<measure>``, ``<measure>_low`` and
    ``<measure>_high`` for every measure by its full name, inside_null_band, flags.
    """
    ends = ("", "_low", "_high")
    header = ["model", "seeds", "n", *(m + end for m in table.measures for end in ends)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, "inside_null_band", "flags"])
    for row in table.rows:
        numbers = [number for m in table.measures for number in row.cells[m][:3]]
        writer.writerow(
            [
                row.name,
                table.seeds,
                row.n,
                *("" if math.isnan(number) else repr(number) for number in numbers),
                "" if row.inside_null_band is None else row.inside_null_band,
                "; ".join(row.flags),
            ]
        )
    return text.getvalue()


def to_rows(table: Table) -> list[dict[str, Any]]:
    """Return one mapping per model, ready for JSON: unrounded, None where nothing is known.

    Each has ``model``, ``seeds``, ``n``, ``inside_null_band``, ``flags`` and ``measures``: measure
    -> ``mean``, ``low``, ``high`` and ``values``, one per seed with collapsed ones included.
    """
    return [
        {
            "model": row.name,
            "seeds": table.seeds,
            "n": row.n,
            "inside_null_band": row.inside_null_band,
            "flags": list(row.flags),
            "measures": {
                m: {
                    **{end: _or_none(getattr(row.cells[m], end)) for end in Interval._fields[:3]},
                    "values": [_or_none(value) for value in row.values[m]],
                }
                for m in table.measures
            },
        }
        for row in table.rows
    ]


def format_cell(measure: str, cell: Interval) -> str:
    """Return 'mean±half-width' in the digits that the measure deserves, '-' for nothing known."""
    if math.isnan(cell.mean):
        return _NOTHING
    digits = 3 if measure in _THREE_DECIMALS else 2
    half = cell.high - cell.mean
    return f"{cell.mean:.{digits}f}" + ("" if math.isnan(half) else f"±{half:.{digits}f}")


def caption(table: Table) -> list[str]:
    """Return the lines that state seeds, terms, directions of the attacks and the null band."""
    protocol, level = table.protocol, f"{100 * table.level:g} %"
    spread = (
        f"mean ± half-width of the {level} Student t interval over n of {table.seeds} seeds"
        if table.seeds > 1
        else "one seed, so no intervals"
    )
    outsiders = {
        "test": "the test set",
        "remaining": "test images of remaining classes",
        "forgotten": "test images of forgotten classes",
    }[protocol.nonmembers]
    target = "test images of the remaining classes" if table.class_wise else "the test set"
    lines = [
        f"Numbers: {spread}. Collapsed seeds are left out and counted under flags; ! marks a "
        "flagged row.",
        f"RA, FA, TA: accuracy on retain and forget training images and on {target}"
        + ("; FA test: on test images of the forgotten classes." if table.class_wise else "."),
        "MIA-E in: forget images that logistic regression on entropy calls members. MIA-S out: "
        f"forget images that an SVC on confidence ({table.svc_examples} examples a side) calls "
        f"non-members. Non-members: {outsiders}. Neither is better high or low: the oracle's "
        "value is the aim.",
        f"gap: mean absolute difference to the oracle over {_names(protocol.terms)}; gap+MIA: over "
        f"{_names(protocol.attack_terms)}; both in percentage points, taken per seed. ToW: product "
        f"of 1 - difference over {_names(protocol.terms)}, 1 at the oracle.",
        "KL, JS: KL(oracle || model) and Jensen-Shannon divergence in nats, AD: distance of the "
        "softmax vectors, means over f = forget, t = test images.",
    ]
    high = table.bands["gap"].high
    if math.isnan(high):
        lines.append("Null band: unknown, it takes two seeds of second oracles that work.")
    else:
        lines += [
            "Null band: where the mean gap of as many retrained models falls by chance "
            f"({level}, from the second oracle): at most {high:.2f}. A model inside it cannot be "
            "told from retraining by its gap.",
            "No power here (the original lies in the measure's own band): "
            + (", ".join(HEADERS[m] for m in table.uninformative) or "none")
            + ".",
        ]
    # In Markdown, lines without an empty one between them would flow together.
    return [f"- {line}" for line in lines]


def _names(terms: tuple[str, ...]) -> str:
    return ", ".join(HEADERS[term] for term in terms)


def _marked_name(row: Row) -> str:
    return f"{row.name} !" if row.flags else row.name


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number


def _markdown_lines(block: Block) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in line] for line in (block.header, *block.rows)]
    columns = []
    for column in zip(*cells, strict=True):
        # Markdown wants a rule of at least a dash and a colon.
        width = max(3, *map(len, column))
        if column[0] in ("model", "null band", "flags"):
            rule, pad = ":".ljust(width, "-"), str.ljust
        else:
            rule, pad = ":".rjust(width, "-"), str.rjust
        columns.append([pad(cell, width) for cell in (column[0], rule, *column[1:])])
    return [f"| {' | '.join(line)} |" for line in zip(*columns, strict=True)]
