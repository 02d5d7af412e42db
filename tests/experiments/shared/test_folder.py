"""A run's folder: never taken from others, and sound after every way of being cut off."""

import fcntl
import json

import pytest

from experiments.shared import config_file, folder
from experiments.shared.folder import open_folder
from jax_unlearn.core import InputError

SETTINGS = {"experiment": {"seeds": [0]}}
OTHER = {"experiment": {"seeds": [1]}}


def begin(path, settings=SETTINGS, *files):
    with open_folder(path, settings, overwrite=False) as folder:
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("made")


def test_a_new_folder_says_what_it_is_and_where_it_was_made(tmp_path):
    begin(tmp_path / "a" / "run")
    config = json.loads((tmp_path / "a" / "run" / "config.json").read_text())
    assert config["settings"] == SETTINGS
    assert config["command"].startswith("python -m ")
    assert {"python", "jax", "flax", "optax", "numpy"} <= set(config["versions"])
    assert config["hardware"]["platform"] == "cpu"
    assert config["hardware"]["cores"] >= 1


def test_another_run_is_refused_and_left_as_it_is(tmp_path):
    begin(tmp_path, SETTINGS, "bank/bank.json")
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
    begin(
        tmp_path, {"experiment": {"seeds": [0], "cpu_devices": 0, "loop": "auto"}}, "bank/bank.json"
    )
    now = {"experiment": {"seeds": [0], "cpu_devices": 4, "loop": "python"}}
    with open_folder(tmp_path, now, overwrite=True) as folder:
        assert (folder / "bank/bank.json").read_text() == "made"
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["settings"]["experiment"]["cpu_devices"] == 0
    assert config["execution"] == {"cpu_devices": 0, "loop": "auto"}
    (continued,) = config["continued"]
    assert continued["execution"] == {"cpu_devices": 4, "loop": "python"}


def test_a_run_whose_own_code_has_changed_since_is_refused_by_name(tmp_path):
    sources = {"mine.py:Mine": "a", "other.py:net": "b"}
    begin(tmp_path, {**SETTINGS, "sources": sources})
    changed = {**SETTINGS, "sources": {**sources, "mine.py:Mine": "c"}}
    said = "holds a run of mine.py:Mine before its source was changed; name another folder or"
    with pytest.raises(InputError, match=said), open_folder(tmp_path, changed, overwrite=False):
        pass
    with open_folder(tmp_path, changed, overwrite=True):
        pass


def test_a_run_of_another_version_is_refused_and_left_as_it_is(tmp_path):
    begin(tmp_path, SETTINGS, "metrics.jsonl")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "format": 1}))
    said = r"a run of another version \(format 1, expected 2\); name another folder or pass"
    with pytest.raises(InputError, match=said), open_folder(tmp_path, SETTINGS, overwrite=False):
        pass
    assert (tmp_path / "metrics.jsonl").exists()
    with open_folder(tmp_path, SETTINGS, overwrite=True):
        assert not (tmp_path / "metrics.jsonl").exists()


def test_overwrite_empties_another_run_but_goes_on_with_the_same(tmp_path):
    begin(tmp_path, SETTINGS, "bank/bank.json")
    (tmp_path / "figures").mkdir()
    with open_folder(tmp_path, SETTINGS, overwrite=True) as folder:
        assert (folder / "bank/bank.json").read_text() == "made"
    with open_folder(tmp_path, OTHER, overwrite=True) as folder:
        assert not (folder / "bank").exists()
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
    begin(tmp_path, SETTINGS, "bank/bank.json")
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(InputError, match=r"out='.*': another process is writing there"),
            open_folder(tmp_path, OTHER, overwrite=overwrite),
        ):
            pass
    with open_folder(tmp_path, SETTINGS, overwrite=False) as folder:
        assert (folder / "bank/bank.json").read_text() == "made"


def test_a_run_killed_before_it_wrote_its_settings_can_begin_again(tmp_path):
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".config.json.123").write_text('{"sett')
    begin(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["settings"] == SETTINGS


def test_who_goes_on_with_a_run_is_recorded_when_it_is_another(tmp_path, monkeypatch):
    def opened(command):
        monkeypatch.setattr(config_file, "provenance", lambda: {**PROVENANCE, "command": command})
        with folder.open_folder(tmp_path / "run", {"a": 1}, overwrite=False):
            return json.loads((tmp_path / "run" / "config.json").read_text())

    assert "continued" not in opened("first")
    assert "continued" not in opened("first")
    assert [entry["command"] for entry in opened("second")["continued"]] == ["second"]
    assert opened("second")["command"] == "first"
    assert [entry["command"] for entry in opened("third")["continued"]] == ["second", "third"]


PROVENANCE = {"command": "", "date": "2026-01-01", "versions": {}, "hardware": {}}
