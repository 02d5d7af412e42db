"""The command that fills a bank: what it makes, and what it refuses."""

import sys

import numpy as np
import pytest

from experiments import bank as command
from jax_unlearn.engine.bank import open_bank

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
    call(monkeypatch, *FLAGS, "--count", "2", "--halves", "2", "--out", path)
    assert "bank: " in capsys.readouterr().out
    bank = open_bank(path)
    kinds = [record.ingredients["kind"] for record in bank.records()]
    assert sorted(set(kinds)) == ["half", "oracle", "original", "unlearned"]
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
    halves = [record.ingredients["removed"] for record in bank.records("half")]
    assert len(set(halves)) == 2

    before = {r.address for r in bank.records()}
    call(monkeypatch, *FLAGS, "--count", "3", "--out", path)
    after = {r.address for r in open_bank(path).records()}
    assert before < after
    assert len(after) == len(before) + 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--count", "0"), "count=0: expected a whole number >= 1"),
        (("--halves", "-1"), "halves=-1: expected a whole number >= 0"),
        (("--mesh", "model=3"), "mesh='model=3': model=3 times data=1 is 3, and there are 4"),
        (("--mesh", "rows=4"), "mesh='rows=4': expected axes model and data"),
        (("--coordinator", "a:1"), "coordinator, num_processes: processes that fill a bank share"),
        (("--resident", "host"), "resident='host': a bank trains on data that fits"),
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
    assert "bank=" in capsys.readouterr().err
