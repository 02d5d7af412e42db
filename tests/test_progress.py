"""A progress bar shows itself in a notebook and on a terminal, and nowhere else."""

import sys
import types

import pytest

import jax_unlearn as ju
from jax_unlearn import progress


class Shown:
    """What a notebook's cell shows: the last of each display."""

    def __init__(self):
        self.cells = []

    def display(self, data, *, raw, display_id):
        assert raw
        assert display_id
        self.cells.append([data])
        return types.SimpleNamespace(update=lambda data, raw: self.cells[-1].append(data))


@pytest.fixture
def cells(monkeypatch):
    shown = Shown()
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return shown.cells


def test_in_a_notebook_one_bar_fills_and_the_next_is_another(cells):
    bar = ju.ProgressBar("<NatMU>")
    for done in (1, 2, 4):
        bar(done, 4)
    bar(1, 2)
    first, second = cells
    assert [data["text/plain"] for data in first[:2]] == ["<NatMU>: 1 of 4", "<NatMU>: 2 of 4"]
    assert first[-1]["text/plain"].startswith("<NatMU>: 4 of 4, 0.")
    assert first[-1]["text/html"].startswith(
        '<progress value="4" max="4"></progress> &lt;NatMU&gt;'
    )
    assert second[0]["text/plain"] == "<NatMU>: 1 of 2"


def test_it_is_not_drawn_more_often_than_a_reader_sees(cells, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 1000.0)
    bar = ju.ProgressBar()
    for done in range(1, 101):
        bar(done, 100)
    # The first, and the last.
    assert [data["text/plain"].split(",")[0] for data in cells[0]] == ["1 of 100", "100 of 100"]


def test_a_terminal_has_a_line_and_a_log_has_nothing(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    ju.ProgressBar("steps")(1, 1)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bar = ju.ProgressBar("steps")
    bar(1, 2)
    bar(2, 2)
    said = capsys.readouterr().err
    assert said.startswith("\r\x1b[Ksteps: 1 of 2\r\x1b[Ksteps: 2 of 2, 0.")
    assert said.endswith(" s\n")
