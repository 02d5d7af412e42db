"""The audit's figures show the curves they are given, and stay legible at a phone's width."""

import itertools
import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jax_unlearn.core import InputError
from jax_unlearn.report.figures import (
    density_figure,
    display_name,
    epsilon_figure,
    gap_against_time_figure,
    roc_figure,
    strip_figure,
)
from jax_unlearn.report.figures.confidence import kernel_density
from jax_unlearn.report.figures.style import COMPACT

MANY = (
    *("original", "oracle", "finetune", "gradient_ascent", "neggrad_plus", "amnesiac"),
    *("bad_teacher", "salun", "natmu", "mumis"),
)


def labelled(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def words(figure):
    return [t for t in figure.findobj(lambda a: hasattr(a, "get_fontsize")) if t.get_text()]


def assert_legible(figure):
    """Nothing is cut off, words are large enough, and the figure is as narrow as a phone needs."""
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    width, height = figure.get_size_inches()
    tight = figure.get_tightbbox(renderer)
    assert width == COMPACT
    assert min(tight.x0, tight.y0) >= 0
    assert tight.x1 <= width
    assert tight.y1 <= height
    assert min(t.get_fontsize() for t in words(figure)) >= 8


def assert_apart(figure, artists):
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    shown = [artist.get_window_extent(renderer) for artist in artists]
    for one, two in itertools.combinations(shown, 2):
        assert not one.overlaps(two)


# ROC


def power(exponent, low=1e-4, n=300):
    fpr = np.concatenate([[0.0], np.geomspace(low, 1, n)])
    return fpr, fpr**exponent


def test_an_roc_is_drawn_on_log_axes_from_the_smallest_rate_with_chance_as_diagonal():
    (axes,) = roc_figure({"natmu": power(0.5), "oracle": power(1.0)}).axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.get_xlim() == pytest.approx((1e-4, 1.0))
    chance = labelled(axes)["chance"]
    np.testing.assert_array_equal(chance.get_xdata(), chance.get_ydata())
    assert axes.get_xlim()[0] == chance.get_xdata()[0]


def test_every_point_of_a_drawn_roc_is_the_best_rate_within_the_allowance():
    fpr, tpr = np.array([0.0, 0.002, 0.3, 1.0]), np.array([0.1, 0.2, 0.9, 1.0])
    (axes,) = roc_figure({"natmu": (fpr, tpr)}).axes
    x, y = labelled(axes)["NatMU"].get_data()
    expected = [max(t for f, t in zip(fpr, tpr, strict=True) if f <= at + 1e-9) for at in x]
    np.testing.assert_array_equal(y, expected)


def test_a_rate_of_zero_has_no_place_on_a_log_axis():
    (axes,) = roc_figure({"natmu": ([0.0, 0.01, 1.0], [0.0, 0.0, 1.0])}).axes
    x, y = labelled(axes)["NatMU"].get_data()
    assert np.isnan(y[x < 1]).all()
    assert y[-1] == 1


def test_the_rates_of_the_table_are_marked_where_the_curves_reach_them():
    marked = {t.get_text() for t in words(roc_figure({"natmu": power(0.5)}))}
    assert {"0.1 %", "1 %"} <= marked
    marked = {t.get_text() for t in words(roc_figure({"natmu": power(0.5, low=0.02)}))}
    assert "0.1 %" not in marked


def test_ten_rocs_fit_a_phone():
    assert_legible(roc_figure({name: power(0.1 * k + 0.1) for k, name in enumerate(MANY)}))


@pytest.mark.parametrize(
    "curve",
    [
        ([0.0, 1.0], [0.0]),
        ([0.0, 0.0], [0.0, 1.0]),
        ([0.0, 2.0], [0.0, 1.0]),
        ([0.5, 0.1, 1.0], [0.0, 0.5, 1.0]),
        ([0.1, 0.5, 1.0], [0.0, 0.9, 0.5]),
        ([0.0, math.nan, 1.0], [0.0, 0.5, 1.0]),
    ],
)
def test_rates_that_are_no_roc_are_refused(curve):
    with pytest.raises(InputError, match=r"curves\['natmu'\]: .*ascending arrays \[T\]"):
        roc_figure({"natmu": curve})


def test_no_roc_is_refused():
    with pytest.raises(InputError, match="at least one ROC curve"):
        roc_figure({})


# Epsilon


def test_epsilons_are_sorted_from_the_worst_over_the_share_of_examples():
    (axes,) = epsilon_figure({"natmu": [1.0, 3.0, 2.0, math.nan, 0.0]}).axes
    x, y = labelled(axes)["NatMU"].get_data()
    np.testing.assert_array_equal(y, [3, 2, 1, 0])
    np.testing.assert_allclose(x, [12.5, 37.5, 62.5, 87.5])


def test_examples_always_told_apart_stand_above_all_others_without_flattening_them():
    figure = epsilon_figure({"natmu": [50.0, 50.0, 2.0, 1.0], "oracle": [0.5] * 4})
    (axes,) = figure.axes
    y = labelled(axes)["NatMU"].get_ydata()
    assert y[0] == y[1] > 2.0
    assert axes.get_ylim()[1] < 4
    assert "always told apart (\u2265 50)" in {t.get_text() for t in words(figure)}
    assert "oracle vs oracle" in labelled(axes)
    below = epsilon_figure({"natmu": [2.0]})
    assert not any("always" in t.get_text() for t in words(below))


def test_epsilons_of_zero_and_at_the_cap_alone_are_drawn():
    for value in (0.0, 50.0):
        (axes,) = epsilon_figure({"natmu": [value]}).axes
        assert axes.get_ylim()[1] > labelled(axes)["NatMU"].get_ydata()[0] >= 0


def test_ten_models_epsilons_fit_a_phone():
    rng = np.random.default_rng(0)
    assert_legible(epsilon_figure({name: [50, *rng.gamma(1, 2, 99)] for name in MANY}))


@pytest.mark.parametrize(("bad", "n"), [([-1.0], 1), ([math.nan], 0), ([], 0)])
def test_epsilons_that_are_none_are_refused(bad, n):
    with pytest.raises(InputError, match=rf"epsilon\['natmu'\]: {n} finite values, .*all >= 0"):
        epsilon_figure({"natmu": bad})
    with pytest.raises(InputError, match="at least one model"):
        epsilon_figure({})


# Densities


@pytest.mark.parametrize("values", [[0.0], [1.0] * 9, np.linspace(-3, 3, 40), [0, 0, 0, 0, 5.0]])
def test_a_density_integrates_to_one(values):
    at = np.linspace(-30, 30, 6001)
    density = kernel_density(np.array(values, float), at)
    np.testing.assert_allclose(density.sum() * (at[1] - at[0]), 1.0, rtol=1e-6)
    assert density.min() >= 0


def test_a_density_of_many_normal_values_is_near_the_normal_density():
    at = np.linspace(-4, 4, 81)
    density = kernel_density(np.random.default_rng(0).normal(size=4000), at)
    normal = np.exp(-0.5 * at**2) / math.sqrt(2 * math.pi)
    assert np.abs(density - normal).max() < 0.03


def test_each_model_gets_a_panel_over_the_oracles_density_on_common_axes():
    rng = np.random.default_rng(0)
    figure = density_figure({name: rng.normal(k, 1, 200) for k, name in enumerate(MANY)})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [display_name(name) for name in MANY if name != "oracle"]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1
    dashed = [axes.lines[0].get_ydata() for axes in figure.axes]
    assert all(np.array_equal(d, dashed[0]) for d in dashed)
    assert_legible(figure)


def test_a_model_that_always_answers_the_same_is_cut_and_says_so():
    rng = np.random.default_rng(0)
    models = {name: rng.normal(0, 3, 200) for name in ("oracle", "natmu", "salun", "mumis")}
    figure = density_figure({**models, "amnesiac": np.zeros(200)})
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.texts] == ["amnesiac"]


def test_densities_without_an_oracle_or_numbers_are_refused():
    for bad in ({}, {"oracle": [1.0]}, {"natmu": [1.0]}):
        with pytest.raises(InputError, match="expected 'oracle' and another model"):
            density_figure(bad)
    with pytest.raises(InputError, match=r"confidences\['natmu'\]: no finite number among 1"):
        density_figure({"oracle": [1.0], "natmu": [math.nan]})


# Single examples


def example(i, names, n=20):
    rng = np.random.default_rng(i)
    models = {name: rng.normal(k, 1, n) for k, name in enumerate(names)}
    return {"id": i, "label": 3, "models": models}


def strokes(line):
    return line.get_xdata()[::3]


def test_every_model_is_a_stroke_in_the_row_of_its_name():
    given = example(7, ("natmu", "oracle", "original"))
    figure = strip_figure([given])
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["oracle", "original", "NatMU"]
    assert axes.yaxis_inverted()
    for row, name in enumerate(("oracle", "original", "natmu")):
        np.testing.assert_allclose(strokes(axes.lines[row]), given["models"][name], atol=0.2)
        assert np.nanmean(axes.lines[row].get_ydata()) == pytest.approx(row)
    assert axes.get_title(loc="left") == "id 7, class 3"


def test_the_band_holds_the_middle_of_the_oracles():
    given = example(0, ("oracle", "natmu"), n=400)
    (axes,) = strip_figure([given]).axes
    (band,) = axes.patches
    inside = [
        band.get_x() <= v <= band.get_x() + band.get_width() for v in given["models"]["oracle"]
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)


def test_a_model_without_finite_confidences_leaves_its_row_empty():
    given = example(0, ("oracle", "natmu"))
    given["models"]["natmu"] = np.array([math.nan, math.inf])
    (axes,) = strip_figure([given]).axes
    assert [len(strokes(line)) for line in axes.lines] == [20, 0]


def test_a_dozen_examples_under_ten_models_fit_a_phone():
    figure = strip_figure([example(i, MANY) for i in range(12)])
    assert len(figure.axes) == 12
    assert_legible(figure)
    assert_apart(figure, figure.axes[0].get_yticklabels())
    assert_apart(figure, [axes.title for axes in figure.axes])


def test_an_odd_number_of_examples_leaves_no_empty_panel():
    figure = strip_figure([example(i, ("oracle", "natmu")) for i in range(3)])
    assert len(figure.axes) == 3
    assert_legible(figure)


def test_examples_of_different_models_are_refused():
    both = [example(0, ("oracle", "natmu")), example(1, ("oracle", "mumis"))]
    with pytest.raises(InputError, match=r"example 1: models .*same models in every example"):
        strip_figure(both)
    with pytest.raises(InputError, match=r"example 0: models .*expected 'oracle'"):
        strip_figure([example(0, ("natmu",))])
    with pytest.raises(InputError, match="at least one forget example"):
        strip_figure([])


# Gap against time


def test_a_method_stands_at_its_mean_time_and_its_gap_with_its_interval():
    figure = gap_against_time_figure(
        {"natmu": (1.2, 1.0, 1.4), "mumis": (3.0, math.nan, math.nan)},
        {"natmu": [1.0, 3.0], "mumis": [10.0]},
        retrain=[40.0, 60.0],
        band=(0.5, 1.5),
    )
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert labelled(axes)["NatMU"].get_xydata().tolist() == [[2.0, 1.2]]
    assert any(np.array_equal(line.get_xydata(), [[2, 1.0], [2, 1.4]]) for line in axes.lines)
    (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed.get_xdata(), 50.0)
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.5, 1.5))
    assert_legible(figure)


def test_without_retraining_or_band_neither_is_spoken_of():
    figure = gap_against_time_figure({"natmu": (1.0, 0.5, 1.5)}, {"natmu": [1.0]})
    spoken = " ".join(t.get_text() for t in words(figure))
    assert "retraining" not in spoken
    assert "band" not in spoken


def test_labels_of_ten_methods_at_one_place_stay_apart():
    gap = dict.fromkeys(MANY, (1.0, 0.9, 1.1))
    figure = gap_against_time_figure(gap, {name: [2.0] for name in MANY}, retrain=[50.0])
    (axes,) = figure.axes
    assert {t.get_text() for t in axes.texts} == {display_name(name) for name in MANY}
    assert_apart(figure, axes.texts)


def test_gaps_and_times_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="expected the same methods"):
        gap_against_time_figure({"natmu": (1.0, 1.0, 1.0)}, {"mumis": [1.0]})
    with pytest.raises(InputError, match="seconds: 0: expected times > 0"):
        gap_against_time_figure({"natmu": (1.0, 1.0, 1.0)}, {"natmu": [0.0]})
    with pytest.raises(InputError, match=r"gap\['natmu'\]: .*expected a finite value"):
        gap_against_time_figure({"natmu": (math.nan, 1.0, 1.0)}, {"natmu": [1.0]})
