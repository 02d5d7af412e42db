"""A search on a few hundred digits: equal effort, one program, cut off and gone on with."""

import json

import pytest

from experiments.search import command as search
from experiments.search import running
from experiments.shared.config import Experiment
from experiments.shared.hyperparameters import method_arguments
from experiments.shared.validation import validate
from jax_unlearn.bank import open_bank
from jax_unlearn.methods.natmu import NatMU

SMALL = (
    *("--data.train-size", 300, "--data.test-size", 100, "--data.padding", 0, "--data.no-flip"),
    # A width of its own: programs of other tests are no use here, and are not counted.
    *("--network.width", 6, "--training.epochs", 4, "--training.batch-size", 50),
    *("--requests", "class:3", "--methods", "gradient_ascent", "natmu"),
    *("--trials", 4, "--search-seeds", 100, 101),
    *("--set", "gradient_ascent.batch_size=20", "natmu.batch_size=50", "natmu.epochs=2"),
)


def lines(folder):
    """The runs of a search, but for their times."""
    runs = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in run.items() if key != "seconds"} for run in runs]


@pytest.fixture(scope="module")
def done(call, tmp_path_factory):
    """A finished search: its folder, what it printed, and how often NatMU's step was traced."""
    out, traces, step = tmp_path_factory.mktemp("searches") / "search", [], NatMU.step

    def traced(*arguments):
        traces.append(1)
        return step(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NatMU, "step", traced)
        ended = call(search.main, *SMALL, "--out", out)
    assert ended.code == 0, ended.err
    return out, ended.out, traces


@pytest.fixture(scope="module")
def result(done):
    """What the search found."""
    return json.loads((done[0] / "hyperparameters.json").read_text())


def test_one_compilation_serves_all_trials_seeds_and_groups(done):
    runs = [run for run in lines(done[0]) if run["method"] == "natmu"]
    assert len(runs) == 8
    assert len({tuple(run["values"].values()) for run in runs}) == 4
    assert len(done[2]) == 1


def test_every_method_gets_the_same_number_of_trials_on_every_seed(done, result):
    for name, entry in result["requests"]["class:3"].items():
        runs = [run for run in lines(done[0]) if run["method"] == name]
        assert sorted((run["trial"], run["seed"]) for run in runs) == [
            (trial, seed) for trial in range(4) for seed in (100, 101)
        ]
        assert entry["trials"] == 4
        assert entry["seconds"] > 0
        for field, (_, low, high) in result["spaces"][name].items():
            assert {low <= run["values"][field] <= high for run in runs} == {True}
            assert low <= entry["arguments"][field] <= high


def test_the_published_setting_is_tried_first(done):
    first = {run["method"]: run["values"] for run in lines(done[0]) if run["trial"] == 0}
    assert first["natmu"] == {"learning_rate": 1e-3, "delta": -0.19}
    assert first["gradient_ascent"] == {"learning_rate": 1e-4, "epochs": 5}


def test_the_entry_is_the_eligible_trial_with_the_smallest_gap(done, result):
    entry = result["requests"]["class:3"]["natmu"]
    runs = [run for run in lines(done[0]) if run["method"] == "natmu"]
    gaps = {
        trial: sum(run["gap"] for run in runs if run["trial"] == trial) / 2 for trial in range(4)
    }
    assert entry["gap"] >= min(gaps.values())
    chosen = [run for run in runs if run["values"]["delta"] == entry["arguments"]["delta"]]
    assert entry["gap"] == pytest.approx(gaps[chosen[0]["trial"]])
    assert entry["arguments"]["batch_size"] == 50
    assert result["forgets"]["class:3"].startswith("forget accuracy falls by at least")
    assert f"gap {entry['gap']:.2f}" in done[1] or "no setting found" in done[1]


def test_a_search_that_was_cut_off_within_a_group_ends_as_if_it_had_not_been(
    call, done, tmp_path, monkeypatch
):
    true, calls, out = running.run_many, [], tmp_path / "search"

    def cut(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return true(*arguments, **options)

    flags = [*SMALL, "--out", out, "--bank", done[0] / "bank"]
    with monkeypatch.context() as patch:
        patch.setattr(running, "run_many", cut)
        assert call(search.main, *flags).code == 130
    kept = lines(out)
    assert 0 < len(kept) < len(lines(done[0]))
    assert not (out / "hyperparameters.json").exists()
    ended = call(search.main, *flags)
    assert ended.code == 0, ended.err
    assert lines(out)[: len(kept)] == kept

    def order(run):
        return run["method"], run["trial"], run["seed"]

    assert sorted(lines(out), key=order) == sorted(lines(done[0]), key=order)
    assert not (out / "bank").exists()


def test_other_ranges_are_another_search(refused, done, monkeypatch):
    monkeypatch.setitem(NatMU.search_space, "delta", ("float", -0.1, 0.1))
    message = refused(search.main, *SMALL, "--out", done[0])
    assert "the folder holds a run with other settings: spaces" in message


def test_a_run_reads_the_result(done, result):
    path = done[0] / "hyperparameters.json"
    given = Experiment(
        hyperparameters=str(path), requests=("class:3",), methods=("natmu",), set=("natmu.num=2",)
    )
    validate(given)
    found = result["requests"]["class:3"]["natmu"]["arguments"]
    assert method_arguments(given, "class:3") == {"natmu": {**found, "num": 2}}


def test_the_bank_holds_the_models_of_the_search_seeds_alone(done):
    records = open_bank(done[0] / "bank").records()
    assert {(r.ingredients["kind"], r.ingredients["seed"]) for r in records} == {
        (kind, seed) for kind in ("original", "oracle") for seed in (100, 101)
    }
