"""A run on a few hundred digits: everything is written, resumed and reproduced."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from experiments.audit import command as audit_command
from experiments.bank import command as bank_command
from experiments.run import command as run_command
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.bank import open_bank
from jax_unlearn.display import display_name

# Later starts run what the first one compiled.
pytestmark = pytest.mark.runs_long

SLUGS = ("class-3", "random-0.1")
METHODS = ("finetune", "natmu", "mumis")


@pytest.fixture(scope="module")
def run(call, tiny, pictures, tmp_path_factory):
    """A finished run: its folder and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    with pictures():
        result = call(run_command.main, *tiny, "--out", out)
    assert result.code == 0, result.err
    return out, result.out


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the finished run, to be changed."""
    return shutil.copytree(run[0], tmp_path / "copy")


def audit(folder, slug):
    return json.loads((folder / slug / "audit.json").read_text())


def numbers(folder):
    """What the audits of a run found, but for its times."""
    return {slug: [untimed(row) for row in audit(folder, slug)["rows"]] for slug in SLUGS}


def untimed(row):
    return {name: value for name, value in row.items() if name not in ("seconds", "share")}


def test_config_holds_settings_versions_and_hardware(run):
    config = json.loads((run[0] / "config.json").read_text())
    assert config["settings"]["experiment"]["requests"] == ["class:3", "random:0.1"]
    natmu = config["settings"]["requests"]["class:3"]["natmu"]["arguments"]
    assert natmu == {"batch_size": 50, "epochs": 1}
    assert len(config["settings"]["data_fingerprint"]) == 64
    assert config["versions"]["jax"]
    assert config["hardware"]["devices"]


def test_the_bank_holds_originals_oracles_and_unlearned_models_with_their_weights(run):
    bank = open_bank(run[0] / "bank")
    kinds = {kind: bank.records(kind) for kind in ("original", "oracle", "unlearned")}
    seeds = {kind: [r.ingredients["seed"] for r in records] for kind, records in kinds.items()}
    assert seeds["original"] == [0, 1]
    assert sorted(seeds["oracle"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert sorted(seeds["unlearned"]) == [0] * 6 + [1] * 6
    for record in bank.records():
        assert (bank.path / "models" / record.address / "weights.safetensors").is_file()
    request = next(hash_ for hash_, text in bank.requests().items() if text == "class:3")
    (natmu, _) = [
        r for r in bank.records("unlearned", request) if r.ingredients["method"]["name"] == "natmu"
    ]
    predictions = bank.predictions(natmu, request)
    assert set(predictions.forget.label) == {3}
    assert len(predictions.forget.label) + len(predictions.retain.label) == 300
    np.testing.assert_array_equal(predictions.test_forgotten, predictions.test.label == 3)


def test_records_hold_every_epoch_with_its_accuracies(run):
    bank = open_bank(run[0] / "bank")
    assert {len(r.outcome["history"]) for r in bank.records("oracle")} == {5}
    for record in bank.records("unlearned"):
        assert all("forget_accuracy" in entry for entry in record.outcome["history"])
        assert record.outcome["run_seconds"] > 0
        assert record.outcome["compile_seconds"] >= 0


def test_every_request_has_an_audit_with_a_verdict_and_a_report(run):
    requests = (("class:3", "class 3"), ("random:0.1", "random 10 %"))
    for slug, (text, prose) in zip(SLUGS, requests, strict=True):
        record = audit(run[0], slug)
        assert record["request"]["text"] == text
        assert [row["name"] for row in record["rows"]] == ["original", "oracle", *METHODS]
        assert len(record["files"]["oracle"]) == 4
        for name in ("audit.csv", "report.html", "report.md"):
            assert (run[0] / slug / name).stat().st_size > 500
        assert "<svg" in (run[0] / slug / "report.html").read_text()
        assert list((run[0] / slug / "figures").glob("*.png"))
        assert prose in run[1]
    assert all(display_name(name) in run[1] for name in ("original", "oracle", *METHODS))
    assert "2 models against 2 oracles: " in run[1]


def test_every_part_that_is_finished_writes_a_line(run):
    lines = run[1].splitlines()
    for part in ("original, seed 1", "class 3: oracle, seed 3", "random 10 %: NatMU, seed 0"):
        (line,) = [line for line in lines if line.startswith(f"{part}: ")]
        assert line.endswith(" s")
        assert line.split(": ")[-1].startswith("finished, ")
    (line,) = [line for line in lines if line.startswith("class 3: MU-Mis, seed 0: ")]
    assert "ended at the step limit" in line


def test_the_same_command_again_trains_nothing_and_finds_the_same(call, tiny, run, copy, trained):
    assert call(run_command.main, *tiny, "--out", copy).code == 0
    assert trained == []
    assert numbers(copy) == numbers(run[0])
    config, first = (json.loads((path / "config.json").read_text()) for path in (copy, run[0]))
    # The folder is a copy, so the command names another one, and that is recorded.
    (continued,) = config.pop("continued")
    assert str(copy) in continued["command"]
    assert config == first


def test_its_config_alone_runs_it_again(call, run, copy, trained):
    config = run[0] / "config.json"
    assert call(run_command.main, "--config", config, "--out", copy).code == 0
    assert trained == []


def test_the_audit_alone_takes_a_run_s_folder_and_finds_the_same(call, run, tmp_path):
    done = call(audit_command.main, run[0], "--out", tmp_path / "audit", *SVC)
    assert done.code == 0, done.err
    assert numbers(tmp_path / "audit") == numbers(run[0])


SVC = ("--protocol.svc-max-examples", 2000)


def test_runs_and_banks_share_their_models(call, tiny, run, tmp_path, trained):
    """A bank filled by the one command is the bank of the other, and a run audits its own alone."""
    shared = shutil.copytree(run[0] / "bank", tmp_path / "bank")
    flags = [f for f in tiny if f != "--seeds"]
    start = tiny.index("--seeds")
    flags = [*tiny[:start], *tiny[start + 3 :]]
    filled = call(bank_command.main, *flags, "--count", 3, "--watch", "--out", shared)
    assert filled.code == 0, filled.err
    # The third oracles are there: the run made four of each request.
    assert sorted(set(trained)) == [("original", 2), ("unlearned", 2)]
    trained.clear()
    again = call(run_command.main, *tiny, "--bank", shared, "--out", tmp_path / "run")
    assert again.code == 0, again.err
    assert trained == []
    assert numbers(tmp_path / "run") == numbers(run[0])
    assert not (tmp_path / "run" / "bank").exists()
    (mine, _) = gather_sources([str(tmp_path / "run")], "", (), ())
    assert [item.seed for item in mine.methods["natmu"]] == [0, 1]


def test_damaged_models_are_made_again_to_the_same(call, tiny, run, copy, trained):
    bank = open_bank(copy / "bank")
    original = next(r for r in bank.records("original") if r.ingredients["seed"] == 0)
    oracle = bank.records("oracle")[0]
    for record, name in ((original, "weights.safetensors"), (oracle, "outputs.npz")):
        path = copy / "bank" / "models" / record.address / name
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        assert call(run_command.main, *tiny, "--out", copy).code == 0
    said = [str(one.message) for one in warned if "damaged" in str(one.message)]
    assert [
        f"model {r.address} is damaged; it is trained again" in text
        for r, text in zip((original, oracle), said, strict=True)
    ] == [True, True]
    assert sorted(trained) == [("oracle", oracle.ingredients["seed"]), ("original", 0)]
    assert numbers(copy) == numbers(run[0])


def test_without_weights_only_those_of_originals_are_kept(call, tiny, run, tmp_path):
    out = tmp_path / "bare"
    flags = (*tiny, "--requests", "class:3", "--methods", "finetune", "--no-keep-weights")
    assert call(run_command.main, *flags, "--out", out).code == 0
    bank = open_bank(out / "bank")
    kept = {path.parent.name for path in out.rglob("weights.safetensors")}
    assert kept == {record.address for record in bank.records("original")}
    mine, theirs = audit(out, "class-3")["rows"], audit(run[0], "class-3")["rows"]
    assert mine[2]["name"] == "finetune"
    assert untimed(mine[2]) == untimed(theirs[2])


def test_missing_data_ask_for_the_command_s_flag(refused, tmp_path):
    flags = ("--data.name", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "o")
    message = refused(run_command.main, *flags)
    assert "; pass --download, or put the archive from " in message
    assert "download=True" not in message


def test_other_settings_in_the_same_folder_are_refused(refused, tiny, run):
    before = (run[0] / "config.json").stat().st_mtime_ns
    flags = (*tiny, "--training.epochs", 5, "--out", run[0])
    assert "the folder holds a run with other settings" in refused(run_command.main, *flags)
    assert (run[0] / "config.json").stat().st_mtime_ns == before


def test_a_run_of_an_earlier_version_is_refused_by_every_command(refused, tiny, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    settings = {"settings": {}, "versions": {}, "hardware": {}}
    (old / "config.json").write_text(json.dumps(settings))
    (old / "metrics.jsonl").write_text("")
    message = refused(run_command.main, *tiny, "--out", old)
    assert "a run of another version (format 1, expected 2); name another folder" in message
    message = refused(audit_command.main, old, "--out", tmp_path / "audit")
    assert "the folder of a run of an earlier version, which kept no bank" in message
    assert sorted(path.name for path in old.iterdir() if path.name != ".lock") == [
        "config.json",
        "metrics.jsonl",
    ]


def test_a_bank_that_cannot_be_shared_leaves_no_folder(refused, tiny, tmp_path):
    bank = tmp_path / "bank"
    bank.mkdir()
    (bank / "bank.json").write_text('{"format": 1}')
    message = refused(run_command.main, *tiny, "--bank", bank, "--out", tmp_path / "run")
    assert "format=1: expected 2" in message
    assert not (tmp_path / "run").exists()


@pytest.fixture
def easy_npz(tmp_path):
    """An .npz of 200 training and 40 test images of four classes, told apart by their grey."""
    splits = {}
    for split, count in (("train", 200), ("test", 40)):
        labels = np.arange(count) % 4
        noise = np.random.default_rng(count).integers(0, 20, (count, 8, 8, 1))
        splits[f"{split}_images"] = (60 * labels[:, None, None, None] + noise).astype(np.uint8)
        splits[f"{split}_labels"] = labels
    np.savez(tmp_path / "easy.npz", **splits)
    return tmp_path / "easy.npz"


def test_a_file_of_ids_that_has_changed_is_another_run(call, tiny, tmp_path, copy):
    ids, out = tmp_path / "ids.txt", tmp_path / "out"
    flags = [*tiny, "--requests", f"ids:{ids}", "--bank", copy / "bank", "--out", out]
    flags += ["--methods", "finetune", "--seeds", 0, "--oracles", 1]
    known = [f"{image}\n" for image in open_bank(copy / "bank").train.id]
    ids.write_text("".join(known[:3]))
    first = call(run_command.main, *flags)
    assert first.code == 0, first.err
    ids.write_text("".join(known[3:6]))
    second = call(run_command.main, *flags)
    assert second.code == 2
    assert "other settings" in second.err


def test_an_original_that_collapses_ends_the_run_with_the_remedy(refused, tiny, tmp_path):
    flags = (*tiny, "--training.learning-rate", 1e30, "--out", tmp_path / "out")
    message = refused(run_command.main, *flags)
    assert "learning_rate=1e+30: training of the original of seed 0 collapsed" in message


OWN = """
import jax, jax.numpy as jnp
import jax_unlearn as ju

def flat(num_classes, image_shape):
    size = image_shape[0] * image_shape[1] * image_shape[2]
    def init(key):
        return {"w": 0.1 * jax.random.normal(key, (size, num_classes))}
    def apply(variables, images, *, train):
        return images.reshape(len(images), size) @ variables["w"], variables
    return ju.Model(init, apply, "flat")

class Gentle(ju.Descent):
    epochs: int = 1
    batch_size: int = ju.static(50)
"""


def test_a_user_s_own_method_network_and_data_run_by_name_until_their_source_changes(
    call, refused, tiny, tmp_path, easy_npz
):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    start = tiny.index("--network.width")
    flags = [*tiny[:start], *tiny[start + 2 :], "--network.name", f"{file}:flat"]
    flags += ["--data.name", easy_npz, "--data.train-size", 0, "--data.test-size", 40]
    flags += ["--requests", "class:3", "--methods", f"{file}:Gentle", "--oracles", 1]
    flags += ["--set", f"{file}:Gentle.epochs=2", "--out", tmp_path / "run"]
    done = call(run_command.main, *flags)
    assert done.code == 0, done.err
    config = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert {len(digest) for digest in config["sources"].values()} == {64}
    assert set(config["sources"]) == {f"{file}:flat", f"{file}:Gentle"}
    bank = open_bank(tmp_path / "run" / "bank")
    method = bank.records("unlearned")[0].ingredients["method"]
    assert method["arguments"]["epochs"] == 2
    assert method["source"] == config["sources"][f"{file}:Gentle"]
    file.write_text(OWN + "\n# other\n")
    message = refused(run_command.main, *flags)
    assert f"a run of {file}:flat, {file}:Gentle before its source was changed" in message


def test_nothing_is_left_of_a_run_that_was_cut_off_but_its_models(run):
    assert list(Path(run[0] / "bank" / "unfinished").iterdir()) == []
