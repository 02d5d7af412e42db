"""The parts of a search: ranges, proposals, what counts as forgotten, and the choice."""

import dataclasses
import json

import numpy as np
import pytest

import jax_unlearn as ju
from experiments.search.choosing import FAILED, Judgement, choose, judge
from experiments.search.forgetting import forgotten
from experiments.search.proposals import Tried, group_sizes, propose
from experiments.search.run_file import MeasuredRun, RunFile
from experiments.search.space import at_bounds, point, published_point, space_of
from jax_unlearn.core import InputError, Outputs, Predictions, SearchRange

SPACE = {
    "rate": SearchRange("log", 1e-4, 1.0),
    "share": SearchRange("float", 0.0, 1.0),
    "passes": SearchRange("int", 1, 10),
}
SEARCHED = [name for name in ju.METHODS if name != "retrain"]


def test_shares_of_a_range_are_even_on_its_scale():
    assert point(SPACE, np.zeros(3)) == {"rate": 1e-4, "share": 0.0, "passes": 1}
    middle = point(SPACE, np.full(3, 0.5))
    assert middle == {"rate": pytest.approx(1e-2), "share": 0.5, "passes": 6}
    counts = [point(SPACE, np.full(3, share))["passes"] for share in np.arange(0.05, 1.0, 0.1)]
    assert counts == list(range(1, 11))


@pytest.mark.parametrize("name", SEARCHED)
def test_the_published_setting_lies_within_every_methods_ranges(name):
    space = space_of(name)
    published = published_point(name, {})
    defaults = ju.METHODS[name]()
    assert published == {field: getattr(defaults, field) for field in space}
    assert at_bounds(name, published) == []


def test_what_is_set_is_where_a_search_begins_moved_to_the_nearest_bound():
    high = space_of("natmu")["learning_rate"].high
    set_ = {"learning_rate": 10 * high, "delta": 0.1}
    assert published_point("natmu", set_) == {"learning_rate": high, "delta": 0.1}


def test_a_value_within_two_percent_of_a_bound_is_said_to_be_at_it():
    low, high = space_of("natmu")["learning_rate"][1:]
    near = high * (low / high) ** 0.019
    given = {"learning_rate": near, "delta": 0.0}
    assert at_bounds("natmu", given) == [f"learning_rate at its upper bound {high:g}; widen"]
    given["learning_rate"] = high * (low / high) ** 0.021
    assert at_bounds("natmu", given) == []
    assert at_bounds("natmu", {**given, "delta": -0.4}) == ["delta at its lower bound -0.4; widen"]


def test_a_bound_beyond_which_the_method_takes_nothing_is_none_to_widen():
    assert at_bounds("salun", {"learning_rate": 0.01, "keep": 1.0}) == []
    assert at_bounds("gradient_ascent", {"learning_rate": 1e-3, "epochs": 1}) == []
    high = int(space_of("gradient_ascent")["epochs"].high)
    assert at_bounds("gradient_ascent", {"learning_rate": 1e-3, "epochs": high}) == [
        f"epochs at its upper bound {high}; widen"
    ]


@pytest.mark.parametrize("trials", [1, 2, 3, 5, 12, 32, 33])
def test_half_of_the_trials_come_first_and_all_come(trials):
    sizes = group_sizes(trials)
    assert sum(sizes) == trials
    assert sizes[0] == (trials + 1) // 2
    assert min(sizes) > 0


def loss(values):
    return abs(np.log10(values["rate"]) + 1.0) + abs(values["share"] - 0.8)


def test_proposals_are_a_function_of_what_was_tried_and_draw_nearer_to_the_best():
    published = {"rate": 0.01, "share": 0.5, "passes": 5}
    first = propose(SPACE, published, [], 16)
    assert first[0] == published
    assert len({tuple(values.values()) for values in first}) == 16
    tried = [Tried(values, loss(values)) for values in first]
    second = propose(SPACE, published, tried, 8)
    assert second == propose(SPACE, published, tried, 8)
    assert len({tuple(values.values()) for values in second}) == 8
    for values in first + second:
        assert all(SPACE[f].low <= value <= SPACE[f].high for f, value in values.items())
        assert isinstance(values["passes"], int)
    assert np.median([loss(values) for values in second]) < np.median([t.loss for t in tried])


def outputs(right, count=100, confidence=0.9):
    """Of ``count`` examples ``right`` are answered right, with that confidence in the truth."""
    label = np.zeros(count, np.int32)
    true = np.where(np.arange(count) < right, confidence, 0.1)
    logits = np.log(np.stack([true, 1.0 - true], 1)).astype(np.float32)
    return Outputs(logits, label, np.arange(count))


def predictions(right, **given):
    forget = outputs(right, **given)
    return Predictions(forget, outputs(99), outputs(90), np.zeros(100, bool))


def test_a_class_is_forgotten_when_its_accuracy_has_gone_a_quarter_of_the_way_on_every_seed():
    rule = forgotten([predictions(100), predictions(96)], [predictions(0), predictions(0)])
    assert rule.measure == "forget accuracy"
    assert rule.change == pytest.approx(24.5)
    assert rule.holds([75.0, 71.0])
    assert not rule.holds([0.0, 72.0])
    assert not rule.holds([100.0, 96.0])
    assert str(rule) == "forget accuracy falls by at least 24 points on every seed"


def test_confidence_tells_where_accuracy_differs_by_no_more_than_chance():
    rule = forgotten([predictions(100, confidence=0.98)], [predictions(97, confidence=0.9)])
    assert rule.measure == "confidence on the forget set"
    way = 98.0 - (0.97 * 90.0 + 0.03 * 10.0)
    assert rule.change == pytest.approx(way / 4, rel=1e-5)
    assert not rule.holds([98.0])
    assert rule.holds([98.0 - way / 3])


def test_of_many_examples_the_same_difference_in_accuracy_tells():
    original, oracle = predictions(10_000, count=10_000), predictions(9_700, count=10_000)
    assert forgotten([original], [oracle]).measure == "forget accuracy"


def test_where_nothing_differs_there_is_nothing_to_forget():
    rule = forgotten([predictions(97)], [predictions(97)])
    assert str(rule) == "nothing tells the originals from the oracles"
    assert rule.holds([97.0])


def run_of(seed, *, gap=1.0, accuracy=0.0, collapsed=False):
    measured = {"forget accuracy": accuracy, "confidence on the forget set": accuracy}
    values = {"learning_rate": 0.01, "delta": 0.0}
    return MeasuredRun("class-3", "natmu", 0, seed, values, gap, collapsed, measured, 1.0)


def test_a_trial_is_judged_over_all_its_seeds():
    rule = forgotten([predictions(100)] * 2, [predictions(0)] * 2)
    trial = judge([run_of(100, gap=1.0), run_of(101, gap=4.0, accuracy=10.0)], rule)
    assert (trial.gap, trial.eligible) == (2.5, True)
    half = judge([run_of(100), run_of(101, accuracy=100.0)], rule)
    assert (half.forgets, half.eligible) == (False, False)
    gone = judge([run_of(100), run_of(101, gap=100.0, collapsed=True)], rule)
    assert (gone.collapsed, gone.eligible, gone.gap) == (True, False, 50.5)


TRIAL = Judgement(
    {"learning_rate": 0.01, "delta": 0.0}, gap=5.0, collapsed=False, forgets=True, confidence=9.0
)


def changed(**fields):
    delta = {"learning_rate": 0.01, "delta": fields.pop("delta", 0.1)}
    return dataclasses.replace(TRIAL, values=delta, **fields)


def test_what_changes_nothing_never_wins_over_what_forgets():
    still, gone = changed(gap=3.0, forgets=False), changed(gap=4.0, collapsed=True)
    entry = choose("natmu", {"batch_size": 50}, [still, gone, TRIAL, changed(gap=5.0)])
    assert "failed" not in entry
    assert entry["arguments"] == {"batch_size": 50, "learning_rate": 0.01, "delta": 0.0}
    assert entry["gap"] == 5.0
    assert entry["published"] == {"gap": 3.0, "eligible": False, "collapsed": False}
    assert (entry["trials"], entry["collapsed"], entry["unforgotten"]) == (4, 1, 1)


def test_the_sampler_is_told_that_what_nearly_forgets_is_better_than_what_changes_nothing():
    nearly = changed(gap=34.0, forgets=False, confidence=90.0)
    still = changed(gap=33.0, forgets=False, confidence=99.9)
    gone = changed(gap=100.0, forgets=False, collapsed=True, confidence=0.0)
    told = [trial.tried().loss for trial in (TRIAL, changed(gap=99.0), nearly, still, gone)]
    assert told == sorted(told)
    assert len(set(told)) == 5


def test_a_search_without_an_eligible_setting_has_failed_and_says_so():
    still, gone = changed(gap=3.0, forgets=False), changed(gap=2.0, collapsed=True, delta=0.4)
    entry = choose("natmu", {}, [still, gone])
    assert entry["failed"] == FAILED == "no setting found that forgets"
    assert entry["arguments"]["delta"] == 0.4
    assert entry["at_bounds"] == []


def test_runs_are_kept_and_a_line_that_was_cut_off_is_not_one(tmp_path):
    path = tmp_path / "trials.jsonl"
    RunFile(path).add([run_of(100), run_of(101)])
    whole = path.read_text()
    path.write_text(whole + whole[:40])
    file = RunFile(path)
    assert file.of("class-3", "natmu") == {(0, 100): run_of(100), (0, 101): run_of(101)}
    assert file.of("class-4", "natmu") == {}
    file.add([run_of(102)])
    assert [json.loads(line)["seed"] for line in path.read_text().splitlines()] == [100, 101, 102]


def test_a_line_that_is_no_run_is_named(tmp_path):
    path = tmp_path / "trials.jsonl"
    RunFile(path).add([run_of(100)])
    path.write_text(path.read_text() + '{"request": 1}\n')
    with pytest.raises(InputError, match=r"line 2 of trials.jsonl is not a run; remove"):
        RunFile(path)
