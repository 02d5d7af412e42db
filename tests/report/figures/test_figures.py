"""Figures show what they are given: every method, the oracle where it stands, nothing overlapping.

They are drawn without a window and leave no global state behind.
"""

import itertools
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

import jax_unlearn as ju
from jax_unlearn.core import InputError, Outputs, Predictions
from jax_unlearn.report.figures import (
    display_name,
    entropy_figure,
    forget_accuracy_figure,
    gap_against_kl_figure,
    hybrid_figure,
    mumis_figure,
    save,
    settings_figure,
    styles,
    sweep_figure,
    time_figure,
)
from jax_unlearn.report.figures.course import carried_forward
from jax_unlearn.report.figures.entropy import log_density, softmax_entropy

METHODS = [
    "finetune",
    "gradient_ascent",
    "neggrad_plus",
    "amnesiac",
    "bad_teacher",
    "salun",
    "natmu",
    "mumis",
]
TWELVE = [*METHODS, "ssd", "scrub", "fisher", "l1_sparse"]


def curve(last, epochs, seeds=3):
    share = np.linspace(0, 1, epochs + 1)
    return np.tile(100 + (last - 100) * share, (seeds, 1)) + np.arange(seeds)[:, None] * 0.1


def texts(figure):
    """All words in a figure, wherever its lines are broken."""
    figure.draw_without_rendering()
    found = figure.findobj(lambda a: hasattr(a, "get_text"))
    return {" ".join(t.get_text().split()) for t in found if t.get_text()}


def legend(axes):
    return [t.get_text() for t in axes.get_legend().get_texts()]


def labelled(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def boxes(figure, artists):
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [artist.get_window_extent(renderer) for artist in artists]


def assert_apart(figure, artists):
    for one, two in itertools.combinations(boxes(figure, artists), 2):
        assert not one.overlaps(two)


def assert_inside(figure):
    """No legend, title or tick label is cut by the figure's edge."""
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    tight = figure.get_tightbbox(renderer)
    width, height = figure.get_size_inches()
    assert tight.x0 >= 0
    assert tight.y0 >= 0
    assert tight.x1 <= width
    assert tight.y1 <= height


def predictions(rng, classes=4, forgotten=False, scale=3.0):
    def outputs(n):
        return Outputs(
            rng.normal(0, scale, (n, classes)).astype(np.float32),
            np.zeros(n, np.int32),
            np.arange(n),
        )

    return Predictions(outputs(30), outputs(40), outputs(50), np.arange(50) < 10 * forgotten)


# Names and styles


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("natmu", "NatMU"),
        ("mumis", "MU-Mis"),
        ("salun", "SalUn"),
        ("neggrad_plus", "NegGrad+"),
        ("gradient_ascent", "gradient ascent"),
        ("natmu_uniform", "NatMU uniform"),
        ("oracle", "oracle"),
    ],
)
def test_names_are_shown_as_the_field_writes_them(name, shown):
    assert display_name(name) == shown


def test_no_two_methods_of_a_figure_look_alike():
    chosen = styles([*TWELVE, "original", "oracle"])
    assert len({(s.colour, s.dash) for s in chosen.values()}) == len(chosen)
    assert len({(s.colour, s.marker) for s in chosen.values()}) == len(chosen)


def test_a_method_looks_the_same_in_every_figure():
    everywhere = styles(METHODS)
    assert all(styles([name])[name] == everywhere[name] for name in METHODS)
    assert styles(["mine", "natmu"])["mine"] == styles(["mine"])["mine"]
    assert styles(TWELVE) == styles(TWELVE[::-1])


def test_a_method_looks_the_same_under_its_name_and_under_its_title():
    for name in (*ju.METHODS, "original", "oracle"):
        title = display_name(name)
        assert styles([title])[title] == styles([name])[name], name
    # Each of the library's has a style of its own.
    assert len(set(styles(ju.METHODS).values())) == len(ju.METHODS)


# Saving


def test_a_figure_is_saved_whole_at_150_dpi_under_a_new_folder(tmp_path):
    figure = time_figure({"natmu": [1.0]}, retrain=[10.0])
    path = save(figure, tmp_path / "figures" / "time.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size[0] == round(4.6 * 150)
    assert [p.name for p in path.parent.iterdir()] == ["time.png"]


def test_a_failed_save_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch):
    path = save(time_figure({"natmu": [1.0]}, retrain=[10.0]), tmp_path / "time.png")
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save(time_figure({"mumis": [2.0]}, retrain=[10.0]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_figure_is_saved_as_svg_whose_words_are_text_and_never_as_something_else(tmp_path):
    figure = time_figure({"natmu": [1.0]}, retrain=[10.0])
    first = save(figure, tmp_path / "time.svg").read_text()
    assert "NatMU</text>" in first
    assert save(figure, tmp_path / "time.svg").read_text() == first
    with pytest.raises(InputError, match=r"time\.pdf.*ends in \.png or \.svg"):
        save(figure, tmp_path / "time.pdf")


def test_drawing_neither_imports_pyplot_nor_changes_global_settings():
    code = (
        # Asking for the setting 'backend' would itself import pyplot.
        "import sys, matplotlib as m\n"
        "settings = lambda: {k: m.rcParams[k] for k in m.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "from jax_unlearn.report.figures import time_figure\n"
        "time_figure({'natmu': [1.0]}, retrain=[2.0]).savefig(sys.stdout.buffer, format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert settings() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


# Forget accuracy


def test_forget_accuracy_draws_a_line_for_every_method_and_the_oracle_dashed_at_its_value():
    by_epoch = [name for name in METHODS if name != "mumis"]
    figure = forget_accuracy_figure(
        {name: curve(70 + i, 5) for i, name in enumerate(by_epoch)},
        oracle=[84.0, 86.0],
        original=99.0,
        title="digits",
    )
    (axes,) = figure.axes
    lines = labelled(axes)
    assert len(lines) == len(by_epoch) + 2
    oracle = lines["oracle  85.0"]
    assert oracle.get_linestyle() == "--"
    np.testing.assert_allclose(oracle.get_ydata(), 85.0)
    assert lines["original  99.0"].get_linestyle() == ":"
    np.testing.assert_allclose(lines["NatMU  76.1"].get_ydata(), curve(76, 5).mean(0))
    assert axes.get_xlabel() == "epoch"
    assert axes.get_ylabel() == "forget accuracy (%)"
    assert "digits" in texts(figure)


def test_the_legend_lists_methods_by_their_last_value_with_the_oracle_among_them():
    curves = {"natmu": curve(80, 5, 1), "finetune": curve(95, 5, 1), "amnesiac": curve(60, 5, 1)}
    figure = forget_accuracy_figure(curves, oracle=82.0, original=100.0)
    expected = ["original  100.0", "fine-tune  95.0", "oracle  82.0", "NatMU  80.0"]
    assert legend(figure.axes[0]) == [*expected, "amnesiac  60.0"]


def test_a_seed_that_stopped_early_counts_with_its_last_value():
    values = np.array([[100.0, 50.0, np.nan], [100.0, 70.0, 30.0]])
    epochs, filled = carried_forward(values)
    np.testing.assert_array_equal(epochs, [0, 1, 2])
    np.testing.assert_array_equal(filled, [[100, 50, 50], [100, 70, 30]])
    figure = forget_accuracy_figure({"mumis": values}, oracle=40.0, original=100.0)
    (line,) = [v for k, v in labelled(figure.axes[0]).items() if k.startswith("MU-Mis")]
    np.testing.assert_allclose(line.get_ydata(), [100, 60, 40])


def test_a_line_ends_where_its_last_seed_stopped_and_skips_epochs_not_measured():
    values = np.array([[100.0, np.nan, 50.0, np.nan, np.nan]])
    epochs, filled = carried_forward(values)
    np.testing.assert_array_equal(epochs, [0, 2])
    np.testing.assert_array_equal(filled, [[100, 50]])


def test_the_band_spans_lowest_to_highest_seed_and_one_seed_has_none():
    three = forget_accuracy_figure({"natmu": curve(80, 5, 3)}, oracle=82.0, original=100.0)
    (band,) = three.axes[0].collections
    bottom, top = band.get_datalim(three.axes[0].transData).intervaly
    assert (bottom, top) == (80.0, 100.2)
    one = forget_accuracy_figure({"natmu": curve(80, 5, 1)}, oracle=82.0, original=100.0)
    assert not one.axes[0].collections
    assert any("3 seeds" in t for t in texts(three))
    assert not any("seeds" in t for t in texts(one))


def test_runs_of_very_different_length_share_an_axis_of_their_own_course():
    curves = {"bad_teacher": curve(80, 1), "mumis": curve(90, 40)}
    figure = forget_accuracy_figure(curves, oracle=82.0, original=100.0)
    assert "share" in figure.axes[0].get_xlabel()
    lines = [line for k, line in labelled(figure.axes[0]).items() if k[0] in "bM"]
    assert all(line.get_xdata()[0] == 0 and line.get_xdata()[-1] == 100 for line in lines)
    assert "bad teacher  80.1  (1 ep.)" in legend(figure.axes[0])
    assert any(re.fullmatch(r"MU-Mis  .*  \(40 looks\)", t) for t in legend(figure.axes[0]))


def test_epochs_and_looks_never_share_an_axis_that_counts_them():
    looks, epochs = {"mumis": curve(80, 5)}, {"natmu": curve(80, 5)}
    labels = [
        forget_accuracy_figure(curves, oracle=82.0, original=100.0).axes[0].get_xlabel()
        for curves in (looks, epochs, looks | epochs)
    ]
    assert labels[:2] == ["look", "epoch"]
    assert "share" in labels[2]


def test_one_shot_methods_are_markers_left_of_the_first_epoch():
    curves = {"ssd": np.array([[40.0], [60.0]]), "natmu": curve(80, 5)}
    figure = forget_accuracy_figure(curves, oracle=82.0, original=100.0)
    line = labelled(figure.axes[0])["SSD  50.0"]
    assert line.get_linestyle() == "None"
    assert line.get_xdata()[0] < 0
    assert line.get_ydata()[0] == 50.0
    assert "one-shot" in [t.get_text() for t in figure.axes[0].get_xticklabels()]


def test_twelve_methods_two_of_them_one_shot_stay_legible():
    curves = {name: curve(5 * i, 5) for i, name in enumerate(TWELVE)}
    curves |= {"ssd": np.full((3, 1), 3.0), "fisher": np.full((3, 1), 30.0)}
    figure = forget_accuracy_figure(curves, oracle=0.0, original=100.0, title="cat " * 40)
    (axes,) = figure.axes
    assert len(legend(axes)) == 14
    assert_inside(figure)
    ticks = [t for t in axes.get_xticklabels() if t.get_text()]
    assert_apart(figure, ticks)
    assert_apart(figure, [*figure.texts, axes.get_legend(), axes.yaxis.label])
    assert_apart(figure, [*figure.texts, axes.patch])


def test_all_words_of_a_figure_are_at_least_8_points():
    curves = {name: curve(5 * i, 5) for i, name in enumerate(TWELVE)}
    figure = forget_accuracy_figure(curves, oracle=0.0, original=100.0)
    words = figure.findobj(lambda a: hasattr(a, "get_fontsize") and hasattr(a, "get_text"))
    assert min(t.get_fontsize() for t in words if t.get_text()) >= 8


@pytest.mark.parametrize("bad", [np.ones(5), np.full((2, 3), np.nan)])
def test_a_curve_without_seeds_or_numbers_is_refused(bad):
    with pytest.raises(InputError, match=r"curves\['natmu'\]: shape .*\[seeds, epochs \+ 1\]"):
        forget_accuracy_figure({"natmu": bad}, oracle=1.0, original=1.0)


def test_no_curves_are_refused():
    with pytest.raises(InputError, match="at least one method"):
        forget_accuracy_figure({}, oracle=1.0, original=1.0)


def test_an_oracle_that_is_nowhere_finite_is_refused():
    with pytest.raises(InputError, match="oracle: no finite number among 2"):
        forget_accuracy_figure({"natmu": curve(80, 5)}, oracle=[np.nan] * 2, original=1.0)


# MU-Mis


def mumis_history():
    return [
        {
            "step": step,
            "sensitivity_label": 4.0 * 0.9**step,
            "sensitivity_irrelevant": 1.5 * 1.02**step,
            "retain_accuracy": 99.0 if step % 2 == 0 else None,
            "forget_accuracy": 100.0 - step,
            "test_accuracy": 95.0,
        }
        for step in range(30)
    ]


def test_mumis_draws_sensitivities_on_a_log_axis_over_accuracies_with_the_stop_in_both():
    figure = mumis_figure(
        mumis_history(),
        stop_step=20,
        stop_ratio=1.6,
        oracle={"forget_accuracy": 80.0, "test_accuracy": 96.0},
    )
    top, bottom = figure.axes
    assert top.get_yscale() == "log"
    assert bottom.get_yscale() == "linear"
    assert top.get_shared_x_axes().joined(top, bottom)
    for axes in (top, bottom):
        assert any(np.array_equal(line.get_xdata(), [20, 20]) for line in axes.lines)
    # Norms: the roots of what the history holds, by the first of the true class.
    np.testing.assert_allclose(
        labelled(top)["may stop at 1.6 x its start"].get_ydata(), 1.6 * math.sqrt(1.5 / 4.0)
    )
    np.testing.assert_allclose(labelled(top)["true class (to fall)"].get_ydata()[0], 1.0)
    assert any("ratio a/b of squared norms: 2.67." in t for t in texts(figure))
    lines = labelled(bottom)
    assert lines["forget, oracle 80.0"].get_linestyle() == "--"
    np.testing.assert_allclose(lines["forget, oracle 80.0"].get_ydata(), 80.0)
    assert "retain, oracle" not in " ".join(lines)
    assert "stop, step 20" in legend(top)
    assert bottom.get_ylabel() == "accuracy (%)"
    assert_inside(figure)


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_mumis_takes_the_first_true_class_norm_from_the_ratio_and_has_no_unit(unit):
    history = [
        {name: value * unit if "sens" in name else value for name, value in entry.items()}
        for entry in mumis_history()
    ]
    del history[0]["sensitivity_label"]
    history[0]["sensitivity_ratio"] = 4.0 / 1.5
    figure = mumis_figure(history, stop_ratio=1.6)
    lines = labelled(figure.axes[0])
    label, other = lines["true class (to fall)"], lines["irrelevant classes (to rise)"]
    assert label.get_xdata()[0] == 0
    np.testing.assert_allclose(label.get_ydata()[:2], [1.0, math.sqrt(0.9)])
    np.testing.assert_allclose(other.get_ydata()[0], math.sqrt(1.5 / 4.0))
    assert any("ratio a/b of squared norms: 2.67." in t for t in texts(figure))


def test_mumis_skips_what_was_not_measured():
    figure = mumis_figure(mumis_history())
    assert len(labelled(figure.axes[1])["retain"].get_xdata()) == 15
    only = [{"step": h["step"], "forget_accuracy": h["forget_accuracy"]} for h in mumis_history()]
    (axes,) = mumis_figure(only).axes
    assert list(labelled(axes)) == ["forget"]


def test_mumis_draws_a_collapsing_run_up_to_its_last_finite_value():
    history = [*mumis_history(), {"step": 30, "sensitivity_label": math.nan}]
    history.append({"step": 31, "sensitivity_label": math.inf})
    figure = mumis_figure(history)
    assert labelled(figure.axes[0])["true class (to fall)"].get_xdata()[-1] == 29


def test_an_empty_mumis_history_is_refused():
    with pytest.raises(InputError, match="history: 0 entries: expected 'step'"):
        mumis_figure([])


# Entropy


def test_softmax_entropy_is_log_k_when_uniform_and_zero_when_certain():
    logits = np.array([[3.0, 3.0, 3.0], [1e4, 0.0, 0.0], [np.nan, 0.0, 0.0]])
    np.testing.assert_allclose(softmax_entropy(logits), [math.log(3), 0.0, np.nan], atol=1e-12)


@pytest.mark.parametrize("values", [[1e-9] * 5, [2.0] * 5, [1e-3, 0.1, 2.0]])
def test_the_density_integrates_to_one_wherever_the_values_lie(values):
    edges = np.linspace(-6, math.log10(2.0), 201)
    density = log_density(np.array(values), edges)
    assert density.min() >= 0
    np.testing.assert_allclose(density.sum() * (edges[1] - edges[0]), 1.0)


def test_entropy_panels_start_with_oracle_and_original_and_share_their_axes():
    rng = np.random.default_rng(0)
    models = {name: predictions(rng) for name in ("natmu", "original", "mumis", "oracle")}
    figure = entropy_figure(models)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["oracle", "original", "NatMU", "MU-Mis"]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    np.testing.assert_allclose(figure.axes[0].get_xlim()[1], math.log(4))
    assert "entropy (nats)" in texts(figure)
    assert {t.get_text() for t in figure.legends[0].get_texts()} == {
        "forget images (train)",
        "test images",
    }


def test_test_images_of_a_forgotten_class_are_drawn_apart():
    figure = entropy_figure({"natmu": predictions(np.random.default_rng(0), forgotten=True)})
    assert "test images, forgotten class" in texts(figure)
    assert "test images, remaining classes" in texts(figure)


def test_a_model_without_finite_outputs_gets_an_empty_panel_that_says_so():
    sound = predictions(np.random.default_rng(0))
    broken = sound._replace(
        forget=sound.forget._replace(logits=sound.forget.logits * np.nan),
        test=sound.test._replace(logits=sound.test.logits * np.nan),
    )
    assert "no finite outputs" in texts(entropy_figure({"oracle": sound, "mumis": broken}))
    with pytest.raises(InputError, match="mumis: no finite logits"):
        entropy_figure({"mumis": broken})


def test_a_spike_does_not_flatten_the_other_panels_and_is_marked_as_cut():
    rng = np.random.default_rng(0)
    models = {name: predictions(rng, scale=6.0) for name in ("oracle", "original", "natmu")}
    models["bad_teacher"] = predictions(rng, scale=0.0)
    figure = entropy_figure(models)
    assert any(t.startswith("cut, peak") for t in texts(figure))
    tallest = max(line.get_ydata().max() for line in figure.axes[0].lines)
    assert figure.axes[0].get_ylim()[1] < 3 * tallest


def test_twelve_models_make_twelve_panels_whose_words_do_not_overlap():
    rng = np.random.default_rng(0)
    figure = entropy_figure({name: predictions(rng) for name in TWELVE})
    assert len(figure.axes) == 12
    assert_inside(figure)
    assert_apart(figure, [*figure.texts, *figure.legends, *(a.title for a in figure.axes)])


def test_no_predictions_are_refused():
    with pytest.raises(InputError, match="at least one model"):
        entropy_figure({})


# Hybrids


def hybrid_arrays(n=3, m=4, side=8, channels=1):
    rng = np.random.default_rng(0)
    forget = rng.integers(0, 256, (n, side, side, channels), np.uint8)
    partners = rng.integers(0, 256, (n, m, side, side, channels), np.uint8)
    masks = rng.random((m, side, side, 1), np.float32)
    hybrids = (forget[:, None] * masks + partners * (1 - masks)).astype(np.uint8)
    return forget, partners, masks, hybrids


def draw_hybrids(arrays, names=("zero", "one")):
    n, m = arrays[1].shape[:2]
    return hybrid_figure(
        *arrays,
        forget_labels=np.zeros(n, int),
        hybrid_labels=np.ones((n, m), int),
        class_names=names,
    )


@pytest.mark.parametrize(("channels", "cmap"), [(1, True), (3, False)])
def test_the_sheet_shows_every_image_unsmoothed_in_grey_or_colour(channels, cmap):
    arrays = hybrid_arrays(channels=channels)
    figure = draw_hybrids(arrays)
    images = [axes.images[0] for axes in figure.axes]
    assert len(images) == 4 + 3 * (1 + 2 * 4)
    assert all(image.get_interpolation() == "nearest" for image in images)
    shown = [np.asarray(image.get_array()).reshape(8, 8, -1) for image in images]
    assert any(np.array_equal(pixels, arrays[3][2, 3]) for pixels in shown)
    assert (images[-1].get_array().ndim == 2) == cmap
    assert images[-1].get_clim() == (0, 255)


def test_labels_stand_under_their_images_and_long_names_are_cut_without_touching():
    long = "household_electrical_devices_and_more"
    figure = draw_hybrids(hybrid_arrays(), names=("zero", long))
    words = [t.get_text() for t in figure.texts]
    assert words.count("zero") == 3
    assert sum(t.startswith("household e") and t.endswith("…") for t in words) == 12
    assert_inside(figure)
    assert_apart(figure, figure.texts)


def test_a_single_mask_and_more_images_than_rows_still_make_a_sheet():
    figure = draw_hybrids(hybrid_arrays(n=20, m=1))
    assert len(figure.axes) == 1 + 3 * 3
    assert_apart(figure, [*figure.texts, *(axes.patch for axes in figure.axes)])


def test_a_label_outside_the_names_is_shown_as_its_number():
    assert "class 1" in texts(draw_hybrids(hybrid_arrays(), names=("zero",)))


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_images_that_do_not_belong_together_are_refused(k):
    arrays = list(hybrid_arrays())
    arrays[k] = arrays[k][..., :4, :]
    with pytest.raises(InputError, match=r"shape .*: expected"):
        draw_hybrids(arrays)


# Time


def test_time_orders_methods_from_fast_to_slow_against_retraining():
    times = {"finetune": [9.0, 11.0], "mumis": [0.5, 0.5], "natmu": [5.0, 5.0]}
    figure = time_figure(times, retrain=[40.0, 60.0])
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["MU-Mis", "NatMU", "fine-tune"]
    assert axes.yaxis_inverted()
    (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed.get_xdata(), 50.0)
    assert {"500 ms", "1 %", "5 s", "10 %", "10 s", "20 %"} <= texts(figure)
    assert "seconds" in axes.get_xlabel()


def test_twelve_methods_slower_and_faster_than_retraining_stay_legible():
    figure = time_figure({name: [2.6**i] for i, name in enumerate(TWELVE)}, retrain=[4000.0])
    (axes,) = figure.axes
    assert_inside(figure)
    assert_apart(figure, [*figure.texts, *axes.texts, *axes.get_yticklabels()])
    low, high = axes.get_xlim()
    assert low < 1
    assert high > 2.6**11


def test_a_time_of_zero_is_refused():
    with pytest.raises(InputError, match="natmu: 0: expected a time > 0 seconds"):
        time_figure({"natmu": [0.0]}, retrain=[1.0])
    with pytest.raises(InputError, match="at least one method"):
        time_figure({}, retrain=[1.0])


# Gap against KL


@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0])
def test_labels_cover_neither_each_other_nor_points_even_where_methods_coincide(spread):
    rng = np.random.default_rng(1)
    gap = {name: np.array([2.0 + spread * rng.random()]) for name in TWELVE}
    kl = {name: np.array([0.3 + spread * rng.random()]) for name in TWELVE}
    figure = gap_against_kl_figure(gap, kl, null_gap=[1.0], null_kl=[0.1])
    (axes,) = figure.axes
    assert {t.get_text() for t in axes.texts} == {display_name(name) for name in TWELVE}
    assert_apart(figure, axes.texts)
    points = axes.transData.transform([(kl[name][0], gap[name][0]) for name in TWELVE])
    for box, point in itertools.product(boxes(figure, axes.texts), points):
        assert not box.contains(*point)
    assert_inside(figure)


def test_points_stand_at_their_means_and_the_band_ends_at_the_largest_null_value():
    gap, kl = {"natmu": [1.0, 3.0], "finetune": [4.0, 6.0]}, {"natmu": [0.2], "finetune": [0.5]}
    figure = gap_against_kl_figure(gap, kl, null_gap=[0.5, 1.5], null_kl=[0.1, 0.3])
    (axes,) = figure.axes
    assert labelled(axes)["NatMU"].get_xydata().tolist() == [[0.2, 2.0]]
    assert labelled(axes)["fine-tune"].get_xydata().tolist() == [[0.5, 5.0]]
    up, across = axes.patches
    assert up.get_x() + up.get_width() == pytest.approx(0.3)
    assert across.get_y() + across.get_height() == pytest.approx(1.5)
    assert "nats" in axes.get_xlabel()
    assert "percentage points" in axes.get_ylabel()


def test_an_outlier_makes_the_axes_logarithmic_and_a_gap_of_zero_has_its_place_on_them():
    kl = {"natmu": [0.1], "gradient_ascent": [9.0]}
    far = {"natmu": [0.5], "gradient_ascent": [60.0]}
    figure = gap_against_kl_figure(far, kl, null_gap=[0.4], null_kl=[0.1])
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    zero = {"natmu": [0.0], "gradient_ascent": [60.0]}
    figure = gap_against_kl_figure(zero, kl, null_gap=[0.4], null_kl=[0.1])
    assert figure.axes[0].get_yscale() == "symlog"
    assert figure.axes[0].get_ylim()[0] == 0
    assert figure.axes[0].get_ylabel().endswith("(percentage points, log scale from 0.2)")


def test_a_collapsed_method_without_finite_values_is_named_but_not_drawn():
    gap, kl = {"natmu": [1.0], "mumis": [50.0]}, {"natmu": [0.2], "mumis": [math.nan]}
    figure = gap_against_kl_figure(gap, kl, null_gap=[0.5], null_kl=[0.1])
    assert list(labelled(figure.axes[0])) == ["NatMU"]
    assert any("Not shown, for want of" in t and "MU-Mis." in t for t in texts(figure))
    with pytest.raises(InputError, match="mumis: no finite pair"):
        gap_against_kl_figure({"mumis": [1.0]}, {"mumis": [math.inf]}, null_gap=[1], null_kl=[1])


def test_gap_and_kl_of_different_methods_are_refused():
    with pytest.raises(InputError, match=r"gap names \['natmu'\], kl names \['mumis'\]"):
        gap_against_kl_figure({"natmu": [1.0]}, {"mumis": [1.0]}, null_gap=[1.0], null_kl=[1.0])


# Sweeps


def test_a_sweep_draws_a_panel_per_measure_sorted_by_value_with_the_oracle_dashed():
    figure = sweep_figure(
        "delta",
        [0.1, -0.2, 0.0],
        {"forget accuracy (%)": np.array([[3.0], [1.0], [2.0]]), "KL (nats)": np.ones((3, 2))},
        oracle={"forget accuracy (%)": 2.5},
    )
    first, second = figure.axes
    assert first.get_title(loc="left") == "forget accuracy (%)"
    line = labelled(first)["forget accuracy (%)"]
    np.testing.assert_allclose(line.get_xydata(), [[-0.2, 1], [0.0, 2], [0.1, 3]])
    assert labelled(first)["oracle"].get_linestyle() == "--"
    np.testing.assert_allclose(labelled(first)["oracle"].get_ydata(), 2.5)
    assert "oracle" not in labelled(second)
    assert "delta" in texts(figure)


def test_a_wide_range_gets_a_log_axis_and_a_missing_run_leaves_a_hole():
    values = np.array([[1.0, 2.0], [np.nan, np.nan], [np.nan, 4.0]])
    figure = sweep_figure("lr", [1e-4, 1e-3, 1e-2], {"gap": values})
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    np.testing.assert_allclose(labelled(axes)["gap"].get_xydata(), [[1e-4, 1.5], [1e-2, 4.0]])


def test_words_stand_side_by_side_and_are_not_joined():
    figure = sweep_figure("masks", ["gradual", "patches", "uniform"], {"gap": np.ones((3, 2))})
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_xticklabels()] == ["gradual", "patches", "uniform"]
    assert labelled(axes)["gap"].get_linestyle() == "None"
    assert_inside(figure)


def test_a_second_hyperparameter_gives_lines_and_oracles_a_band():
    values = np.arange(12.0).reshape(2, 3, 2)
    figure = sweep_figure(
        "delta",
        [-0.2, 0.0, 0.2],
        {"gap": values},
        lines={"num": [2, 4]},
        oracle={"gap": 3.0},
        bands={"gap": (1.0, 4.0)},
    )
    (axes,) = figure.axes
    lines = labelled(axes)
    np.testing.assert_allclose(lines["num 2"].get_ydata(), values[0].mean(1))
    np.testing.assert_allclose(lines["num 4"].get_ydata(), values[1].mean(1))
    assert lines["num 2"].get_color() != lines["num 4"].get_color()
    assert lines["num 2"].get_marker() != lines["num 4"].get_marker()
    (band,) = [p for p in axes.patches if p.get_label() == "null band"]
    assert (band.get_y(), band.get_y() + band.get_height()) == (1.0, 4.0)
    shown = {t.get_text() for t in figure.legends[0].get_texts()}
    assert shown == {"num 2", "num 4", "oracle", "null band"}
    assert_inside(figure)


def test_words_in_several_lines_stand_beside_each_other():
    values = np.ones((2, 3, 1))
    words = {"inject": [True, False]}
    figure = sweep_figure("masks", ["gradual", "patches", "uniform"], {"gap": values}, lines=words)
    (axes,) = figure.axes
    at = {label: line.get_xdata() for label, line in labelled(axes).items()}
    np.testing.assert_allclose(at["inject false"] - at["inject true"], 0.12)


def test_settings_are_dots_against_each_hyperparameter():
    figure = settings_figure(
        {"learning_rate": [1e-4, 1e-2, 1e-3], "masks": ["patches", "gradual", "patches"]},
        "gap (points)",
        np.array([[1.0, 3.0], [5.0, np.nan], [np.nan, np.nan]]),
        oracle=0.5,
        band=(0.1, 0.9),
    )
    rates, masks = figure.axes
    assert rates.get_xscale() == "log"
    np.testing.assert_allclose(
        labelled(rates)["learning_rate"].get_xydata(), [[1e-4, 2], [1e-2, 5]]
    )
    np.testing.assert_allclose(labelled(masks)["masks"].get_xydata(), [[0, 2], [1, 5]])
    assert [t.get_text() for t in masks.get_xticklabels()] == ["patches", "gradual"]
    assert_inside(figure)
    with pytest.raises(InputError, match=r"^fields: 2 of learning_rate: expected 3, a sett"):
        settings_figure({"learning_rate": [1, 2]}, "gap", np.ones((3, 1)))


def test_measures_that_do_not_go_with_the_values_are_refused():
    with pytest.raises(InputError, match=r"^lines: 7 values: expected 1 to 6; leave some out$"):
        sweep_figure("n", [1], {"gap": np.ones((7, 1, 1))}, lines={"num": range(7)})
    with pytest.raises(InputError, match=r"shape \(1, 2\): expected \[1, 1, seeds\], a row"):
        sweep_figure("n", [1], {"gap": np.ones((1, 2))}, lines={"num": [4]})
    with pytest.raises(InputError, match=r"measures\['gap'\]: shape \(2, 1\): expected \[3, seeds"):
        sweep_figure("n", [1, 2, 3], {"gap": np.ones((2, 1))})
    with pytest.raises(InputError, match="n: 0 values, 1 measures"):
        sweep_figure("n", [], {"gap": np.ones((0, 1))})
