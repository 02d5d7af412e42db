"""Results, audits, tables and figures as a notebook shows them."""

import types

from jax_unlearn.audit import Comparison
from jax_unlearn.engine import Result
from jax_unlearn.report import to_markdown
from jax_unlearn.report.figures.style import new_figure
from tests.report.records import record


def test_a_result_shows_how_it_ended_and_some_of_its_epochs():
    history = [{"step": 10 * i, "loss": 1.0 / (i + 1)} for i in range(100)]
    history[-1] = {"step": 990, "forget_accuracy": 12.5}
    text = Result({}, history, "stopped", 990, 1.25, 3.0)._repr_markdown_()
    said, _, *table = text.splitlines()
    assert said == "**stopped** after 990 steps, 1.2 s and 3.0 s of compilation"
    assert table[0] == r"| epoch | step | loss | forget\_accuracy |"
    assert table[2] == "| 0 | 0 | 1 |  |"
    assert table[-1] == "| 99 | 990 |  | 12.5 |"
    assert len(table) == 2 + 8
    assert "|" not in Result({}, [], "finished", 0, 0.0, 0.0)._repr_markdown_()


def test_an_audit_shows_every_row_with_its_verdict_and_why():
    verdict = types.SimpleNamespace(outcome="fails", outside=3, judged=4, reason="a | b")
    unjudged = types.SimpleNamespace(outcome="cannot be judged", outside=0, judged=0, reason="")
    rows = [
        types.SimpleNamespace(group=types.SimpleNamespace(title=title), verdict=given)
        for title, given in (("NatMU", verdict), ("mine", unjudged))
    ]
    text = Comparison._repr_markdown_(types.SimpleNamespace(rows=rows))
    assert text.splitlines()[2:] == [
        r"| NatMU | fails | 3 of 4 | a \| b |",
        "| mine | cannot be judged | - |  |",
    ]


def test_a_table_shows_itself_and_stays_a_text():
    text = to_markdown(record())
    assert text._repr_markdown_() == text
    assert isinstance(text, str)


def test_a_figure_is_a_picture_without_any_window():
    assert new_figure(1.0, width=1.0)._repr_png_().startswith(b"\x89PNG")
