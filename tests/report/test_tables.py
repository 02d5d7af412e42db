"""The tables of an audit say what its record says, for programs and for a terminal."""

import csv
import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from jax_unlearn.core import InputError
from jax_unlearn.report.tables import (
    COLUMNS,
    evidence,
    long_table,
    print_summary,
    summary_table,
    to_csv,
    to_markdown,
)
from tests.report.records import HOSTILE, cell, record


def printed(audit, width=120):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_summary(audit, console)
    return console.file.getvalue()


def test_the_long_table_has_a_line_for_every_row_and_measure():
    audit = record()
    lines = long_table(audit)
    assert all(tuple(sorted(line)) == tuple(sorted(COLUMNS)) for line in lines)
    keys = [(line["row"], line["measure"]) for line in lines]
    assert keys == [(r["name"], m["name"]) for r in audit["rows"] for m in audit["measures"]]
    assert {line["request"] for line in lines} == {"random:0.1"}


def test_csv_holds_every_number_to_the_last_digit_and_nothing_where_nothing_is_known():
    audit = record()
    value = audit["rows"][2]["results"]["FA"]["value"] = 1 / 3
    audit["rows"][2]["results"]["FA"]["band"] = [0.1 + 0.2, 1e-17]
    audit["rows"][3]["results"]["FA"] = cell(None, "", 0, 'why, "so"\nthen')
    lines = list(csv.DictReader(io.StringIO(to_csv(audit))))
    assert tuple(lines[0]) == COLUMNS
    natmu, mumis = (
        next(line for line in lines if (line["row"], line["measure"]) == (name, "FA"))
        for name in ("natmu", "mumis")
    )
    assert float(natmu["value"]) == value
    assert (float(natmu["band_low"]), float(natmu["band_high"])) == (0.1 + 0.2, 1e-17)
    assert [mumis[key] for key in ("value", "low", "high", "band_low")] == [""] * 4
    assert mumis["note"] == 'why, "so"\nthen'


def test_the_table_of_verdicts_shows_measures_time_verdict_and_flags():
    audit = record()
    audit["rows"][2]["flags"] = ["no-op"]
    audit["models"]["methods"]["natmu"]["statuses"] = {"finished": 7, "ended at the limit": 1}
    audit["rows"][3]["seconds"] = {"value": None, "low": None, "high": None, "n": 0}
    head, _, oracle, natmu, mumis = summary_table(audit)
    assert head == (
        *("model", "RA", "FA", "TA", "gap", "KL to oracle"),
        *("seconds", "verdict", "flags"),
    )
    assert oracle == (
        *("oracle", "-", "88.0 ±0.880", "-", "1.200 ±0.012", "-", "2.000 ±0.500"),
        *("passes", ""),
    )
    assert natmu[-2:] == ("fails", "no-op; 1 of 8 ended at the limit")
    assert mumis[6] == "-"


def test_what_a_request_asks_for_of_its_own_comes_first():
    audit = record()
    audit["measures"].append({**audit["measures"][0], "name": "confusion", "title": "Confusion"})
    for place, row in enumerate(audit["rows"]):
        row["results"]["confusion"] = cell(10.0 * (place + 1), "", 8, "")
    head, *lines = summary_table(audit)
    assert head[:3] == ("model", "Confusion", "RA")
    assert [line[1].split()[0] for line in lines] == ["10.0", "20.0", "30.0", "40.0"]
    for row in audit["rows"]:
        row["results"]["confusion"]["value"] = None
    assert summary_table(audit)[0][:2] == ("model", "RA")


def test_rows_with_the_same_evidence_share_a_line():
    assert evidence(record()) == [
        "original: 8 models against 8 oracles: 2 of 3 informative measures outside, at most 0 by "
        "chance.",
        "oracle: 8 models against 8 oracles: 0 of 3 informative measures outside, at most 0 by "
        "chance.",
        "NatMU, MU-Mis: 8 models against 8 oracles: 1 of 2 informative measures outside, at most 0 "
        "by chance.",
    ]


@pytest.mark.parametrize("outcome", ["passes", "fails", "cannot be judged"])
def test_the_terminal_shows_the_verdict_and_its_reason(outcome):
    audit = record()
    audit["rows"][2]["verdict"] |= {"outcome": outcome, "reason": "as it is [red]so"}
    text = printed(audit)
    assert outcome in next(line for line in text.splitlines() if "NatMU" in line)
    assert "NatMU: as it is [red]so." in text
    assert "random 10 %: 150 of 1500 training images forgotten" in text


def test_markup_in_a_name_is_text_on_the_terminal_and_in_markdown():
    name = f"[bold]{HOSTILE}|"
    audit = record(methods=(name,))
    assert name in printed(audit, width=200)
    text = to_markdown(audit)
    assert "\\[bold\\]\\<script\\>" in text
    assert re.search(r"(?<!\\)<", text) is None


def test_a_narrow_terminal_cuts_nothing_off():
    joined = "".join(printed(record(), width=60).split())
    assert "\u2026" not in joined
    assert "88.0" in joined


@pytest.mark.parametrize("write", [long_table, to_csv, summary_table, to_markdown])
def test_another_format_is_refused_in_one_line(write):
    with pytest.raises(InputError, match="audit: format 1: expected 2; make it again"):
        write(record() | {"format": 1})


def test_tables_need_neither_matplotlib_nor_jinja2():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('matplotlib', 'jinja2', 'rich')))\n"
        "import jax_unlearn.report, jax_unlearn.report.tables, jax_unlearn.audit.records.auditing\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
@pytest.mark.parametrize("name", ["Picture", "write_report"])
def test_what_needs_the_extra_says_so_in_one_line(package, name):
    code = (
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {package!r} else find(name, *rest)\n"
        "try:\n"
        f"    from jax_unlearn.report import {name}\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == (
        f"jax_unlearn.report.{name} needs {package}: pip install 'jax_unlearn[report]'\n"
    )


def test_figures_without_matplotlib_say_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "try:\n"
        "    from jax_unlearn.report.figures import sweep_figure\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    said = "jax_unlearn.report.figures needs matplotlib: pip install 'jax_unlearn[report]'\n"
    assert done.stdout == said


def test_a_method_without_a_setting_that_works_says_so_in_every_table():
    why = "no setting found that forgets"
    audit = record()
    audit["models"]["methods"]["natmu"]["failed"] = why
    audit["rows"][2]["flags"] = [why]
    lines = [line for line in csv.DictReader(io.StringIO(to_csv(audit))) if line["row"] == "natmu"]
    assert all(line["note"].startswith(why) for line in lines)
    # A row of the terminal wraps where it is narrow.
    for text in (printed(audit, width=200), to_markdown(audit)):
        assert why in next(line for line in text.splitlines() if "NatMU" in line)


def test_what_there_was_to_unlearn_stands_under_the_table():
    audit = record()
    audit["models"]["accuracies"] = {
        "original": {"train": 100.0, "test": 96.94},
        "oracle": {"forget": 0.0},
    }
    line = (
        "Originals: train 100.0 %, test 96.9 %; all 16 oracles, of which 8 are held out: forget "
        "accuracy 0.0 %"
    )
    assert evidence(audit)[0] == f"{line}."
    audit["models"]["methods"]["mumis"]["files"] = [
        {"path": f"{i}.npz", "sha256": "", "sensitivity_ratio": value}
        for i, value in enumerate((2.0, 3.0, None))
    ]
    assert evidence(audit)[0] == (
        f"{line}; MU-Mis finds the originals a/b = 2.50 times as sensitive to the true class as to "
        "others."
    )
    audit["models"]["methods"]["natmu"]["files"] = audit["models"]["methods"]["mumis"]["files"]
    assert evidence(audit)[0].startswith(f"{line}; NatMU and MU-Mis find the originals a/b = 2.50")


def test_a_title_of_ones_own_is_shown_and_programs_keep_the_name():
    name = "methods/mine.py:MyMethod"
    audit = record(methods=(name, "natmu"))
    audit["models"]["methods"][name]["title"] = "My Way"
    assert [line[0] for line in summary_table(audit)[3:]] == ["My Way", "NatMU"]
    assert evidence(audit)[-1].startswith("My Way, NatMU: ")
    assert {line["row"] for line in long_table(audit)} == {"original", "oracle", name, "natmu"}
