"""Ablations on a few hundred digits: what they write, how they go on, what they refuse."""

import csv
import json
import shutil

import numpy as np
import pytest

import experiments.ablate.command
from experiments.ablate import running
from jax_unlearn import audit
from jax_unlearn.bank import open_bank
from jax_unlearn.core import InputError

TINY = (
    *("--data.train-size", 300, "--data.test-size", 100, "--network.width", 8),
    *("--training.epochs", 4, "--seeds", 0, 1, "--oracles", 4),
)
GRID = ("--method", "natmu", "--over", "delta=-0.2,0.2", "--over", "num=1,2")


@pytest.fixture(scope="module")
def grid(call, tmp_path_factory):
    """A finished grid of four settings: its folder and what it printed."""
    out = tmp_path_factory.mktemp("ablate") / "run"
    done = call(
        experiments.ablate.command.main, *TINY, *GRID, "--set", "natmu.epochs=1", "--out", out
    )
    assert done.code == 0, done.err
    return out, done.out


def read(folder):
    return json.loads((folder / "class-3" / "ablation.json").read_text())


def test_every_setting_is_a_row_beside_the_oracles_and_their_band(grid):
    record = read(grid[0])
    names = [row["name"] for row in record["rows"]]
    settings = [f"delta={d}, num={n}" for d in (-0.2, 0.2) for n in (1, 2)]
    assert names == ["original", "oracle", *settings]
    assert record["rows"][2]["values"] == {"delta": -0.2, "num": 1}
    assert set(record["bands"]) >= {"FA", "RA", "TA", "gap"}
    # Nearer to the oracles than they are to each other is not outside.
    assert record["bands"]["gap"][0] == 0
    assert all(row["results"]["gap"]["n"] == 2 for row in record["rows"])
    assert record["provenance"]["versions"]["jax"]
    assert "null band" in grid[1]
    assert "2 settings: 4 models, " in grid[1]


def test_the_numbers_are_those_of_the_models_in_the_bank(grid):
    record, bank = read(grid[0]), open_bank(grid[0] / "bank")
    (request,) = bank.requests()
    for row in record["rows"][2:]:
        models = [
            model
            for model in bank.records("unlearned", request)
            if {k: model.ingredients["method"]["arguments"][k] for k in row["values"]}
            == row["values"]
        ]
        assert [model.ingredients["seed"] for model in models] == [0, 1]
        found = [audit.accuracies(bank.predictions(model, request)) for model in models]
        for name in ("FA", "RA", "TA"):
            values = [accuracies[name] for accuracies in found]
            assert row["results"][name]["by_seed"] == values
            assert row["results"][name]["value"] == pytest.approx(np.mean(values))
        # What the preset sets holds for all that is not varied.
        arguments = models[0].ingredients["method"]["arguments"]
        assert (arguments["reinit_linear"], arguments["epochs"]) == (True, 1)
        assert not (bank.path / "models" / models[0].address / "weights.safetensors").exists()


def test_table_and_figure_are_written(grid):
    place = grid[0] / "class-3"
    rows = list(csv.DictReader((place / "ablation.csv").open()))
    record = read(grid[0])
    assert [float(row["gap"]) for row in rows] == [
        row["results"]["gap"]["value"] for row in record["rows"]
    ]
    assert "| 4 | 0.2 | 2 |" in (place / "ablation.md").read_text()
    assert (place / "figures" / "delta-num.png").stat().st_size > 5000


def test_the_same_command_trains_nothing_again_and_a_lost_model_alone(
    grid, call, trained, tmp_path
):
    before = {**read(grid[0]), "provenance": 0}
    again = (*TINY, *GRID, "--set", "natmu.epochs=1", "--out", grid[0])
    bank = open_bank(grid[0] / "bank")
    lost = bank.records("unlearned")[1]
    bank.discard(lost.address)
    assert call(experiments.ablate.command.main, *again).code == 0
    assert trained == [("unlearned", lost.ingredients["seed"])]
    after = {**read(grid[0]), "provenance": 0}
    for record in (before, after):
        for row in record["rows"]:
            del row["seconds"]
    assert after == before


def test_another_grid_in_the_folder_is_refused(grid, refused):
    other = ("--method", "natmu", "--over", "delta=-0.2,0.3", "--out", grid[0])
    line = refused(experiments.ablate.command.main, *TINY, *other, "--set", "natmu.epochs=1")
    assert "the folder holds a run with other settings" in line


def test_another_bank_gives_originals_and_oracles(grid, call, trained, tmp_path):
    flags = ("--method", "natmu", "--over", "delta=0", "--set", "natmu.epochs=1")
    out = tmp_path / "run"
    done = call(
        experiments.ablate.command.main,
        *(*TINY, *flags, "--bank", grid[0] / "bank", "--out", out),
    )
    assert done.code == 0, done.err
    assert trained == [("unlearned", 0), ("unlearned", 1)]
    assert len(open_bank(out / "bank").records()) == 2


def test_what_shows_success_with_a_kind_of_request_is_the_first_column(call, grid, tmp_path):
    flags = ("--method", "ssd", "--hyperparameters", "", "--over", "alpha=1,10")
    flags += ("--requests", "backdoor:0,0.1")
    done = call(experiments.ablate.command.main, *TINY, *flags, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    place = tmp_path / "run" / "backdoor-0-0.1"
    rows = json.loads((place / "ablation.json").read_text())["rows"]
    success = {row["name"]: row["results"]["attack_success"]["value"] for row in rows}
    assert success["original"] > success["oracle"]
    for name in ("alpha=1", "alpha=10"):
        assert 0 <= success[name] <= 100
    head = (place / "ablation.md").read_text().splitlines()[2]
    assert head.startswith("| setting | alpha | Attack success | FA |")
    (other,) = (grid[0] / "class-3").glob("*.md")
    assert "Attack success" not in other.read_text()


def test_a_setting_that_cannot_be_run_is_a_row_that_says_why(grid, call, monkeypatch, tmp_path):
    out, true = shutil.copytree(grid[0], tmp_path / "run"), running.fill_plan

    def fill_plan(plan, title, *rest, **options):
        if "num=2" in title:
            raise InputError("num=2: the retain set ran out")
        return true(plan, title, *rest, **options)

    monkeypatch.setattr(running, "fill_plan", fill_plan)
    flags = (*TINY, *GRID, "--set", "natmu.epochs=1", "--out", out)
    done = call(experiments.ablate.command.main, *flags)
    assert done.code == 0, done.err
    rows = {row["name"]: row for row in read(out)["rows"]}
    for delta in ("-0.2", "0.2"):
        refused = rows[f"delta={delta}, num=2"]
        assert (refused["results"], refused["note"]) == ({}, "num=2: the retain set ran out")
        assert rows[f"delta={delta}, num=1"]["results"]["gap"]["n"] == 2
    # Where none can be run there is nothing to show.
    monkeypatch.setattr(running, "fill_plan", lambda *_, **__: fill_plan(None, "num=2"))
    done = call(experiments.ablate.command.main, *flags)
    assert (done.code, done.err) == (2, "error: num=2: the retain set ran out\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--over", "detla=0,1"), "over: hyperparameter of natmu='detla': did you mean delta"),
        (("--over", "delta=0,x"), "natmu.delta='x': expected a number"),
        (("--over", "delta=0,2"), "natmu.delta=2: expected a number >= -1 and <= 1"),
        (("--over", "masks=gradul"), "natmu.masks='gradul': did you mean gradual"),
        (("--over", "inject=maybe"), "natmu.inject='maybe': expected true or false"),
        (("--over", "delta=0,0"), "over='delta=0,0': a value comes twice"),
        (("--over", "delta=0", "--over", "delta=1"), "over='delta=1': delta comes twice"),
        (
            ("--over", "delta=0,0.1", "--set", "natmu.delta=0.1"),
            "set='natmu.delta=0.1': delta is fixed, and varied; give it once",
        ),
        (
            (
                *("--over", "delta=" + ",".join(str(k / 200) for k in range(101))),
                *("--over", "learning_rate=" + ",".join(str(k / 200) for k in range(100))),
            ),
            "over: 10100 points: expected at most 10000",
        ),
        (("--over", "delta=0..1"), "over: delta=0..1: expected values in a whole grid"),
        (("--over", "delta=0,1", "--sample", "5"), "sample=5: found only 2 different points"),
        (("--over", "delta=0..1", "--sample", "-1"), "sample=-1: expected"),
        (("--over", "num=10"), "natmu.num=10: expected at most 9, the number of other classes"),
        (("--over", "batch_size=2000"), "natmu.batch_size=2000: there are only"),
        ((), "expected --method NAME and --over FIELD=VALUES, or --study NAME"),
        (("--study", "natmu"), "method='natmu': a study has its own; leave out --method"),
    ],
)
def test_a_bad_request_is_one_line_and_writes_nothing(flags, message, refused, tmp_path):
    out = tmp_path / "run"
    line = refused(
        experiments.ablate.command.main, *TINY, "--method", "natmu", *flags, "--out", out
    )
    assert message in line
    assert not out.exists()


def test_an_unknown_study_or_method_is_refused(refused, tmp_path):
    main = experiments.ablate.command.main
    assert "study='natmo': did you mean natmu" in refused(main, "--study", "natmo")
    assert "did you mean natmu" in refused(main, "--method", "natmo", "--over", "delta=1")


def test_settings_that_all_collapse_are_rows_and_no_figure(call, grid, tmp_path):
    wild = ("--method", "gradient_ascent", "--over", "epochs=2,3", "--bank", grid[0] / "bank")
    rate = ("--set", "gradient_ascent.learning_rate=1e9", "gradient_ascent.batch_size=10")
    done = call(experiments.ablate.command.main, *TINY, *wild, *rate, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    rows = read(tmp_path / "run")["rows"][2:]
    assert [row["results"].get("gap", {}).get("value") for row in rows] == [None, None]
    assert all("collapsed" in row["note"] for row in rows)
    assert not (tmp_path / "run" / "class-3" / "figures").exists()
