"""The main job on a few hundred digits: everything is written, resumed and reproduced."""

import csv
import json
import shutil
import warnings

import numpy as np
import pytest

import experiments.run
import experiments.search
import jax_unlearn as ju
from experiments import pipeline
from experiments.config import Data, Experiment, Network, Training

NAMES = ("original", "oracle", "second_oracle", "finetune", "natmu", "mumis")
SLUGS = ("class-3", "random-0.1")


@pytest.fixture(scope="module")
def run(call, tiny, tmp_path_factory):
    """A finished run: its folder and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    result = call(experiments.run.main, *tiny, "--out", out)
    assert result.code == 0, result.err
    return out, result.out


def table(folder):
    """The table but for its times: {(request, model): {column: text}}."""
    with (folder / "table.csv").open() as file:
        return {
            (row["request"], row["model"]): {
                name: text
                for name, text in row.items()
                if not name.startswith(("seconds", "share"))
            }
            for row in csv.DictReader(file)
        }


def same_predictions(one, other):
    for path in one.rglob("*.npz"):
        with np.load(path) as a, np.load(other / path.relative_to(one)) as b:
            for key in a:
                np.testing.assert_array_equal(a[key], b[key], f"{path.name} {key}")


def copy_of(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def count_training(monkeypatch):
    """Record every call of the engine."""
    calls = []
    for name in ("train", "run"):
        true = getattr(ju, name)
        monkeypatch.setattr(ju, name, lambda *a, _f=true, **k: calls.append(a[0]) or _f(*a, **k))
    return calls


def test_config_holds_settings_versions_and_hardware(run):
    config = json.loads((run[0] / "config.json").read_text())
    assert config["settings"]["experiment"]["requests"] == ["class:3", "random:0.1"]
    natmu = config["settings"]["requests"]["class:3"]["natmu"]["arguments"]
    assert natmu == {"batch_size": 50, "epochs": 1}
    assert len(config["settings"]["data_fingerprint"]) == 64
    assert config["versions"]["jax"]
    assert config["hardware"]["devices"]


def test_every_part_has_its_predictions(run):
    found = sorted(str(p.relative_to(run[0])) for p in (run[0] / "predictions").rglob("*.npz"))
    assert found == sorted(
        f"predictions/{slug}/{name}-{seed}.npz"
        for slug in SLUGS
        for name in NAMES
        for seed in (0, 1)
    )
    with np.load(run[0] / "predictions/class-3/natmu-0.npz") as stored:
        assert set(stored["forget_label"]) == {3}
        assert len(stored["forget_label"]) + len(stored["retain_label"]) == 300
        assert len(stored["test_label"]) == 100
        np.testing.assert_array_equal(stored["test_forgotten"], stored["test_label"] == 3)


def test_metrics_hold_one_line_an_epoch_and_one_a_part(run):
    rows = [json.loads(line) for line in (run[0] / "metrics.jsonl").read_text().splitlines()]
    results = [row for row in rows if row["kind"] == "result"]
    trained = [("", "original", seed) for seed in (0, 1)]
    parts = [(slug, name, seed) for slug in SLUGS for name in NAMES for seed in (0, 1)]
    assert sorted((r["request"], r["name"], r["seed"]) for r in results) == sorted(trained + parts)
    oracle = [r for r in rows if r["name"] == "oracle" and r["kind"] == "epoch" and r["seed"] == 0]
    assert [row["epoch"] for row in oracle if row["request"] == "class-3"] == [0, 1, 2, 3, 4]
    natmu = next(r for r in results if r["name"] == "natmu")
    assert natmu["status"] == "finished"
    assert natmu["run_seconds"] > 0
    assert natmu["compile_seconds"] >= 0


def test_the_table_has_original_oracle_second_oracle_and_every_method(run):
    rows = table(run[0])
    models = ["original", "oracle", "second oracle", "finetune", "natmu", "mumis"]
    assert list(rows) == [(text, m) for text in ("class:3", "random:0.1") for m in models]
    assert float(rows["class:3", "oracle"]["FA"]) == 0.0
    assert float(rows["class:3", "oracle"]["gap"]) == 0.0
    assert float(rows["class:3", "second oracle"]["gap"]) > 0.0
    assert {row["n"] for row in rows.values()} == {"2"}
    assert rows["class:3", "natmu"]["FA_test"] != ""
    assert rows["random:0.1", "natmu"]["FA_test"] == ""
    text = (run[0] / "table.md").read_text()
    assert all(model in text for model in models)
    assert all(model in run[1] for model in models)


def test_every_figure_exists_and_the_report_shows_it(run):
    report = (run[0] / "report.md").read_text()
    for slug in SLUGS:
        for name in ("forget_accuracy", "entropy", "time", "gap_kl", "hybrids", "mumis"):
            path = run[0] / "figures" / slug / f"{name}.png"
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size > 10_000
            assert f"figures/{slug}/{name}.png" in report
    assert report.startswith("# Unlearning on digits")


def test_the_same_command_again_trains_nothing_and_writes_the_same(
    call, tiny, run, tmp_path, monkeypatch
):
    again = copy_of(run[0], tmp_path)
    calls = count_training(monkeypatch)
    assert call(experiments.run.main, *tiny, "--out", again).code == 0
    assert calls == []
    for name in ("table.csv", "table.md", "report.md", "metrics.jsonl"):
        assert (again / name).read_text() == (run[0] / name).read_text(), name
    config, first = (json.loads((path / "config.json").read_text()) for path in (again, run[0]))
    # The folder is a copy, so the command names another one, and that is recorded.
    (continued,) = config.pop("continued")
    assert str(again) in continued["command"]
    assert config == first


def test_its_config_alone_runs_it_again(call, run, tmp_path, monkeypatch):
    again = copy_of(run[0], tmp_path)
    calls = count_training(monkeypatch)
    config = run[0] / "config.json"
    assert call(experiments.run.main, "--config", config, "--out", again).code == 0
    assert calls == []


def test_an_interrupted_run_goes_on_to_the_same_result(call, tiny, run, tmp_path, monkeypatch):
    out, true = tmp_path / "cut", pipeline.unlearn
    for stop_after in (1, 4):
        calls = []

        def cut(*arguments, calls=calls, stop_after=stop_after, **options):
            if len(calls) == stop_after:
                raise KeyboardInterrupt
            calls.append(arguments)
            return true(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "unlearn", cut)
            result = call(experiments.run.main, *tiny, "--out", out)
        assert result.code == 130
        assert result.err == "interrupted: start the same command again to go on\n"
    # As a crash would: the last record cut off, and predictions whose record was lost.
    records = out / "metrics.jsonl"
    records.write_text(records.read_text()[:-30])
    assert call(experiments.run.main, *tiny, "--out", out).code == 0
    same_predictions(run[0], out)
    assert table(out) == table(run[0])
    assert (out / "metrics.jsonl").read_text().count("\n") == (
        run[0] / "metrics.jsonl"
    ).read_text().count("\n")


def test_weights_that_were_deleted_are_trained_again_to_the_same(call, tiny, run, tmp_path):
    out = copy_of(run[0], tmp_path)
    shutil.rmtree(out / "weights" / "original-0")
    (out / "predictions" / "class-3" / "natmu-0.npz").unlink()
    assert call(experiments.run.main, *tiny, "--out", out).code == 0
    same_predictions(run[0], out)


def test_damaged_weights_and_predictions_are_made_again_to_the_same(call, tiny, run, tmp_path):
    out = copy_of(run[0], tmp_path)
    weights = out / "weights" / "original-0"
    largest = max((p for p in weights.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-100] ^= 1
    largest.write_bytes(content)
    predictions = out / "predictions" / "class-3" / "natmu-0.npz"
    predictions.write_bytes(predictions.read_bytes()[:1000])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        assert call(experiments.run.main, *tiny, "--out", out).code == 0
    said = [str(one.message) for one in warned if one.category is UserWarning]
    assert len(said) == 2
    assert "natmu-0.npz': these predictions are damaged (BadZipFile) and made again" in said[0]
    assert said[1].startswith("original-0 is trained again: path=")
    same_predictions(run[0], out)


def test_missing_data_ask_for_the_command_s_flag(call, tmp_path):
    result = call(
        experiments.run.main,
        "--data.name",
        "cifar10",
        "--data-dir",
        tmp_path,
        "--out",
        tmp_path / "o",
    )
    assert result.code == 2
    assert "; pass --download to experiments.run, or put the archive from " in result.err
    assert "download=True" not in result.err


def test_other_settings_in_the_same_folder_are_refused(call, tiny, run):
    before = (run[0] / "table.csv").stat().st_mtime_ns
    result = call(experiments.run.main, *tiny, "--training.epochs", 5, "--out", run[0])
    assert result.code == 2
    assert "the folder holds a run with other settings" in result.err
    assert (run[0] / "table.csv").stat().st_mtime_ns == before


def test_a_file_of_ids_that_has_changed_is_another_run(call, tiny, run, tmp_path, images_npz):
    ids, out = tmp_path / "ids.txt", tmp_path / "out"
    flags = [*tiny[:-5], "--data.name", images_npz, "--requests", f"ids:{ids}", "--out", out]
    flags += ["--data.train-size", 0, "--data.test-size", 40, "--training.epochs", 1]
    flags += ["--methods", "finetune", "--set", "finetune.batch_size=50"]
    ids.write_text("1\n2\n3\n")
    first = call(experiments.run.main, *flags)
    assert first.code == 0, first.err
    ids.write_text("4\n5\n6\n")
    second = call(experiments.run.main, *flags)
    assert second.code == 2
    assert "other settings" in second.err


def test_an_original_that_collapses_ends_the_run_with_the_remedy(call, tiny, tmp_path):
    out = tmp_path / "out"
    result = call(experiments.run.main, *tiny, "--training.learning-rate", 1e30, "--out", out)
    assert result.code == 2
    assert "training.learning_rate=1e+30: original of seed 0 collapsed" in result.err
    assert result.err.count("\n") == 1


SMALL = Experiment(
    data=Data(train_size=300, test_size=100, padding=0, flip=False),
    network=Network(width=8),
    training=Training(epochs=4, batch_size=50),
    requests=("class:3",),
    methods=("finetune", "natmu"),
    seeds=(0,),
    set=("finetune.batch_size=50", "natmu.batch_size=50", "natmu.epochs=1", "finetune.epochs=1"),
)


def test_a_search_goes_on_where_it_was_cut_off_and_a_run_reads_its_result(
    call, tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(experiments.search, "preset", lambda name: SMALL)
    out, true, calls = tmp_path / "search", pipeline.unlearn, []

    def cut(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return true(*arguments, **options)

    flags = ["--trials", 2, "--seeds", 100, "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "unlearn", cut)
        assert call(experiments.search.main, *flags).code == 130
    assert not (out / "hyperparameters.json").exists()
    assert call(experiments.search.main, *flags).code == 0

    found = json.loads((out / "hyperparameters.json").read_text())
    best = found["requests"]["class:3"]
    assert {name: entry["trials"] for name, entry in best.items()} == {"finetune": 2, "natmu": 2}
    assert found["seeds"] == [100]
    for name, entry in best.items():
        for field, (_, low, high) in found["spaces"][name].items():
            assert low <= entry["arguments"][field] <= high
        assert entry["arguments"]["batch_size"] == 50
        assert 0.0 <= entry["gap"] <= 100.0
    trials = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    drawn = [t["param_value_internal"] for t in trials if t.get("param_name") == "delta"]
    assert len(set(drawn)) == len(drawn) == 3

    flags = [*tiny, "--requests", "class:3", "--methods", "natmu", "--seeds", 0, "--set"]
    flags += ["--hyperparameters", out / "hyperparameters.json", "--out", tmp_path / "run"]
    result = call(experiments.run.main, *flags)
    assert result.code == 0, result.err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (
        config["settings"]["requests"]["class:3"]["natmu"]["arguments"]
        == (best["natmu"]["arguments"])
    )
