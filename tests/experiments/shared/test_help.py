"""`--help` fits two screens and hides no flag; errors are one line unless asked otherwise."""

import dataclasses
import importlib
import math
import re
import sys
from pathlib import Path

import pytest

import experiments.quickstart
from experiments.shared import command as shared
from experiments.shared.help_text import explained, short_help
from jax_unlearn.cli import list_commands

FOLDER = Path(experiments.__file__).parent
TWO_SCREENS = 2 * 50
"""Lines, of 80 characters."""


def main_of(name):
    module = f"experiments.{name}" + ("" if name == "quickstart" else ".command")
    return importlib.import_module(module).main


@pytest.mark.parametrize("name", list_commands(FOLDER))
def test_the_help_of_every_command_fits_two_screens_and_explains_each_flag(call, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    done = call(main_of(name), "--help")
    assert done.code == 0
    lines = done.out.splitlines()
    assert sum(max(1, math.ceil(len(line) / 80)) for line in lines) <= TWO_SCREENS
    flags = [line for line in lines if line.startswith("  --")]
    assert flags or name == "reference"
    assert all(len(line.split("  ")[-1].strip()) > 2 for line in flags)
    # Whole, at the width of a terminal: what follows the first clause is in --help-all, and of a
    # list whole entries.
    assert [line for line in flags if re.search(r"(?<!, )\.\.\.($| \[)", line)] == []


def test_what_is_used_most_stands_first_and_nothing_is_left_out(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = call(main_of("run"), "--help")
    flags = [line.split()[0] for line in done.out.splitlines() if line.startswith("  --")]
    assert flags[:3] == ["--preset", "--out", "--data.name"]
    assert {"--training.no-augment", "--num-processes", "--svc-examples"} <= set(flags)
    assert len(flags) == len(set(flags))
    assert "--help-all" in done.out.splitlines()[-2]


def test_what_a_command_is_called_for_stands_before_what_it_shares_with_others(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = call(main_of("ablate"), "--help").out.splitlines()
    flags = [line.split()[0] for line in lines if line.startswith("  --")]
    assert flags[:5] == ["--preset", "--method", "--over", "--study", "--sample"]
    assert len(flags) == len(set(flags))


def test_help_all_is_the_long_one(call):
    done = call(main_of("leaderboard"), "--help-all")
    assert done.code == 0
    assert "(default: experiments/results/leaderboard.md)" in " ".join(done.out.split())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Small:
    """Do it.

    Attributes:
      often: what is
        said in two lines; then more.
      never: whether it is.
      kind: first, second, third, fourth, fifth, sixth, seventh or eighth.
      place: where it lies, however far from here that may be, in a folder.
    """

    often: int = 3
    never: bool = True
    kind: str = ""
    place: str = ""


def test_a_flag_says_its_first_clause_and_a_switch_that_is_on_turns_off(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert explained(Small)["often"] == "what is said in two lines; then more."
    lines = short_help(Small, "small", "What it does.").splitlines()
    assert f"{'  --often INT':32} what is said in two lines [3]" in lines
    assert f"{'  --no-never':32} turns off: it is" in lines


def test_a_list_that_is_cut_says_so(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = short_help(Small, "small", "What it does.").splitlines()
    assert f"{'  --kind STR':32} first, second, third, fourth, fifth, sixth, ..." in lines
    assert f"{'  --place STR':32} where it lies" in lines


def fail():
    raise ZeroDivisionError("by\nnought")


def test_an_error_that_nobody_foresaw_is_one_line_unless_debugging(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as stop:
        shared.program(fail)
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ZeroDivisionError: by nought (test_help.py, line ")
    assert said.count("\n") == 1
    monkeypatch.setattr(sys, "argv", ["command", "--debug", "--out", "x"])
    with pytest.raises(ZeroDivisionError):
        shared.program(fail)
    # No command sees the flag.
    assert sys.argv == ["command", "--out", "x"]
