"""Methods get the figures that they declare, whatever they are called."""

from types import SimpleNamespace

import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.report import MethodRun, method_figures, write_report
from tests.report.records import HOSTILE, record

HISTORY = [
    {
        "step": step,
        "sensitivity_label": 5.0 / (1 + step),
        "sensitivity_irrelevant": 1.0 + step,
        "forget_accuracy": 100.0 - step,
    }
    for step in range(5)
]


def course(history=HISTORY, **more):
    return MethodRun(
        method=SimpleNamespace(history_figure="mumis", stop_ratio=2.5), history=history, **more
    )


def blended(channels=3, n=9):
    rng = np.random.default_rng(0)

    def examples(count):
        image = rng.integers(0, 256, (count, 4, 4, channels)).astype(np.uint8)
        return SimpleNamespace(image=image, label=np.arange(count) % 3)

    rows = SimpleNamespace(
        image=rng.integers(0, 256, (n, 2, 4, 4, channels)).astype(np.uint8),
        label=np.zeros((n, 2), int),
        partner=rng.integers(0, 20, (n, 2)),
        mask=np.ones((2, 4, 4, 1)),
    )
    problem = SimpleNamespace(forget=examples(n), retain=examples(20))
    method = SimpleNamespace(pool_figure="hybrids")
    return MethodRun(method=method, rows=rows, problem=problem, class_names=("zero", "one"))


def texts(figure):
    figure.draw_without_rendering()
    found = figure.findobj(lambda a: hasattr(a, "get_text"))
    return {" ".join(t.get_text().split()) for t in found if t.get_text()}


def test_a_method_without_declarations_gets_no_figure():
    plain = MethodRun(method=SimpleNamespace(), history=HISTORY)
    assert method_figures({"mumis": plain, "natmu": plain}, record()) == []


def test_a_method_of_any_name_gets_the_figure_of_its_history():
    (picture,) = method_figures({"mine": course(status="stopped")}, record())
    assert picture.slug == "mumis-mine"
    shown = texts(picture.figure)
    assert "stop, step 4" in shown
    assert "forget, oracle 88.0" in shown
    assert "may stop at 2.5 x its start" in shown


def test_a_run_that_did_not_stop_by_itself_has_no_line_where_it_stopped():
    (picture,) = method_figures({"mine": course(status="finished")}, record())
    assert not any("stop, step" in text for text in texts(picture.figure))


def test_a_method_gets_the_figure_of_its_rows_with_class_names():
    (picture,) = method_figures({"mine": blended()}, record())
    assert picture.slug == "hybrids-mine"
    assert {"zero", "one", "class 2"} <= texts(picture.figure)


def test_figures_without_data_are_left_out():
    runs = {"a": course(history=()), "b": MethodRun(method=SimpleNamespace(pool_figure="hybrids"))}
    assert method_figures(runs, record()) == []


def test_images_that_cannot_be_shown_leave_out_their_figure():
    assert method_figures({"mine": blended(channels=2)}, record()) == []


@pytest.mark.parametrize("declared", ["history_figure", "pool_figure"])
def test_an_unknown_figure_is_refused_by_name(declared):
    run = MethodRun(method=SimpleNamespace(**{declared: "nonsense"}))
    with pytest.raises(InputError, match=f"{declared}='nonsense' of mine: expected one of"):
        method_figures({"mine": run}, record())


def test_rows_without_what_they_were_made_of_are_refused():
    run = MethodRun(method=SimpleNamespace(pool_figure="hybrids"), rows=blended().rows)
    with pytest.raises(InputError, match="problem=None"):
        method_figures({"mine": run}, record())


def test_hostile_and_equal_names_make_slugs_of_their_own_and_the_report_holds_them(tmp_path):
    names = (HOSTILE, "../../x", "a b", "a-b", "$\\frac{")
    audit = record(methods=names)
    drawn = method_figures(dict.fromkeys(names, course()), audit)
    assert len({picture.slug for picture in drawn}) == len(names)
    paths = write_report(audit, tmp_path, figures=drawn)
    assert "<script" not in paths["html"].read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"figures", "report.html", "report.md"}
