"""An axis of distances is logarithmic where a linear one would press its markers together."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from jax_unlearn.report.figures import gap_against_time_figure
from jax_unlearn.report.figures.scales import spread_scale


def near_methods(**others):
    """Eight methods at gaps of 0.5 to 2.3 points, their intervals a fifth as wide, and others."""
    gaps = {f"near {i}": 0.5 * 1.25**i for i in range(8)}
    return {name: (gap, 0.9 * gap, 1.1 * gap) for name, gap in gaps.items()} | others


def drawn(gap):
    (axes,) = gap_against_time_figure(gap, {name: [1.0] for name in gap}, band=(0.4, 0.6)).axes
    return axes


def share(axes, gap):
    """Which part of the axis the markers of the near methods take."""
    places = axes.transAxes.inverted().transform(
        [
            axes.transData.transform((1.0, value))
            for name, (value, *_) in gap.items()
            if "near" in name
        ]
    )
    return np.ptp(places[:, 1])


def test_alike_gaps_stand_on_a_linear_axis_from_zero():
    gap = near_methods()
    axes = drawn(gap)
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] == 0
    assert "log" not in axes.get_ylabel()


@pytest.mark.parametrize(
    ("wide", "scale", "words"),
    [
        ((20.0, 15.0, 83.0), "log", "log scale"),
        # The value is near, its interval alone is not.
        ((1.0, 0.4, 83.0), "log", "log scale"),
        ((20.0, 0.0, 83.0), "symlog", "log scale from 0.5"),
        ((20.0, math.nan, math.nan), "log", "log scale"),
        # An end that is as good as 0 does not get the axis to itself.
        ((20.0, 1e-7, 83.0), "symlog", "log scale from 0.5"),
    ],
)
def test_one_wide_interval_does_not_press_the_others_together(wide, scale, words):
    gap = near_methods(wide=wide)
    axes = drawn(gap)
    assert axes.get_yscale() == scale
    assert axes.get_ylabel() == f"average gap (points), {words}"
    assert share(axes, gap) > 0.2


def test_a_gap_of_zero_stands_at_a_tick_that_says_so():
    gap = near_methods(nearest=(0.0, 0.0, 0.1), wide=(20.0, 0.0, 83.0))
    axes = drawn(gap)
    assert axes.get_yscale() == "symlog"
    assert axes.get_ylim()[0] == 0
    assert axes.get_yticks()[:2].tolist() == [0.0, 0.5]
    assert axes.get_yticklabels()[0].get_text() == "0"
    assert share(axes, gap) > 0.2


@pytest.mark.parametrize(
    ("values", "ends", "scale"),
    [
        ([1.0, 20.0], [], "linear"),
        ([1.0, 20.1], [], "log"),
        ([1.0], [20.1], "log"),
        ([1.0], [0.0, 20.0], "linear"),
        ([0.0, 0.0], [], "linear"),
        ([0.0, 1.0], [20.1], "symlog"),
        ([-0.1, 1.0], [90.0], "linear"),
    ],
)
def test_the_rule(values, ends, scale):
    for axis in ("x", "y"):
        axes = Figure().add_subplot()
        words = spread_scale(axes, axis, values, ends)
        found = {"x": axes.get_xscale(), "y": axes.get_yscale()}
        assert found.pop(axis) == scale
        assert list(found.values()) == ["linear"]
        assert bool(words) == (scale != "linear")
        low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
        assert low <= min([*values, *ends])
        assert high > max([*values, *ends])
