"""A label stands nearer to its own marker than to any other, or a line leads to it."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from jax_unlearn.display import display_name
from jax_unlearn.registry import METHODS
from jax_unlearn.report.figures import (
    Panel,
    Place,
    gap_against_cost_figure,
    gap_against_kl_figure,
    gap_against_time_figure,
)
from jax_unlearn.report.figures.label_spots import find_spots

NAMES = [name for name in METHODS if name != "retrain"]


def crowded(count, seed):
    """Times and gaps in clusters of three, closer to each other than a label is wide."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.5, 2.5, (-(-count // 3), 2)).repeat(3, 0)[:count]
    return 10 ** (centres + rng.normal(0, 0.03, (count, 2)))


def cost_figure(count, seed):
    places = {
        display_name(name): Place(gap, 0.8 * gap, 1.3 * gap, seconds)
        for name, (seconds, gap) in zip(NAMES, crowded(count, seed), strict=False)
    }
    return gap_against_cost_figure([Panel("digits, class 3", places, 4.0, 900.0)], title="all")


def time_figure(count, seed):
    points = dict(zip(NAMES, crowded(count, seed), strict=False))
    return gap_against_time_figure(
        {name: (gap, 0.8 * gap, 1.3 * gap) for name, (_, gap) in points.items()},
        {name: [seconds] for name, (seconds, _) in points.items()},
        retrain=[900.0],
        band=(2.0, 4.0),
    )


def kl_figure(count, seed):
    points = dict(zip(NAMES, crowded(count, seed), strict=False))
    return gap_against_kl_figure(
        {name: [gap] for name, (_, gap) in points.items()},
        {name: [kl] for name, (kl, _) in points.items()},
        null_gap=[4.0],
        null_kl=[4.0],
    )


def shown(figure):
    """Boxes of the labels, middles of their markers, and where a line leads from each, pixels."""
    (axes,) = figure.axes
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = {text.get_text(): text.get_window_extent(renderer) for text in axes.texts}
    lines = [(line, axes.transData.transform(line.get_xydata())) for line in axes.lines]
    markers = {line.get_label(): at[0] for line, at in lines if line.get_label() in texts}
    thin = [at for line, at in lines if len(at) == 2 and line.get_linewidth() < 1]
    led = {
        name: at[1]
        for (name, marker), at in itertools.product(markers.items(), thin)
        if np.allclose(at[0], marker) and distance(texts[name], at[1]) < 5
    }
    assert set(markers) == set(texts)
    return texts, markers, led


def distance(box, point):
    return np.hypot(*np.maximum(0, [box.min - point, point - box.max]).max(0))


@pytest.mark.parametrize("draw", [cost_figure, time_figure, kl_figure])
@pytest.mark.parametrize(("count", "seed"), [(9, 0), (15, 1), (24, 2)])
def test_no_label_can_be_taken_for_that_of_another_marker(draw, count, seed):
    texts, markers, led = shown(draw(count, seed))
    assert len(texts) == count
    for one, two in itertools.combinations(texts.values(), 2):
        assert not one.overlaps(two)
    for (name, box), (other, marker) in itertools.product(texts.items(), markers.items()):
        # A marker's half side of 4 points at 150 dpi.
        assert not box.padded(4 * 150 / 72).contains(*marker), (name, other)
        if name != other and name not in led:
            assert distance(box, markers[name]) < distance(box, marker) / 1.5, (name, other)


def test_the_same_points_get_the_same_places():
    once, again = shown(cost_figure(24, 3)), shown(cost_figure(24, 3))
    for name, box in once[0].items():
        np.testing.assert_array_equal(box.get_points(), again[0][name].get_points())
    assert once[2].keys() == again[2].keys()


def spots(points, bars=(), frame=((0.0, 0.0), (300.0, 200.0))):
    points = np.array(points, float)
    halves = np.tile([20.0, 6.0], (len(points), 1))
    return find_spots(points, halves, np.array(frame), np.reshape(bars, (-1, 2, 2)))


def test_a_lone_label_stands_to_the_right_and_at_the_right_edge_to_the_left():
    found = spots([[100, 100]])
    np.testing.assert_allclose(found.middles, [[127, 100]])
    assert not found.led.any()
    found = spots([[290, 100]])
    np.testing.assert_allclose(found.middles, [[263, 100]])


def test_a_label_keeps_off_bars_where_it_can():
    found = spots([[100, 100]], bars=[[[120.0, 0.0], [120.0, 200.0]]])
    np.testing.assert_allclose(found.middles, [[73, 100]])


def test_coincident_points_have_lines_that_end_at_their_labels():
    found = spots([[100, 100]] * 4)
    assert found.led.all()
    gaps = np.abs(found.ends - found.middles) - [20, 6]
    np.testing.assert_allclose(gaps.max(1), 0, atol=1e-9)


def test_markers_that_overlap_have_their_lines_on_their_own_sides():
    found = spots([[100, 100], [103, 100]])
    assert found.led.all()
    assert found.ends[0, 0] <= 100
    assert found.ends[1, 0] >= 103


def test_lines_cross_neither_labels_nor_each_other_where_there_is_room():
    points = np.array([[120.0 + 6 * i, 100.0 + 4 * (i % 2)] for i in range(6)])
    found = spots(points)
    assert found.led.any()
    lines = [Path(ends) for ends in zip(points, found.ends, strict=True)]
    half = np.array([20, 6])
    boxes = [Bbox([middle - half, middle + half]) for middle in found.middles]
    for i, j in itertools.permutations(range(6), 2):
        assert not lines[i].intersects_bbox(boxes[j])
        assert not lines[i].intersects_path(lines[j])
