"""Requests beyond classes and random draws, through the commands: their models and measures."""

import json
import shutil

import numpy as np
import pytest

from experiments.ablate import command as ablate_command
from experiments.audit import command as audit_command
from experiments.bank import command as bank_command
from experiments.run import command as run_command
from experiments.search import command as search_command
from jax_unlearn.audit.records.runs import run_sources
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.audit.records.stores import read_item
from jax_unlearn.bank import open_bank
from jax_unlearn.bank.changed import banks_in
from jax_unlearn.data import memorization, memorization_strata

# Its models, one of each kind, train for longer than their few programs take to compile.
pytestmark = pytest.mark.runs_long

CHANGED = ("confused:3,5,0.5", "backdoor:0,0.1", "duplicated:0.1")
SCORED = ("memorization:high,0.1", "worst:0.1", "entangled:high,0.1")
FLAGS = (
    *("--data.train-size", 200, "--data.test-size", 60, "--data.padding", 0, "--data.no-flip"),
    *("--network.width", 8, "--training.epochs", 5, "--training.batch-size", 20),
    *("--methods", "finetune", "--seeds", 0, "--hyperparameters", ""),
    *("--set", "finetune.batch_size=20", "finetune.epochs=1"),
)


@pytest.fixture(scope="module")
def path(call, tmp_path_factory):
    """A bank of one model of each kind for all these requests, and one for a class."""
    path = tmp_path_factory.mktemp("kinds") / "bank"
    flags = ("--requests", "class:3", *CHANGED, *SCORED, "--subsets", 8, "--count", 1)
    done = call(bank_command.main, *FLAGS, *flags, "--out", path)
    assert done.code == 0, done.err
    return path


@pytest.fixture(scope="module")
def found(path):
    """What an audit finds there, by the request's text."""
    return {sources.text: sources for sources in gather_sources([], str(path), [], [])}


def test_an_audit_finds_every_request_of_a_bank(found):
    assert set(found) == {"class:3", *CHANGED, *SCORED}
    for sources in found.values():
        assert len(sources.original) == len(sources.oracle) == len(sources.methods["finetune"]) == 1


def test_models_of_changed_data_never_mix_with_others(path, found):
    banks = [open_bank(place) for place in banks_in(path)]
    assert len(banks) == 1 + len(CHANGED)
    assert len({bank.data.fingerprint for bank in banks}) == len(banks)
    originals = [found[text].original[0].path for text in ("class:3", *CHANGED)]
    assert len(set(originals)) == len(originals)
    assert {found[text].original[0].path for text in SCORED} == {originals[0]}
    for bank in banks:
        for record in bank.records():
            assert record.ingredients["data"] == bank.data.fingerprint
            assert bank.address(record.ingredients) == record.address


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("confused:3,5,0.5", "confusion"),
        ("backdoor:0,0.1", "attack_success"),
        ("duplicated:0.1", "twin_accuracy"),
        ("entangled:high,0.1", "adjacent_accuracy"),
    ],
)
def test_a_request_brings_the_outputs_of_its_own_measure(found, text, measure):
    sources = found[text]
    predictions = read_item(sources.original[0], sources.hash)
    assert set(predictions.focus) == {measure}
    assert len(predictions.test.label) == len(predictions.test_forgotten) == 60
    if measure in ("twin_accuracy", "adjacent_accuracy"):
        assert set(predictions.focus[measure].id) <= set(predictions.retain.id)
    plain = read_item(found["class:3"].original[0], found["class:3"].hash)
    assert not plain.focus


def rate(sources, items, measure):
    outputs = read_item(items[0], sources.hash).focus[measure]
    return float(np.mean(outputs.logits.argmax(axis=1) == outputs.label))


def test_a_backdoor_is_open_in_the_original_and_shut_in_the_oracle(found):
    sources = found["backdoor:0,0.1"]
    before, after = (
        rate(sources, part, "attack_success") for part in (sources.original, sources.oracle)
    )
    assert before > after + 0.3


def test_two_classes_are_confused_by_the_original_and_not_by_the_oracle(found):
    sources = found["confused:3,5,0.5"]
    before, after = (
        rate(sources, part, "confusion") for part in (sources.original, sources.oracle)
    )
    assert before > after


def test_strata_and_worst_cases_are_those_of_the_banks_models_of_halves(path, found):
    bank = open_bank(path)
    records = bank.records("subset")
    outputs = [bank.outputs(record)[0] for record in records]
    correct = np.stack([one.logits.argmax(axis=1) == one.label for one in outputs])
    seen = np.zeros_like(correct)
    for row, record in enumerate(records):
        order = np.random.default_rng(record.ingredients["seed"]).permutation(200)
        seen[row, order[:100]] = True
    expected = memorization_strata(memorization(correct, seen), 20)["high"]
    forget = read_item(
        found["memorization:high,0.1"].oracle[0], found["memorization:high,0.1"].hash
    )
    assert set(forget.forget.id) == set(bank.train.id[expected])
    worst = read_item(found["worst:0.1"].oracle[0], found["worst:0.1"].hash).forget
    # No model that has not seen them errs on them much.
    rows = np.isin(bank.train.id, worst.id)
    unseen_right = (correct & ~seen).sum(axis=0) / np.maximum((~seen).sum(axis=0), 1)
    assert unseen_right[rows].mean() > unseen_right[~rows].mean()


@pytest.mark.parametrize("main", [run_command.main, search_command.main, ablate_command.main])
@pytest.mark.parametrize(
    "text", ["memorization:low,0.1", "class:3-then-worst:0.1", "random:0.1,group=1/2"]
)
def test_strata_without_a_bank_are_refused_and_nothing_is_written(refused, tmp_path, main, text):
    out = tmp_path / "out"
    more = ("--method", "finetune", "--over", "learning_rate=0.1")
    flags = [*FLAGS, "--requests", text, "--out", out]
    said = refused(main, *flags, *(more if main is ablate_command.main else ()))
    assert f"requests={text!r}: chooses by models of random halves" in said
    assert not out.exists()


def test_a_bank_with_too_few_halves_is_refused_as_is_one_of_another_recipe(refused, path, tmp_path):
    out = tmp_path / "out"
    flags = [*FLAGS, "--requests", "memorization:low,0.1", "--out", out]
    said = refused(run_command.main, *flags, "--bank", path, "--training.epochs", 6)
    assert "holds 0 models of random halves of the data, trained by this recipe" in said
    said = refused(bank_command.main, *flags, "--subsets", 7)
    assert "no bank holds any: expected one as --out" in said
    assert not out.exists()


def test_a_run_audits_changed_data_and_shows_its_measure(call, path, tmp_path):
    bank = shutil.copytree(path, tmp_path / "bank")
    out = tmp_path / "run"
    flags = ("--requests", "backdoor:0,0.1", "--bank", bank, "--out", out, "--oracles", 2)
    done = call(run_command.main, *FLAGS, *flags)
    assert done.code == 0, done.err
    record = json.loads((out / "backdoor-0-0.1" / "audit.json").read_text())
    for row in record["rows"]:
        assert "attack_success" in row["results"]
    (sources,) = run_sources(out)
    assert sources.original[0].path.parents[2].parent.name == "changed"
    audited = call(
        audit_command.main, bank, "--requests", "backdoor:0,0.1", "--out", tmp_path / "audit"
    )
    assert audited.code == 0, audited.err


def test_a_run_by_other_models_of_halves_is_another_run(call, refused, path, tmp_path):
    bank = shutil.copytree(path, tmp_path / "bank")
    out = tmp_path / "run"
    flags = (*FLAGS, "--requests", "memorization:mid,0.1", "--bank", bank, "--out", out)
    flags += ("--oracles", 1)
    assert call(run_command.main, *flags).code == 0
    kept = json.loads((out / "config.json").read_text())["settings"]["halves"]
    assert kept == list(range(8))
    more = ("--requests", "class:3", "--subsets", 9, "--count", 1, "--out", bank)
    assert call(bank_command.main, *FLAGS, *more).code == 0
    assert "with other settings: halves" in refused(run_command.main, *flags)
