"""The command that fills a bank: what it makes, and what it refuses."""

import sys

import numpy as np
import pytest

from experiments.bank import command
from jax_unlearn.bank import open_bank

FLAGS = (
    "--data.train-size=100",
    "--data.test-size=60",
    "--network.width=4",
    "--training.epochs=1",
    "--training.batch-size=50",
    "--requests",
    "class:3",
    "--methods",
    "finetune",
    "--set",
    "finetune.epochs=1",
    "finetune.batch_size=50",
)


def call(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["bank", *flags])
    command.main()


def test_a_bank_holds_originals_oracles_halves_and_unlearned_models(tmp_path, monkeypatch, capsys):
    path = str(tmp_path / "bank")
    call(monkeypatch, *FLAGS, "--count", "2", "--subsets", "2", "--out", path)
    assert "bank: " in capsys.readouterr().out
    bank = open_bank(path)
    kinds = [record.ingredients["kind"] for record in bank.records()]
    assert sorted(set(kinds)) == ["oracle", "original", "subset", "unlearned"]
    assert [kinds.count(kind) for kind in sorted(set(kinds))] == [2, 2, 2, 2]
    (request,) = bank.requests()
    for record in bank.records("unlearned", request):
        original = record.ingredients["original"]
        assert original in {r.address for r in bank.records("original")}
        predictions = bank.predictions(record, request)
        assert set(predictions.forget.label) == {3}
        assert len(predictions.forget.label) + len(predictions.retain.label) == 100
        assert not np.array_equal(
            predictions.forget.logits, bank.predictions(original, request).forget.logits
        )
    subsets = [record.ingredients["removed"] for record in bank.records("subset")]
    assert len(set(subsets)) == 2

    before = {r.address for r in bank.records()}
    call(monkeypatch, *FLAGS, "--count", "3", "--out", path)
    after = {r.address for r in open_bank(path).records()}
    assert before < after
    assert len(after) == len(before) + 3


def test_a_watched_bank_holds_the_same_models_and_their_forget_accuracy_per_epoch(
    tmp_path, monkeypatch, capsys
):
    banks = []
    for flags in ((), ("--watch",)):
        path = str(tmp_path / f"bank{len(banks)}")
        call(monkeypatch, *FLAGS, "--count", "1", *flags, "--out", path)
        banks.append(open_bank(path))
    (request,) = banks[0].requests()
    plain, watched = (bank.records("unlearned", request)[0] for bank in banks)
    assert plain.address == watched.address
    for one, other in zip(banks[0].outputs(plain), banks[1].outputs(watched), strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
    assert not any("forget_accuracy" in entry for entry in plain.outcome["history"])
    assert len(watched.outcome["history"]) == 2
    forget = banks[1].predictions(watched, request).forget
    right = 100.0 * np.mean(forget.logits.argmax(axis=1) == forget.label)
    assert watched.outcome["history"][-1]["forget_accuracy"] == pytest.approx(right)
    assert "without --watch" not in capsys.readouterr().out

    call(monkeypatch, *FLAGS, "--count", "1", "--watch", "--out", str(tmp_path / "bank0"))
    said = " ".join(capsys.readouterr().out.split())
    assert "class:3 finetune: 1 of 1 models were trained before without --watch" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--count", "0"), "count=0: expected a whole number >= 1"),
        (("--subsets", "-1"), "subsets=-1: expected a whole number >= 0"),
        (("--mesh", "model=3"), "mesh='model=3': model=3 times data=1 is 3, and there are 4"),
        (("--mesh", "rows=4"), "mesh='rows=4': expected axes model and data"),
        (("--process-id", "1"), "process_id=1: of several processes, but coordinator"),
        (("--coordinator", "a:1"), "coordinator='a:1': of several processes, but num_processes"),
        (("--probes", "2", "--no-keep-weights"), "probes=2: needs the weights of all models"),
        (("--requests", "class:77"), "77"),
    ],
)
def test_bad_flags_end_with_one_line_and_make_nothing(
    flags, message, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "bank"
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *FLAGS, "--out", str(path), *flags)
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert message in error
    assert not path.exists()


def test_a_bank_of_other_data_is_refused(tmp_path, monkeypatch, capsys):
    path = str(tmp_path / "bank")
    call(monkeypatch, *FLAGS, "--count", "1", "--out", path)
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *FLAGS, "--count", "1", "--out", path, "--data.train-size=110")
    assert stop.value.code == 2
    assert "error: out=" in capsys.readouterr().err
