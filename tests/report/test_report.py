"""The report says what the numbers say: when they change, its sentences do."""

import dataclasses
import math

import pytest

from jax_unlearn.core import InputError
from jax_unlearn.report.run_report import (
    RowSummary,
    Section,
    report_markdown,
    summary,
    write_report,
)


def row(name, gap, *, inside=False, **rest):
    return RowSummary(name=name, gap=gap, inside_null_band=inside, **rest)


def section(*rows, **changes):
    given = {
        "title": "digits, hardest 10 %",
        "request": "hardest(fraction=0.1)",
        "forgotten": 120,
        "training": 1200,
        "request_hash": "a1b2c3",
        "seeds": 3,
        "gap_terms": ["RA", "FA", "TA", "MIA"],
        "table": "| method | gap |\n|---|---|\n| natmu | 1.0 |\n",
        "rows": rows,
        "null_high": 0.8,
    }
    return Section(**given | changes)


def words(*rows, **changes):
    return "\n".join(summary(section(*rows, **changes)))


def test_the_nearest_method_is_the_one_with_the_smallest_gap_whoever_it_is():
    assert "Nearest to the oracle: NatMU, 1.00" in words(row("natmu", 1.0), row("mumis", 2.0))
    assert "Nearest to the oracle: MU-Mis, 0.50" in words(row("natmu", 1.0), row("mumis", 0.5))
    assert "Nearest to the oracle: fine-tune" in words(row("natmu", 9.0), row("finetune", 0.5))


def test_the_order_runs_from_near_to_far():
    text = words(row("natmu", 3.0), row("salun", 1.0), row("mumis", 2.0))
    assert "From near to far: SalUn 1.00, MU-Mis 2.00, NatMU 3.00." in text


def test_a_lead_is_called_unsettled_only_where_intervals_overlap():
    best = row("natmu", 1.0, gap_low=0.5, gap_high=1.5)
    near, far = (
        row("mumis", 2.0, gap_low=1.4, gap_high=2.6),
        row("mumis", 2.0, gap_low=1.6, gap_high=2.4),
    )
    assert "the intervals of MU-Mis overlap it" in words(best, near)
    assert "overlap" not in words(best, far)
    assert "95 % interval 0.50 to 1.50" in words(best, far)


def test_methods_inside_the_null_band_are_named_and_none_is_said_when_there_is_none():
    some = words(row("natmu", 0.5, inside=True), row("mumis", 2.0))
    assert "Inside the null band" in some
    assert "by this measure: NatMU 0.50." in some
    assert "fall below 0.80 points" in some
    none = words(row("natmu", 1.5), row("mumis", 2.0))
    assert "No method lies inside the null band" in none


def test_without_a_null_band_none_is_claimed():
    assert "There is no null band" in words(row("natmu", 0.5, inside=None), null_high=None)


def test_a_band_that_holds_the_original_is_said_to_have_no_power():
    rows = [row("natmu", 0.5, inside=True)]
    assert "cannot tell unlearned" in words(*rows, original=row("original", 0.7, inside=True))
    assert "cannot tell unlearned" not in words(*rows, original=row("original", 5.0))


def test_a_method_worse_than_doing_nothing_is_reported_as_such():
    rows = [row("natmu", 6.0), row("mumis", 2.0)]
    text = words(*rows, original=row("original", 4.2))
    assert "Farther from the oracle than the original model (4.20)" in text
    assert "unlearned: NatMU 6.00." in text
    assert "Farther" not in words(*rows, original=row("original", 9.0))


def test_a_collapsed_run_is_named_and_takes_no_part_in_order_or_time():
    rows = [
        row("mumis", 0.1, inside=True, flags=["collapsed (1 of 3 seeds)"], seconds=0.1),
        row("natmu", 2.0, seconds=5.0),
    ]
    text = words(*rows)
    assert "Collapsed, and left out of the order: MU-Mis." in text
    assert "Nearest to the oracle: NatMU" in text
    assert "No method lies inside the null band" in text
    assert "Fastest: NatMU" in text
    sound = [dataclasses.replace(rows[0], flags=()), rows[1]]
    assert "Collapsed" not in words(*sound)
    assert "Fastest: MU-Mis" in words(*sound)


def test_other_flags_are_named_and_keep_their_place_in_the_order():
    text = words(row("finetune", 2.0, flags=["no-op"]), row("natmu", 3.0))
    assert "Flagged no-op: fine-tune." in text
    assert "Nearest to the oracle: fine-tune" in text


def test_a_method_without_a_gap_is_named_and_not_ordered():
    text = words(row("natmu", math.nan), row("mumis", 1.0))
    assert "Without a measured gap: NatMU." in text
    assert "NatMU" not in text.replace("Without a measured gap: NatMU.", "")


def test_nothing_is_ordered_when_everything_collapsed():
    text = words(row("natmu", 50.0, flags=["collapsed"]))
    assert "No method gave a result that can be ordered." in text
    assert "Nearest" not in text


def test_times_are_compared_with_retraining():
    rows = [row("natmu", 1.0, seconds=5.0), row("mumis", 2.0, seconds=0.5)]
    text = words(*rows, retrain_seconds=10.0)
    assert "Fastest: MU-Mis, 500 ms, 5 % of retraining (10 s)." in text
    assert "Not faster" not in text
    assert "Not faster than retraining: NatMU." in words(*rows, retrain_seconds=4.0)
    assert words(*rows).endswith("Fastest: MU-Mis, 500 ms.")


def test_the_report_states_the_request_the_terms_the_seeds_and_the_table():
    text = report_markdown(title="Quickstart", config={}, requests=[section(row("natmu", 1.0))])
    assert text.startswith("# Quickstart\n")
    assert "## digits, hardest 10 %" in text
    assert "120 of 1200 training examples (10 %); request hash a1b2c3." in text
    assert "Average gap over RA, FA, TA, MIA; 3 seeds." in text
    assert "\n\n| method | gap |\n|---|---|\n| natmu | 1.0 |\n" in text


def test_settings_are_flat_and_special_characters_stand_for_themselves():
    config = {"recipe": {"lr": 0.1, "note": "a|b `c`"}, "seeds": [0, 1], "empty": {}}
    one = section(row("natmu", 1.0), title="x | <b>", request="explicit(`ids_1.npy`)\nnext")
    text = report_markdown(title="t", config=config, requests=[one])
    assert "| recipe.lr | 0.1 |" in text
    assert r"| recipe.note | a\|b \`c\` |" in text
    assert r"| seeds | \[0, 1\] |" in text
    assert "| empty | {} |" in text
    assert r"## x \| \<b\>" in text
    assert r"explicit(\`ids\_1.npy\`) next;" in text


def test_figures_are_linked_relative_to_the_report(tmp_path):
    figures = {
        "gap [pp]": tmp_path / "run" / "figures" / "gap 1.png",
        "time": "figures/time.png",
    }
    one = section(row("natmu", 1.0), figures=figures)
    path = write_report(tmp_path / "run" / "report.md", title="t", config={}, requests=[one])
    text = path.read_text()
    assert r"![gap \[pp\]](figures/gap%201.png)" in text
    assert "![time](figures/time.png)" in text
    assert [p.name for p in path.parent.iterdir()] == ["report.md"]


def test_a_report_on_nothing_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="at least one section"):
        write_report(tmp_path / "report.md", title="t", config={}, requests=[])
    assert not list(tmp_path.iterdir())
