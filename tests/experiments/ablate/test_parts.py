"""What an ablation varies: values, ranges, samples, studies; and what its figures show."""

import numpy as np
import pytest

import jax_unlearn as ju
from experiments.ablate.drawing import figures_of
from experiments.ablate.grids import grid_points, read_over, sample_points
from experiments.ablate.programs import by_program
from experiments.ablate.ranges import Range
from experiments.ablate.settings import CENTRE, make_settings, read_asked
from experiments.ablate.studies import STUDIES, Times
from experiments.ablate.tables import read_table, to_csv, to_markdown
from jax_unlearn.core import InputError


def asked(over=(), study="", method="natmu", sample=0, seed=0):
    return read_asked("" if study else method, tuple(over), study, sample, seed)


def test_values_are_numbers_flags_words_and_lists():
    axes = read_over(["delta=-0.2,0,1e-1", "inject=true,false", "masks=gradual,patches"])
    assert axes["delta"] == (-0.2, 0, 0.1)
    assert axes["inject"] == (True, False)
    assert axes["masks"] == ("gradual", "patches")
    assert read_over(["input_scale=[0.2,0.3],1"])["input_scale"] == ((0.2, 0.3), 1)
    assert read_over(["optimizer=sgd"])["optimizer"] == ("sgd",)


def test_a_grid_is_every_combination_the_last_field_fastest():
    points = grid_points(read_over(["delta=0,0.1", "masks=gradual,uniform"]))
    assert [tuple(point.values()) for point in points] == [
        (delta, mask) for delta in (0, 0.1) for mask in ("gradual", "uniform")
    ]


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("delta", r"^over='delta': expected FIELD=VALUES, such as delta=-0.2"),
        ("=1", "expected FIELD=VALUES"),
        ("delta=", "expected FIELD=VALUES"),
        ("delta=0,,1", "a value is empty"),
        ("delta=0,0.1,0.10", "a value comes twice: expected each value once"),
        ("delta=0.1..0.0", r"expected LOW < HIGH"),
        ("delta=0..1:log", r"expected 0 < LOW < HIGH"),
        ("delta=0..", r"expected LOW..HIGH or LOW..HIGH:log with two numbers"),
        ("delta=0..1:lin", r"expected LOW..HIGH or LOW..HIGH:log"),
    ],
)
def test_what_is_no_list_of_values_is_refused(over, message):
    with pytest.raises(InputError, match=message):
        read_over([over])


def test_a_range_in_a_whole_grid_is_refused():
    with pytest.raises(InputError, match=r"^over: delta=0..0.5: expected values .* --sample N"):
        grid_points(read_over(["delta=0..0.5"]))


def test_samples_are_different_points_within_their_ranges_and_the_seed_is_all_they_take():
    axes = read_over(["learning_rate=1e-4..1e-1:log", "num=1..8", "masks=gradual,patches"])
    points = sample_points(axes, 200, 3, whole=["num"])
    assert points == sample_points(axes, 200, 3, whole=["num"])
    assert points != sample_points(axes, 200, 4, whole=["num"])
    assert len({repr(point) for point in points}) == 200
    rates = np.log10([point["learning_rate"] for point in points])
    assert rates.min() >= -4
    assert rates.max() <= -1
    # Even on the log scale: a third of 200 in each decade, with a deviation below 7.
    assert np.abs(np.histogram(rates, 3, (-4, -1))[0] - 200 / 3).max() < 25
    assert {point["num"] for point in points} == set(range(1, 9))
    assert {type(point["num"]) for point in points} == {int}
    assert {point["masks"] for point in points} == {"gradual", "patches"}


def test_more_samples_than_points_are_refused():
    with pytest.raises(InputError, match=r"^sample=9: found only 4 different points; ask"):
        sample_points(read_over(["inject=true,false", "num=1,2"]), 9, 0, whole=["num"])


def test_a_whole_field_of_a_method_is_drawn_whole():
    found = asked(["num=1..4", "delta=0..0.5"], sample=6)
    assert {type(point["num"]) for point in found.points} == {int}
    assert any(point["delta"] % 1 for point in found.points)
    assert Range(1, 100, True).draw(np.random.default_rng(0), whole=True) == 19


def test_values_drawn_from_a_range_lie_in_it():
    random = np.random.default_rng(0)
    for low, high, log in ((1.2, 3.9, False), (1.2, 3.9, True), (1e-4, 1.23456e-4, True)):
        drawn = [Range(low, high, log).draw(random, whole=low > 1) for _ in range(200)]
        assert low <= min(drawn) < max(drawn) <= high
    with pytest.raises(InputError, match=r"^over: 0.2..0.9: expected a range with a whole number"):
        Range(0.2, 0.9, False).draw(random, whole=True)


@pytest.mark.parametrize("text", ["num=1..1e30", "delta=0..1e400"])
def test_a_range_without_end_is_refused(text):
    with pytest.raises(InputError, match=r"expected numbers up to 1e\+15"):
        read_over([text])


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_changes_one_field_at_a_time_around_what_is_set(name):
    study = STUDIES[name]
    settings = make_settings(asked(study=name), {"learning_rate": 0.02})
    first, *others = settings
    assert first.name == CENTRE
    assert first.values["learning_rate"] == 0.02
    for setting in others:
        changed = {f for f, v in setting.values.items() if v != first.values[f]}
        assert len(changed) == 1
        assert setting.unlearner == ju.METHODS[study.method](**setting.arguments)
    assert len({setting.name for setting in settings}) == len(settings)
    for field, values in study.fields.items():
        values = values.of(first.values[field]) if isinstance(values, Times) else values
        assert {setting.values[field] for setting in settings} >= set(values)


def test_a_whole_number_written_as_a_float_is_the_same_setting():
    (setting,) = make_settings(asked(["num=2.0"]), {})
    assert (setting.name, setting.values, setting.arguments) == ("num=2", {"num": 2}, {"num": 2})
    with pytest.raises(InputError, match=r"^over='num=2,2.0': a value comes twice: expected"):
        make_settings(asked(["num=2,2.0"]), {})


def test_settings_that_differ_in_numbers_alone_are_of_one_program():
    settings = make_settings(asked(["delta=-0.1,0.1", "masks=gradual,patches"]), {"epochs": 2})
    groups = by_program(settings)
    assert [[setting.name for setting in group] for group in groups] == [
        ["delta=-0.1, masks=gradual", "delta=0.1, masks=gradual"],
        ["delta=-0.1, masks=patches", "delta=0.1, masks=patches"],
    ]
    assert settings[0].unlearner.epochs == 2


def record(fields, points, *, study=False, sampled=False):
    """A record of settings whose gap is their number, in tenths."""

    def result(value):
        by_seed = [value - 0.1, value + 0.1]
        ends = {"low": value - 0.2, "high": value + 0.2}
        return {"value": value, **ends, "n": 2, "verdict": "", "by_seed": by_seed, "seeds": [0, 1]}

    def row(name, kind, values, gap):
        results = {measure: result(gap) for measure in ("FA", "RA", "TA", "gap")}
        return {"name": name, "kind": kind, "values": values, "results": results, "note": ""}

    rows = [row("original", "original", {}, 9.0), row("oracle", "oracle", {}, 0.5)]
    names = [", ".join(f"{f}={v}" for f, v in zip(fields, p, strict=True)) for p in points]
    if study:
        names[0] = CENTRE
    rows += [
        row(name, "setting", dict(zip(fields, point, strict=True)), k / 10)
        for k, (name, point) in enumerate(zip(names, points, strict=True))
    ]
    return {
        "request": {"text": "class:3", "slug": "class-3"},
        "forget": 10,
        "retain": 90,
        "method": "natmu",
        "fields": list(fields),
        "one_at_a_time": study,
        "sampled": sampled,
        "seeds": [0, 1],
        "measures": {name: {} for name in ("FA", "RA", "TA", "gap")},
        "bands": {"gap": [0.0, 1.0], "FA": [0.0, None]},
        "rows": rows,
        "notes": [],
    }


def lines(figure, panel=1):
    return {line.get_label(): line for line in figure.axes[panel].lines}


def test_a_grid_of_words_and_numbers_has_the_numbers_along_the_axis():
    points = [(mask, delta) for mask in ("gradual", "patches") for delta in (0.0, 0.1, 0.2)]
    found = figures_of(record(("masks", "delta"), points))
    assert list(found) == ["masks-delta"]
    drawn = lines(found["masks-delta"])
    np.testing.assert_allclose(drawn["masks gradual"].get_xydata()[:, 0], [0, 0.1, 0.2])
    np.testing.assert_allclose(drawn["masks patches"].get_ydata(), [0.3, 0.4, 0.5])
    np.testing.assert_allclose(drawn["oracle"].get_ydata(), 0.5)


def test_a_field_of_one_value_takes_no_part_and_three_fields_or_a_sample_are_dots():
    assert list(figures_of(record(("num", "delta"), [(4, 0.0), (4, 0.1)]))) == ["delta"]
    assert figures_of(record(("num",), [(4,)])) == {}
    three = [(1, 0.0, 5), (2, 0.1, 5), (2, 0.1, 6)]
    (dots,) = figures_of(record(("num", "delta", "epochs"), three)).values()
    assert [axes.get_title(loc="left") for axes in dots.axes] == ["num", "delta", "epochs"]
    assert list(figures_of(record(("num",), [(1,), (2,)], sampled=True))) == ["settings"]


def test_a_study_draws_each_field_with_the_centre_among_its_values():
    points = [(0.0, "gradual"), (0.2, "gradual"), (-0.2, "gradual"), (0.0, "patches")]
    found = figures_of(record(("delta", "masks"), points, study=True))
    assert list(found) == ["delta", "masks"]
    drawn = lines(found["delta"])["average gap (points)"]
    np.testing.assert_allclose(drawn.get_xydata(), [[-0.2, 0.2], [0.0, 0.0], [0.2, 0.1]])
    labels = [text.get_text() for text in found["masks"].axes[1].get_xticklabels()]
    assert labels == ["gradual", "patches"]


def test_the_table_begins_with_the_oracles_and_their_band():
    table = read_table(record(("delta", "masks"), [(0.1, "gradual"), (0.2, "patches")]))
    assert [line[:3] for line in table] == [
        ("setting", "delta", "masks"),
        ("oracle", "", ""),
        ("null band", "", ""),
        ("original", "", ""),
        ("1", "0.1", "gradual"),
        ("2", "0.2", "patches"),
    ]
    # Of two seeds: an interval would say nothing.
    assert table[1][6] == "0.500 ±-"
    assert table[2][3:7] == ("-", "-", "-", "0.000 to 1.000")
    study = to_markdown(record(("delta",), [(0.1,), (0.2,)], study=True))
    assert "as set: delta=0.1." in study
    assert "| delta=0.2 | 0.100 ±- |" in study


def test_the_csv_has_a_column_for_every_field_and_measure():
    head, *rows = to_csv(record(("delta",), [(0.1,)])).splitlines()
    assert head.startswith("request,kind,setting,delta,FA,FA_low,FA_high,FA_verdict,FA_band_low")
    assert rows[1].startswith("class:3,oracle,oracle,,0.5,")
    assert rows[2].startswith("class:3,setting,delta=0.1,0.1,0.0,-0.2,0.2,,0.0,,")
