"""Figures of a finished run show what they are given, narrow enough for a phone."""

import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.report.figures import (
    MaskedRow,
    falling_figure,
    forget_accuracy_figure,
    gap_against_both_kl_figure,
    masked_forget_figure,
    relevance_figure,
    sensitivity_figure,
    styles,
)
from jax_unlearn.report.figures.style import COMPACT

from .test_figures import METHODS, TWELVE, assert_apart, assert_inside, curve, labelled, texts


def assert_legible(figure):
    """On a phone of 390 pixels the smallest words are at least 9 pixels high."""
    figure.draw_without_rendering()
    words = figure.findobj(lambda a: hasattr(a, "get_fontsize") and hasattr(a, "get_text"))
    smallest = min(t.get_fontsize() for t in words if t.get_text())
    assert smallest * 390 / (72 * figure.get_figwidth()) >= 9
    assert_inside(figure)


# Forget accuracy


def test_the_null_band_of_forget_accuracy_replaces_the_band_of_the_oracles_seeds():
    curves = {"natmu": curve(80, 5, 1)}
    figure = forget_accuracy_figure(curves, oracle=[80, 90], original=100, band=(78.0, 95.0))
    (patch,) = figure.axes[0].patches
    assert (patch.get_y(), patch.get_y() + patch.get_height()) == (78.0, 95.0)
    assert any("null band" in t for t in texts(figure))
    assert_legible(figure)


def test_names_too_long_for_two_columns_of_the_legend_stand_in_one():
    curves = {"neggrad_plus_without_bells": curve(80, 40, 1), "natmu": curve(80, 5, 1)}
    figure = forget_accuracy_figure(curves, oracle=80.0, original=100.0)
    assert_legible(figure)
    assert_apart(figure, [*figure.axes[0].get_legend().get_texts()])


def test_many_methods_have_a_panel_each_with_the_oracle_and_their_last_value():
    names = [name for name in ju.METHODS if name != "retrain"]
    curves = {name: curve(60 + i, 1 + i % 5, 3) for i, name in enumerate(names)}
    curves["ssd"] = np.array([[41.0], [43.0]])
    figure = forget_accuracy_figure(curves, oracle=[80.0, 90.0], original=100.0, band=(78.0, 95.0))
    assert len(figure.axes) == len(names)
    by_title = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert "SSD  42.0" in by_title
    drawn = by_title[f"NatMU  {curves['natmu'][:, -1].mean():.1f}"]
    levels = [line.get_ydata()[0] for line in drawn.lines if len(set(line.get_ydata())) == 1]
    assert {85.0, 100.0} <= set(levels)
    assert_legible(figure)
    assert_apart(figure, [axes.title for axes in figure.axes if axes.title.get_text()])


# Attention


def maps(n=4, side=6, names=("original", "oracle", *METHODS)):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(n, side, side)) for name in names}


def draw_relevance(found, n=4, side=6, channels=1):
    images = np.random.default_rng(1).integers(0, 256, (n, side, side, channels), np.uint8)
    return relevance_figure(images, found, labels=np.arange(n), class_names=("zero", "one"))


@pytest.mark.parametrize("channels", [1, 3])
def test_three_images_stand_before_their_maps_each_on_a_symmetric_scale_of_its_own(channels):
    figure = draw_relevance(maps(), channels=channels)
    shown = [axes.images[0] for axes in figure.axes]
    assert len(shown) == 3 * (1 + 2 + len(METHODS))
    assert all(image.get_clim() == (0, 255) for image in shown[:3])
    lows, highs = zip(*(image.get_clim() for image in shown[3:]), strict=True)
    assert np.allclose(lows, -np.array(highs))
    assert len(set(highs)) == len(shown) - 3
    assert all(image.get_interpolation() == "nearest" for image in shown)
    assert {"zero, one, class 2", "gradient ascent", "NatMU"} <= texts(figure)
    assert any("relevance: input x gradient" in t for t in texts(figure))
    assert_apart(figure, [*figure.texts, *(axes.patch for axes in figure.axes)])
    assert_legible(figure)


def test_a_map_that_is_not_finite_says_so_and_a_map_of_zeros_is_white():
    found = maps(names=("original", "mumis"))
    found["mumis"] = found["mumis"] * np.nan
    found["original"] = found["original"] * 0
    figure = draw_relevance(found)
    assert "not finite" in texts(figure)
    assert figure.axes[3].images[0].get_clim() == (-1, 1)


def test_long_names_stand_on_two_lines_and_no_words_touch():
    names = ("original", "a_method_with_long_names", "natmu", "b", "gradient_ascent_last_layer")
    figure = draw_relevance(maps(names=names))
    assert "a method with long names" in {" ".join(t.split()) for t in texts(figure)}
    assert_apart(figure, [*figure.texts, *(axes.patch for axes in figure.axes)])
    assert_inside(figure)


@pytest.mark.parametrize("methods", [9, 32])
def test_however_many_methods_there_are_the_sheet_is_no_longer_than_two_screens(methods):
    names = ("original", "oracle", *(f"a_method_{i}" for i in range(methods)))
    figure = draw_relevance(maps(names=names))
    images = 3 if methods == 9 else 1
    assert len(figure.axes) == images * (1 + len(names))
    width, height = figure.get_size_inches()
    assert (width, height <= 2 * width) == (COMPACT, True)
    assert_apart(figure, [*figure.texts, *(axes.patch for axes in figure.axes)])
    assert_legible(figure)


def test_maps_of_other_images_are_refused():
    with pytest.raises(InputError, match=r"maps\['natmu'\]: shape \(4, 5, 5\): expected \(4, 6"):
        draw_relevance(maps(side=5, names=("natmu",)))
    with pytest.raises(InputError, match="maps of 0 models"):
        draw_relevance({})


# The masked forget part


def test_rows_with_and_without_injection_share_a_colour_and_the_oracle_is_dashed():
    rows = [
        MaskedRow("original", None, [100.0, 99.0], [5.0, 6.0]),
        MaskedRow("oracle", None, [40.0, 60.0], [20.0, 30.0]),
        MaskedRow("natmu", True, [50.0, 50.0], [25.0, 25.0]),
        MaskedRow("natmu", False, [20.0, 20.0], [70.0, 80.0]),
    ]
    figure = masked_forget_figure(rows)
    left, right = figure.axes
    colour = styles(["natmu"])["natmu"].colour
    for axes, dashed, last in ((left, 50, 20), (right, 25, 75)):
        points = [line for line in axes.lines if line.get_linestyle() == "None"]
        assert [p.get_color() for p in points[2:]] == [colour, colour]
        assert points[3].get_markerfacecolor() == "white"
        assert points[3].get_xdata()[0] == last
        (line,) = [line for line in axes.lines if line.get_linestyle() == "--"]
        np.testing.assert_allclose(line.get_xdata(), dashed)
    assert {"NatMU with injection", "NatMU no injection", "FA (%)", "PFA (%)"} <= texts(figure)
    assert_legible(figure)


def test_no_rows_are_refused():
    with pytest.raises(InputError, match=r"rows=\[\]"):
        masked_forget_figure([])


# Sensitivities


def samples(scale=1.0):
    rng = np.random.default_rng(0)

    def kinds(factor):
        return {
            kind: {
                "members": factor * scale * rng.lognormal(0, 0.3, 200),
                "non-members": factor * rng.lognormal(0, 0.3, 200),
            }
            for kind in ("true class", "irrelevant classes")
        }

    return {"at initialisation": kinds(1e-3), "after training": kinds(50.0)}


def test_densities_peak_where_the_values_lie_and_medians_are_dotted():
    figure = sensitivity_figure(samples(4.0), note="Seed 0.")
    assert len(figure.axes) == 4
    last = figure.axes[2]
    assert last.get_xscale() == "log"
    lines = labelled(last)
    for name, where in (("members", 200.0), ("non-members", 50.0)):
        x, y = lines[name].get_xydata().T
        assert x[y.argmax()] == pytest.approx(where, rel=0.25)
    dotted = [line.get_xdata()[0] for line in last.lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted, [200.0, 50.0], rtol=0.1)
    assert {"true class, after training", "irrelevant classes, at initialisation"} <= texts(figure)
    assert_apart(
        figure, [*figure.texts, *figure.legends, *(a.xaxis.label for a in last.figure.axes[2:])]
    )
    assert_legible(figure)


def test_sensitivities_without_a_positive_number_are_refused_by_name():
    bad = samples()
    bad["after training"]["true class"]["members"] = np.array([0.0, np.nan])
    with pytest.raises(InputError, match="after training, true class, members: no positive"):
        sensitivity_figure(bad)
    with pytest.raises(InputError, match="expected one or more stages"):
        sensitivity_figure({})


def test_the_bar_that_falls_ends_at_the_mean_over_seeds_and_the_rest_rises():
    figure = falling_figure({"true class": {"forget images": [80.0, 100.0], "retain images": [50]}})
    (axes,) = figure.axes
    falls, rises = axes.patches[:2]
    assert falls.get_width() == 90.0
    assert (rises.get_x(), rises.get_width()) == (90.0, 10.0)
    assert {"90 %", "50 %", "falls", "rises", "forget images, true class"} <= texts(figure)
    assert_legible(figure)
    with pytest.raises(InputError, match="at least one group"):
        falling_figure({})


# Gap against both readings of the KL


def test_every_method_and_seed_is_a_point_in_each_reading_that_has_it():
    gap = {"natmu": [1.0, 2.0], "mumis": [3.0, np.nan]}
    readings = {
        "KL(oracle || unlearned) (nats)": {"natmu": [0.1, 0.2], "mumis": [0.5, 0.6]},
        "KL(targets || oracle) (nats)": {"natmu": [1.0, 1.5]},
    }
    figure = gap_against_both_kl_figure(
        gap, readings, null_gap=[0.5], null={"KL(oracle || unlearned) (nats)": [0.05, 0.07]}
    )
    first, second = figure.axes
    np.testing.assert_allclose(labelled(first)["NatMU"].get_xydata(), [[0.1, 1], [0.2, 2]])
    np.testing.assert_allclose(labelled(first)["MU-Mis"].get_xydata(), [[0.5, 3]])
    assert list(labelled(second)) == ["NatMU"]
    assert "not shown: MU-Mis" in texts(figure)
    across, up = first.patches
    assert across.get_x() + across.get_width() == pytest.approx(0.07)
    assert up.get_y() + up.get_height() == pytest.approx(0.5)
    assert len(second.patches) == 1
    assert_legible(figure)


def test_twelve_methods_in_both_readings_stay_inside():
    values = {name: [0.1 * (i + 1), 0.2] for i, name in enumerate(TWELVE)}
    figure = gap_against_both_kl_figure(values, {"one": values, "other": {}}, null_gap=[0.05])
    assert_legible(figure)
    assert figure.get_figwidth() == COMPACT


def test_readings_of_other_seeds_and_no_finite_pair_are_refused():
    with pytest.raises(InputError, match="2 values: expected 1"):
        gap_against_both_kl_figure({"natmu": [1.0]}, {"kl": {"natmu": [1.0, 2.0]}})
    with pytest.raises(InputError, match="no finite pair"):
        gap_against_both_kl_figure({"natmu": [np.nan]}, {"kl": {"natmu": [1.0]}})
