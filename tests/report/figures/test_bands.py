"""The figure of a report's first screen puts every value where its verdict says."""

import math

import pytest

from jax_unlearn.core import InputError
from jax_unlearn.report.figures.bands import PHONE, band_distance_figure, place_in_band


@pytest.mark.parametrize(
    ("value", "side", "place"),
    [
        (4.0, "both", 0.0),
        (2.0, "both", -1.0),
        (8.0, "both", 2.0),
        # No distance to retraining is too small, no likeness too great.
        (0.0, "above", -1.0),
        (6.0, "above", 1.0),
        (9.0, "above", 2.0),
        (9.0, "below", 1.0),
        (1.0, "below", -2.0),
        (math.nan, "both", math.nan),
    ],
)
def test_a_place_is_counted_in_half_widths_of_the_band(value, side, place):
    median = {"both": 4.0, "above": 3.0, "below": 3.0}[side]
    found = place_in_band(value, 2.0, 6.0, median, side)
    assert found == pytest.approx(place, nan_ok=True)


@pytest.mark.parametrize("side", ["both", "above"])
def test_a_band_without_width_is_inside_or_infinitely_far(side):
    assert place_in_band(5.0, 5.0, 5.0, 5.0, side) == 0.0
    assert place_in_band(5.1, 5.0, 5.0, 5.0, side) == math.inf


def drawn(axes):
    return {line.get_label(): line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())}


def test_chosen_rows_have_their_style_and_the_others_are_counted():
    places = {
        "Forget accuracy": {"NatMU": 0.5, "original": 30.0, "SalUn": -2.0, "mine": math.nan},
        "Average gap": {"NatMU": math.inf, "original": 3.0, "SalUn": 1.5, "mine": 7.0},
    }
    figure = band_distance_figure(places, shown={"NatMU", "original"}, title="t")
    labels = {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    assert labels == {"NatMU", "original", "2 others"}
    axes = figure.axes[0]
    # Beyond the last decade lies the end of the axis.
    assert drawn(axes)["NatMU"] == 100.0
    assert {text.get_text() for text in axes.texts} == set(places)
    assert figure.get_figwidth() == PHONE
    assert min(t.get_fontsize() for t in [*axes.texts, *axes.get_xticklabels()]) >= 8.5


def test_nothing_to_place_is_refused():
    with pytest.raises(InputError, match="places: no measure has one"):
        band_distance_figure({"Forget accuracy": {"NatMU": math.nan}}, shown=(), title="t")
