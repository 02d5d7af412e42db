import csv
import functools
import io
import json
import math

import numpy as np
import pytest

from jax_unlearn.audit import Interval, audit_request, to_blocks, to_csv, to_markdown, to_rows
from jax_unlearn.audit.comparison.render import HEADERS, format_cell
from jax_unlearn.audit.comparison.table import MEASURES

METHODS = ("gradient_ascent", "neggrad_plus", "natmu")


@pytest.fixture(scope="module")
def build_table(simulate, map_logits):
    @functools.cache
    def build(class_wise=True, seeds=3):
        def runs(offset, lead):
            return [simulate(offset + s, lead=lead, class_wise=class_wise) for s in range(seeds)]

        methods = {name: runs(1000 * i, -3.0) for i, name in enumerate(METHODS, start=1)}
        broken = methods["gradient_ascent"]
        broken[0] = map_logits(broken[0], lambda x: x * np.nan)
        times = {"oracle": [1234.5] * seeds, "natmu": [12.345 + s for s in range(seeds)]}
        return audit_request(
            runs(0, 8.0), runs(100, -3.0), runs(200, -3.0), methods, seconds=times,
            statuses={"natmu": ["a|b"] * seeds},
        )  # fmt: skip

    return build


def parse(lines):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def blocks_of(markdown):
    lines, blocks = markdown.splitlines(), []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                blocks.append([])
            blocks[-1].append(line)
    return blocks


@pytest.mark.parametrize("class_wise", [False, True])
def test_markdown_blocks_are_aligned_and_fit_a_terminal_of_120_columns(build_table, class_wise):
    blocks = blocks_of(to_markdown(build_table(class_wise)))
    assert len(blocks) == 3
    for lines in blocks:
        assert len(lines) == 2 + 3 + len(METHODS)
        assert len({len(line) for line in lines}) == 1
        assert len(lines[0]) <= 120
        table = parse(lines)
        assert len({len(cells) for cells in table}) == 1
        assert all(set(rule) == {"-", ":"} for rule in table[1])


def test_markdown_shows_every_measure_of_the_table_once(build_table):
    table = build_table()
    headers = [h for lines in blocks_of(to_markdown(table)) for h in parse(lines)[0]]
    assert set(table.measures) == set(MEASURES)
    for measure in table.measures:
        assert headers.count(HEADERS[measure]) == 1


def test_markdown_escapes_what_would_break_a_cell(build_table):
    assert r"3 of 3 a\|b" in to_markdown(build_table())


def test_a_flagged_row_is_marked_in_every_block(build_table):
    for block in to_blocks(build_table()):
        names = [row[0] for row in block.rows]
        assert names[3:] == ["gradient_ascent !", "neggrad_plus", "natmu !"]
    verdict = to_blocks(build_table())[2]
    assert verdict.rows[3][1] == "2"
    assert verdict.rows[3][-1] == "1 of 3 collapsed"


def test_the_caption_states_terms_directions_seeds_and_the_null_band(build_table):
    table = build_table()
    caption = to_markdown(table)
    for words in (
        "95 % Student t interval over n of 3 seeds",
        "gap: mean absolute difference to the oracle over RA, FA, TA;",
        "gap+MIA: over RA, FA, TA, MIA-E in;",
        "entropy calls members",
        "on confidence (400 examples a side) calls non-members",
        "Non-members: the test set.",
        "test images of the remaining classes; FA test: on test images of the forgotten classes",
        f"at most {table.bands['gap'].high:.2f}",
        "No power here (the original lies in the measure's own band): RA",
    ):
        assert words in caption
    assert "FA test" not in to_markdown(build_table(class_wise=False))


def test_one_seed_is_shown_without_intervals_and_without_a_band(build_table):
    text = to_markdown(build_table(seeds=1))
    assert "±" not in text.replace("mean ±", "")
    assert "one seed, so no intervals" in text
    assert "Null band: unknown" in text
    assert "inside" not in "".join(map(str, to_blocks(build_table(seeds=1))))


def test_cells_show_the_digits_that_a_measure_deserves():
    nan = math.nan
    assert format_cell("RA", Interval(97.314, 96.9, 97.728, 3)) == "97.31±0.41"
    assert format_cell("KL_forget", Interval(0.12345, 0.1, 0.1469, 3)) == "0.123±0.023"
    assert format_cell("FA", Interval(5.0, nan, nan, 1)) == "5.00"
    assert format_cell("FA", Interval(nan, nan, nan, 0)) == "-"


def test_csv_is_rectangular_unrounded_and_empty_where_nothing_is_known(build_table):
    table = build_table()
    header, *lines = csv.reader(io.StringIO(to_csv(table)))
    assert all(len(line) == len(header) for line in lines)
    assert len(set(header)) == len(header)
    for line, row in zip(lines, table.rows, strict=True):
        record = dict(zip(header, line, strict=True))
        assert record["model"] == row.name
        assert (int(record["n"]), int(record["seeds"])) == (row.n, 3)
        for measure in table.measures:
            for end, number in zip(("", "_low", "_high"), row.cells[measure][:3], strict=True):
                text = record[measure + end]
                assert (text == "") if math.isnan(number) else (float(text) == number)
    assert dict(zip(header, lines[5], strict=True))["flags"] == "3 of 3 a|b"


def test_rows_survive_strict_json_and_keep_every_seed(build_table):
    table = build_table()
    rows = json.loads(json.dumps(to_rows(table), allow_nan=False))
    assert [row["model"] for row in rows] == [row.name for row in table.rows]
    broken = rows[3]
    assert broken["flags"] == ["1 of 3 collapsed"]
    assert broken["inside_null_band"] is False
    assert broken["measures"]["FA"]["values"][0] is None
    assert broken["measures"]["FA"]["mean"] == pytest.approx(
        np.mean(broken["measures"]["FA"]["values"][1:])
    )
    assert rows[4]["measures"]["seconds"] == {
        "mean": None, "low": None, "high": None, "values": [None] * 3
    }  # fmt: skip
