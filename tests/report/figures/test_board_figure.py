"""The leaderboard's figure shows every method's gap and time, and stays legible with many."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jax_unlearn.core import InputError
from jax_unlearn.report.figures import Panel, Place, gap_against_cost_figure


def panel(count=34, seed=0, **changes):
    rng = np.random.default_rng(seed)
    places = {}
    for number in range(count):
        gap, seconds = np.exp(rng.normal(-0.5, 1.5)), np.exp(rng.normal(-1.0, 0.9))
        half = gap * rng.uniform(0.1, 1.2)
        places[f"method {number}"] = Place(gap, max(gap - half, 0.0), gap + half, seconds)
    return Panel("digits, class 3", places, 0.34, 4.4)._replace(**changes)


def test_each_method_is_a_point_at_its_time_and_gap_with_its_interval():
    places = {"NatMU": Place(0.2, 0.1, 0.4, 3.0), "MU-Mis": Place(0.0, np.nan, np.nan, 1.0)}
    figure = gap_against_cost_figure([panel(places=places)], title="all")
    (axes,) = figure.axes
    points = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(points["NatMU"], [[3.0, 0.2]])
    # On a log scale 0 lies at the lower end.
    np.testing.assert_allclose(points["MU-Mis"], [[1.0, axes.get_ylim()[0]]])
    ends = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert any(np.allclose(end, [0.1, 0.4]) for end in ends)


def test_a_time_of_another_run_is_ringed_and_said():
    places = {"NatMU": Place(0.2, 0.1, 0.4, 3.0), "Mine": Place(0.3, 0.1, 0.4, 1.0, True)}
    figure = gap_against_cost_figure([panel(places=places)], title="all")
    (axes,) = figure.axes
    rings = [line.get_xydata() for line in axes.lines if line.get_markerfacecolor() == "none"]
    np.testing.assert_allclose(rings, [[[1.0, 0.3]]])
    assert any("another machine" in text.get_text() for text in figure.texts)
    plain = gap_against_cost_figure([panel(3)], title="all")
    assert not any("another machine" in text.get_text() for text in plain.texts)


def test_the_null_band_is_shaded_up_to_its_end_and_retraining_s_time_is_marked():
    (axes,) = gap_against_cost_figure([panel(3)], title="all").axes
    (band,) = axes.patches
    assert band.get_y() + band.get_height() == pytest.approx(0.34)
    assert any(np.allclose(line.get_xdata(), 4.4) for line in axes.lines)
    figure = gap_against_cost_figure([panel(3, retrain=np.nan)], title="all")
    assert not any("Dashed" in text.get_text() for text in figure.texts)


def test_thirty_four_names_lie_apart_and_inside():
    figure = gap_against_cost_figure([panel()], title="all")
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = figure.axes
    shown = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(shown) == 34
    assert not any(one.overlaps(two) for one, two in itertools.combinations(shown, 2))
    assert min(text.get_fontsize() for text in axes.texts) >= 8


@pytest.mark.parametrize("change", [{"gap": np.nan}, {"seconds": 0.0}, {"seconds": np.inf}])
def test_what_cannot_be_drawn_is_refused_by_name(change):
    places = {"NatMU": Place(0.2, 0.1, 0.4, 3.0)._replace(**change)}
    with pytest.raises(InputError, match="digits, class 3, NatMU: gap="):
        gap_against_cost_figure([panel(places=places)], title="all")
    with pytest.raises(InputError, match="panels: one has no method"):
        gap_against_cost_figure([panel(places={})], title="all")
