"""Probes and subsets of a small bank on digits, from the command that fills it to the audit."""

import json
import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.audit import command as audit
from experiments.bank import command as bank
from experiments.bank import probes
from jax_unlearn.audit import memorization_scores, save_predictions
from jax_unlearn.audit.stored_probe import Probe
from jax_unlearn.bank import ids_digest, open_bank
from jax_unlearn.bank.subset_models import read_memorization, subset_rows
from jax_unlearn.core import InputError

COUNT, HALVES = 8, 8
MEASURES = ("ZRF", "relearn_time", "linear_probe", "linear_CKA")
FLAGS = (
    *("--count", COUNT, "--data.train-size", 200, "--data.test-size", 80, "--data.padding", 0),
    *("--data.no-flip", "--network.width", 4, "--training.epochs", 5, "--training.batch-size", 50),
    *("--requests", "random:0.2", "--methods", "finetune"),
    *("--set", "finetune.batch_size=40", "finetune.epochs=1"),
)


@pytest.fixture(scope="module", autouse=True)
def short():
    """Few looks at relearning, so that the tests are quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "UPDATES", 12)
        yield


@pytest.fixture(scope="module")
def filled(call, tmp_path_factory):
    """A bank of which the fill was interrupted while it probed the fourth model."""
    path = tmp_path_factory.mktemp("bank") / "bank"
    look, seen = probes.take_probe, []

    def interrupted(*given, **named):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        return look(*given, **named)

    flags = (*FLAGS, "--out", path, "--probes", 4, "--subsets", HALVES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "take_probe", interrupted)
        stopped = call(bank.main, *flags)
    there = {p.name: p.read_bytes() for p in path.glob("probes/*/*.npz")}
    return path, flags, stopped, there, call(bank.main, *flags)


@pytest.fixture(scope="module")
def audited(call, filled, tmp_path_factory):
    out = tmp_path_factory.mktemp("audited")
    done = call(audit.main, "--oracles", filled[0], "--out", out)
    assert done.code == 0, done.err
    return json.loads((out / "audit.json").read_text()), out


def cells(found, name):
    return next(row for row in found["rows"] if row["name"] == name)["results"]


def test_an_interrupted_fill_goes_on_where_it_was(filled):
    path, _, stopped, there, done = filled
    assert stopped.code == 130
    assert len(there) == 3
    assert done.code == 0, done.err
    assert "probed 9 models, 12 asked for" in " ".join(done.out.split())
    assert len(list(path.glob("probes/*/*.npz"))) == 12
    for file in path.glob("probes/*/*.npz"):
        assert file.read_bytes() == there.get(file.name, file.read_bytes())


def test_a_damaged_inside_is_made_again_and_is_the_same(call, filled):
    path, flags, *_ = filled
    files = sorted(path.glob("probes/*/*.npz"))
    before = [dict(np.load(file)) for file in files[:2]]
    files[0].write_bytes(files[0].read_bytes()[:-9])
    files[1].unlink()
    done = call(bank.main, *flags)
    assert "probed 2 models, 12 asked for" in " ".join(done.out.split())
    for file, arrays in zip(files, before, strict=False):
        with np.load(file) as again:
            for name in Probe._fields:
                np.testing.assert_allclose(again[name], arrays[name], rtol=1e-4, atol=1e-5)


def test_a_model_that_another_process_looks_into_is_waited_for(call, filled, monkeypatch):
    path, flags, *_ = filled
    store = open_bank(path)
    (request,) = store.requests()
    record = store.records("oracle")[0]
    file = path / "probes" / request / f"{record.address}.npz"
    kept, waited, got, release = file.read_bytes(), [], threading.Event(), threading.Event()
    file.unlink()

    def other():
        with store.claim(record.address):
            got.set()
            release.wait(60)
            file.write_bytes(kept)

    def sleep(seconds):
        waited.append(seconds)
        release.set()
        thread.join()

    thread = threading.Thread(target=other)
    thread.start()
    got.wait(60)
    monkeypatch.setattr(probes, "time", SimpleNamespace(sleep=sleep))
    done = call(bank.main, *flags)
    assert len(waited) == 1
    assert "probed 0 models, 12 asked for" in " ".join(done.out.split())


def test_the_audit_takes_every_measure_of_the_inside(audited):
    found, _ = audited
    assert set(MEASURES) <= {m["name"] for m in found["measures"]}
    assert found["not_measured"] == []
    for name, n in (("original", 4), ("oracle", 2), ("finetune", 4)):
        for measure in MEASURES:
            cell = cells(found, name)[measure]
            assert cell["n"] == n
            assert f"the probe of {n} of " in cell["note"] or name == "oracle"
            assert cell["value"] is not None
    for measure in MEASURES:
        assert measure in found["bands"]
        assert cells(found, "oracle")[measure]["verdict"] in ("inside", "uninformative", "")


def test_the_original_relearns_soonest(audited):
    values = {
        name: cells(audited[0], name)["relearn_time"]["value"]
        for name in ("original", "oracle", "finetune")
    }
    assert values["original"] < values["oracle"]


def test_the_numbers_are_in_every_table(audited):
    found, out = audited
    rows = (out / "audit.csv").read_text().splitlines()
    for measure in MEASURES:
        assert sum(f",{measure}," in row for row in rows) == len(found["rows"])
    page = (out / "report.html").read_text()
    for title in ("Relearn time", "Linear probe", "Linear CKA", "Zero Retrain Forgetting"):
        assert title in page


def test_an_audit_agrees_with_its_probes_and_notices_a_changed_one(call, audited, tmp_path):
    _, out = audited
    assert call(audit.main, "--check", out / "audit.json").code == 0
    found = json.loads((out / "audit.json").read_text())
    entry = found["files"]["oracle"][0]["probe"]
    path = out / entry["path"]
    kept = path.read_bytes()
    try:
        with np.load(path) as stored:
            changed = dict(stored)
        changed["relearn_losses"] = changed["relearn_losses"] / 2
        np.savez(path, **changed)
        done = call(audit.main, "--check", out / "audit.json")
        assert done.code == 1
        assert "not the probe that was audited (sha256)" in done.out
        path.unlink()
        assert (
            "files of predictions not found" in call(audit.main, "--check", out / "audit.json").err
        )
    finally:
        path.write_bytes(kept)


def test_a_bank_without_probes_says_which_command_adds_them(call, filled, tmp_path):
    shutil.copytree(filled[0], tmp_path / "bank", ignore=shutil.ignore_patterns("probes"))
    done = call(audit.main, "--oracles", tmp_path / "bank", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    absent = {entry["name"]: entry for entry in found["not_measured"]}
    assert set(absent) == set(MEASURES)
    assert all("--probes 16" in entry["add"] for entry in absent.values())
    assert "Measures that were not taken:" in (tmp_path / "out" / "report.md").read_text()
    assert "To add it: python -m experiments.bank" in (tmp_path / "out/report.html").read_text()


def test_probes_come_in_the_files_of_predictions_too(call, filled, audited, tmp_path):
    store = open_bank(filled[0])
    (request,) = store.requests()
    for record in store.records("unlearned", request):
        path = tmp_path / "mine" / f"mine-{record.ingredients['seed']}.npz"
        save_predictions(path, store.predictions(record, request))
        probe = store.path / "probes" / request / f"{record.address}.npz"
        if probe.is_file():
            with np.load(path) as a, np.load(probe) as b:
                arrays = dict(b) | dict(a)
            np.savez(path, **{k: v for k, v in arrays.items() if k != "made_of"})
    out = tmp_path / "out"
    done = call(audit.main, tmp_path / "mine", "--oracles", filled[0], "--out", out)
    assert done.code == 0, done.err
    mine = cells(json.loads((out / "audit.json").read_text()), "mine")
    for measure in MEASURES:
        assert mine[measure]["value"] == cells(audited[0], "finetune")[measure]["value"]


def test_the_protocol_states_how_models_were_looked_into(call, audited, filled, tmp_path):
    looked = audited[0]["protocol"]["probe"]
    assert looked["relearn"]["arguments"]["epochs"] == 12
    assert looked["relearn"]["arguments"]["learning_rate"] == pytest.approx(0.01)
    shutil.copytree(filled[0], tmp_path / "bank")
    path = next(tmp_path.glob("bank/probes/*/*.npz"))
    with np.load(path) as stored:
        changed = dict(stored)
    changed["made_of"] = np.array(str(changed["made_of"]).replace("0.01", "0.02"))
    np.savez(path, **changed)
    done = call(audit.main, "--oracles", tmp_path / "bank", "--out", tmp_path / "out")
    assert done.code == 2
    assert "models were probed in 2 ways: expected one recipe" in done.err


def test_originals_may_come_as_files(call, filled, audited, tmp_path):
    store = open_bank(filled[0])
    (request,) = store.requests()
    for record in store.records("original")[:3]:
        path = tmp_path / f"theirs-{record.ingredients['seed']}.npz"
        save_predictions(path, store.predictions(record, request))
    given = ("--original", tmp_path / "theirs-0.npz", tmp_path / "theirs-2.npz")
    done = call(audit.main, "--oracles", filled[0], *given, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert found["models"]["original"] == 2
    assert [file["seed"] for file in found["files"]["original"]] == [0, 2]
    assert found["models"]["oracle"] == audited[0]["models"]["oracle"]
    missing = call(audit.main, "--oracles", filled[0], "--original", tmp_path / "none.npz")
    assert missing.code == 2
    assert "no such file" in missing.err


def test_halves_tell_how_much_was_memorized(filled, audited):
    found, out = audited
    store = open_bank(filled[0])
    (request,) = store.requests()
    forget = store.predictions(store.records("oracle")[0], request).forget.id
    right, member = [], []
    for record in store.records("subset"):
        train, _ = store.outputs(record)
        right.append(train.logits.argmax(axis=1) == train.label)
        member.append(np.isin(np.arange(200), subset_rows(record.ingredients["seed"], 200)))
    scores = memorization_scores(np.array(right), np.array(member))
    part = np.isin(store.train.id, forget)
    recorded = found["memorization"]
    assert recorded["models"] == HALVES
    for name, rows in (("forget", part), ("retain", ~part)):
        assert recorded[name]["value"] == pytest.approx(np.nanmean(scores[rows]))
        assert recorded[name]["examples"] == np.isfinite(scores[rows]).sum()
    sentence = next(line for line in found["summary"] if "random halves" in line)
    assert f"{recorded['forget']['value']:.3f}" in sentence
    assert "random halves" in (out / "report.html").read_text()


def test_too_few_halves_and_other_halves_are_not_taken(filled, monkeypatch):
    store = open_bank(filled[0])
    folders = [store.path / "models" / record.address for record in store.records("subset")]
    few = read_memorization(folders[:7], np.arange(3))
    assert (few.models, few.forget) == (7, None)
    monkeypatch.setattr(
        "jax_unlearn.bank.subset_models.subset_rows", lambda seed, n: np.arange(n // 2)
    )
    with pytest.raises(InputError, match="not trained on"):
        read_memorization(folders, np.arange(3))


def test_a_half_is_what_its_model_was_trained_on(filled):
    store = open_bank(filled[0])
    for record in store.records("subset"):
        rows = subset_rows(record.ingredients["seed"], 200)
        assert len(rows) == 100
        assert ids_digest(np.delete(store.train.id, rows)) == record.ingredients["removed"]


def test_more_probes_than_models_are_refused(call, tmp_path):
    done = call(bank.main, *FLAGS, "--probes", COUNT + 1, "--out", tmp_path / "bank")
    assert done.code == 2
    assert f"probes={COUNT + 1}: expected a whole number >= 0 and <= {COUNT}" in done.err
