"""What the tables show of records, and what is said beside them."""

import io

import pytest
from rich.console import Console

from experiments.compile.derived import derive
from experiments.compile.findings import CRASHED
from experiments.compile.tables import costs, notes, parts, show


@pytest.mark.parametrize("width", [80, 400])
def test_a_terminal_too_narrow_for_the_tables_gets_every_number(width):
    record = {"error": None, "seconds": 1.0, "batch": 8, "models": 1, "shards": 1, "flops": 4e10}
    record |= {"bytes": 8.0e7, "memory": {"total": 2**30}, "largest_batch": 1234, "room": 2**31}
    record |= {"bound_seconds": 1.0, "bound_by": "memory", "counted_by": "program", "copies": 5}
    record |= {"collectives": {}, "convolutions": {"3x3": 17}, "oversized": {}, "transposes": 6}
    records = {f"{row} step b8": record for row in ("training", "mumis_last_layer")}
    derive(records)
    text = io.StringIO()
    show("tpu:v5e:2x2", records, ["A note."], Console(file=text, width=width))
    shown = text.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    words = " ".join(shown.split())
    for cell in [
        cell for table in (costs(records), parts(records)) for row in table for cell in row
    ]:
        assert cell in words
    assert words.endswith("A note.")


def test_a_failed_program_is_named_with_its_error_on_a_narrow_terminal():
    text = io.StringIO()
    show(
        "t", {"mumis step b8": {"error": "RESOURCE_EXHAUSTED: 1"}}, [], Console(file=text, width=20)
    )
    assert "mumis step b8: not compiled: RESOURCE_EXHAUSTED: 1" in " ".join(text.getvalue().split())


def test_the_largest_batch_of_a_program_that_was_refused_is_shown():
    refused = {"error": "RESOURCE_EXHAUSTED: 1", "largest_batch": 5, "confirmed": True}
    records = {"mumis step b8": refused | {"refused_batch": 6}}
    ((_, _, why, *_, batch, _, _),) = costs(records)
    assert (why, batch) == ("RESOURCE_EXHAUSTED: 1", "5, not 6")
    text = io.StringIO()
    show("t", records, [], Console(file=text, width=20))
    said = " ".join(text.getvalue().split())
    assert "not compiled: RESOURCE_EXHAUSTED: 1; largest batch 5, not 6" in said


def test_a_compilers_last_words_are_shown():
    ((_, _, why, *_),) = costs({"a step b8": {"error": CRASHED, "words": "F1130 no room"}})
    assert why == f"{CRASHED}: F1130 no room"


def test_a_program_that_ends_the_process_is_explained():
    (said,) = [line for line in notes({"a": {"error": CRASHED}}, {}) if CRASHED in line]
    assert "--overwrite" in said
    assert CRASHED not in " ".join(notes({"a": {"error": "too large"}}, {}))


def test_a_loop_beside_a_plain_step_is_said_to_do_more():
    record = {"error": None, "counted_by": "program", "of_plain": {}}
    (said,) = [line for line in notes({"training scan b8": record}, {}) if "loop gathers" in line]
    assert said not in notes({"training step b8": record}, {})


def test_programs_whose_products_are_the_librarys_are_named():
    usual = {"error": None, "counted_by": "program"}
    records = {"a step b8": usual | {"own_products_refused": "no tiles"}, "b step b8": usual}
    (said,) = [line for line in notes(records, {}) if "cuBLAS" in line]
    assert "a step b8" in said
    assert "b step b8" not in said


def test_loops_that_count_once_are_named():
    usual = {"error": None, "counted_by": "program", "loops": 1}
    records = {"a step b8": usual | {"loops_untold": 1}, "b step b8": usual | {"loops_untold": 0}}
    (said,) = [line for line in notes(records, {}) if "does not tell" in line]
    assert "a step b8" in said
    assert "b step b8" not in said
    assert not [line for line in notes({"b step b8": records["b step b8"]}, {}) if "tell" in line]


def test_minutes_say_what_they_are_without():
    found = {"minutes": 3.0, "models": 2, "without": ["ssd"], "left_out": ["evaluation"]}
    (said,) = [line for line in notes({}, found) if "minutes" in line]
    assert said.endswith("3 minutes where no rule stops a method early; without ssd, evaluation.")


def test_a_loop_is_compared_with_a_loop():
    record = {"error": None, "seconds": 1.0, "batch": 8, "models": 1, "shards": 1, "flops": 4.0}
    record |= {"bytes": 8.0, "memory": {"total": 1}, "largest_batch": None, "bound_seconds": 1.0}
    record |= {"bound_by": "memory", "room": 2}
    double = record | {"flops": 8.0}
    records = {"training step b8": record, "training scan b8": double, "mumis scan b8": {**double}}
    derive(records)
    shown = {row[0]: row[4] for row in costs(records)}
    assert shown == {
        "training step b8": "1.00 / 1.00",
        "training scan b8": "1.00 / 1.00",
        "mumis scan b8": "1.00 / 1.00",
    }
    del records["training scan b8"], records["mumis scan b8"]["of_cross_entropy"]
    derive(records)
    assert costs(records)[1][4] == ""


def test_what_fills_a_batch_up_is_no_image():
    record = {"error": None, "seconds": 1.0, "models": 2, "shards": 4, "flops": 6.0, "bytes": 12.0}
    record |= {"memory": {"total": 1}, "room": 2, "bound_seconds": 0.5}
    records = {"training step b8": record | {"batch": 8, "padding": 2}}
    derive(records)
    assert records["training step b8"]["per_image"] == {"flops": 4.0, "bytes": 8.0}
    assert records["training step b8"]["images_per_second"] == 24


def test_what_does_not_fit_is_marked_and_bounds_nothing():
    record = {"error": None, "seconds": 1.0, "batch": 8, "models": 1, "shards": 1, "flops": 4.0}
    record |= {"bytes": 8.0, "memory": {"total": 3 * 2**30}, "room": 2 * 2**30}
    records = {"salun step b8": record | {"largest_batch": 5, "bound_seconds": 1, "bound_by": ""}}
    derive(records)
    (row,) = costs(records)
    assert row[-4:] == ["3, does not fit 2", "~5", "", ""]


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"largest_batch": 5}, "~5"),
        ({"largest_batch": 5, "confirmed": True}, "5"),
        ({"largest_batch": 5, "refused_batch": 7, "confirmed": True}, "5, not 7"),
        ({"largest_batch": 5, "refused_batch": None, "confirmed": True}, "5 or more"),
        ({"largest_batch": None}, "-"),
    ],
)
def test_a_largest_batch_is_marked_where_it_is_an_estimate(found, shown):
    record = {"error": None, "seconds": 1.0, "batch": 8, "models": 1, "shards": 1, "flops": 4.0}
    record |= {"bytes": 8.0, "memory": {"total": 1}, "room": 2, "bound_seconds": 1, "bound_by": ""}
    records = {"training step b8": record | found}
    derive(records)
    (row,) = costs(records)
    assert row[-3] == shown
