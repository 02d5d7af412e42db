"""A run's folder: never taken from others, and sound after every way of being cut off."""

import contextlib
import fcntl
import json

import numpy as np
import pytest

from experiments import folder
from experiments.folder import open_folder
from jax_unlearn.core import InputError, Outputs, Predictions
from jax_unlearn.engine import Result

SETTINGS = {"experiment": {"seeds": [0]}}
OTHER = {"experiment": {"seeds": [1]}}


def outcome(epochs=3, status="finished"):
    history = [{"step": float(e), "loss": 1.0 / (e + 1)} for e in range(epochs)]
    return Result({}, history, status, epochs, 0.5, 0.25)


def predictions():
    def part(start, count):
        ids = np.arange(start, start + count)
        logits = np.arange(count * 2.0).reshape(count, 2).astype(np.float32)
        return Outputs(logits, (ids % 2).astype(np.int32), ids)

    return Predictions(part(0, 2), part(2, 3), part(0, 4), np.zeros(4, bool))


def begin(path, settings=SETTINGS, *parts):
    with open_folder(path, settings, overwrite=False) as folder:
        for part in parts:
            folder.record(part, outcome())


def test_a_new_folder_says_what_it_is_and_where_it_was_made(tmp_path):
    begin(tmp_path / "a" / "run")
    config = json.loads((tmp_path / "a" / "run" / "config.json").read_text())
    assert config["settings"] == SETTINGS
    assert config["command"].startswith("python -m ")
    assert {"python", "jax", "flax", "optax", "numpy"} <= set(config["versions"])
    assert config["hardware"]["platform"] == "cpu"
    assert config["hardware"]["cores"] >= 1


def test_the_same_settings_open_it_again_with_all_that_was_finished(tmp_path):
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        folder.finish("class-3", "natmu", 0, predictions(), outcome(status="stopped"))
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        part = ("class-3", "natmu", 0)
        assert folder.parts[part]["status"] == "stopped"
        assert [entry["epoch"] for entry in folder.histories[part]] == [0, 1, 2]
        stored = folder.predictions(*part)
        assert folder.predictions("class-3", "natmu", 1) is None
    np.testing.assert_array_equal(stored.forget.logits, predictions().forget.logits)


def test_predictions_without_their_record_are_not_finished(tmp_path):
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        folder.finish("r", "natmu", 0, predictions(), outcome())
    (tmp_path / "metrics.jsonl").write_text("")
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        assert folder.predictions("r", "natmu", 0) is None


def test_another_run_is_refused_and_left_as_it_is(tmp_path):
    begin(tmp_path, SETTINGS, ("r", "a", 0))
    before = (tmp_path / "config.json").read_text()
    with (
        pytest.raises(InputError, match=r"out='.*': the folder holds a run with other settings"),
        open_folder(tmp_path, OTHER, overwrite=False),
    ):
        pass
    assert (tmp_path / "config.json").read_text() == before


def test_each_setting_that_differs_is_named_with_both_values(tmp_path):
    one = {"experiment": {"seeds": [0], "training": {"epochs": 2}}, "data_fingerprint": "a"}
    other = {"experiment": {"seeds": [1], "training": {"epochs": 3}}, "data_fingerprint": "b"}
    begin(tmp_path, one)
    said = r"s: seeds is \[0\] there and \[1\] here, training.epochs is 2 there and 3 here;"
    with pytest.raises(InputError, match=said), open_folder(tmp_path, other, overwrite=False):
        pass
    said = 'other settings: data_fingerprint is "a" there and "b" here;'
    other["experiment"] = one["experiment"]
    with pytest.raises(InputError, match=said), open_folder(tmp_path, other, overwrite=False):
        pass


def test_how_the_machine_is_used_makes_no_other_run_and_is_recorded(tmp_path):
    begin(tmp_path, {"experiment": {"seeds": [0], "cpu_devices": 0, "loop": "auto"}}, ("r", "a", 0))
    now = {"experiment": {"seeds": [0], "cpu_devices": 4, "loop": "python"}}
    with open_folder(tmp_path, now, overwrite=True) as folder:
        assert ("r", "a", 0) in folder.parts
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["settings"]["experiment"]["cpu_devices"] == 0
    assert config["execution"] == {"cpu_devices": 0, "loop": "auto"}
    (continued,) = config["continued"]
    assert continued["execution"] == {"cpu_devices": 4, "loop": "python"}


def test_damaged_predictions_cost_one_line_and_are_still_to_do(tmp_path):
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        for seed in (0, 1):
            folder.finish("r", "natmu", seed, predictions(), outcome())
    path = tmp_path / "predictions" / "r" / "natmu-0.npz"
    path.write_bytes(path.read_bytes()[:100])
    with contextlib.ExitStack() as stack:
        with pytest.warns(UserWarning, match=r"natmu-0\.npz': these predictions are damaged"):
            folder = stack.enter_context(open_folder(tmp_path, SETTINGS, overwrite=False))
        assert not folder.done("r", "natmu", 0)
        assert folder.predictions("r", "natmu", 0) is None
        assert folder.done("r", "natmu", 1)
        folder.finish("r", "natmu", 0, predictions(), outcome())
        assert folder.predictions("r", "natmu", 0) is not None


def test_overwrite_empties_another_run_but_goes_on_with_the_same(tmp_path):
    begin(tmp_path, SETTINGS, ("r", "a", 0))
    (tmp_path / "figures").mkdir()
    with open_folder(tmp_path, SETTINGS, overwrite=True) as folder:
        assert ("r", "a", 0) in folder.parts
    with open_folder(tmp_path, OTHER, overwrite=True) as folder:
        assert not folder.parts
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "config.json"]
    assert json.loads((tmp_path / "config.json").read_text())["settings"] == OTHER


@pytest.mark.parametrize(
    "files",
    [
        {"precious.txt": "x"},
        {".git": "x"},
        {"config.json": "{}", "model.bin": "x"},
        {"config.json": '{"settings": {"a": 1}}', "model.bin": "x"},
        {"config.json": "[1", "model.bin": "x"},
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_run_is_never_touched(tmp_path, files, overwrite):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with (
        pytest.raises(InputError, match=r"out='.*' ?:.* no run|out='.*not that of a run"),
        open_folder(tmp_path, SETTINGS, overwrite=overwrite),
    ):
        pass
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file, file / "below"):
        with (
            pytest.raises(InputError, match=r"out='.*': .*; expected a folder"),
            open_folder(path, SETTINGS, overwrite=True),
        ):
            pass
    assert file.read_text() == "x"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_in_use_is_refused_and_not_emptied(tmp_path, overwrite):
    begin(tmp_path, SETTINGS, ("r", "a", 0))
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(InputError, match=r"out='.*': another process is writing there"),
            open_folder(tmp_path, OTHER, overwrite=overwrite),
        ):
            pass
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        assert ("r", "a", 0) in folder.parts


def test_a_run_killed_before_it_wrote_its_settings_can_begin_again(tmp_path):
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".config.json.123").write_text('{"sett')
    begin(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["settings"] == SETTINGS


@pytest.mark.parametrize("cut", range(1, 200, 9))
def test_a_torn_end_costs_its_own_part_and_nothing_else(tmp_path, cut):
    begin(tmp_path, SETTINGS, ("r", "a", 0), ("r", "b", 0))
    records = tmp_path / "metrics.jsonl"
    whole = records.read_text()
    records.write_text(whole[:-cut])
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        assert list(folder.parts) == [("r", "a", 0)]
        folder.record(("r", "b", 0), outcome())
        assert len(folder.histories["r", "b", 0]) == 3
    assert records.read_text() == whole
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        assert [len(history) for history in folder.histories.values()] == [3, 3]


def test_values_that_are_not_finite_are_stored_as_null(tmp_path):
    collapsed = outcome()._replace(history=[{"loss": float("nan"), "step": 0.0}])
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        folder.record(("r", "a", 0), collapsed)
        assert folder.histories["r", "a", 0][0]["loss"] is None
    row = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert row["loss"] is None
    assert row["kind"] == "epoch"


def test_who_goes_on_with_a_run_is_recorded_when_it_is_another(tmp_path, monkeypatch):
    def opened(command):
        monkeypatch.setattr(folder, "provenance", lambda: {**PROVENANCE, "command": command})
        with folder.open_folder(tmp_path / "run", {"a": 1}, overwrite=False):
            return json.loads((tmp_path / "run" / "config.json").read_text())

    assert "continued" not in opened("first")
    assert "continued" not in opened("first")
    assert [entry["command"] for entry in opened("second")["continued"]] == ["second"]
    assert opened("second")["command"] == "first"
    assert [entry["command"] for entry in opened("third")["continued"]] == ["second", "third"]


PROVENANCE = {"command": "", "date": "2026-01-01", "versions": {}, "hardware": {}}
