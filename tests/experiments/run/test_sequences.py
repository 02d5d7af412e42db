"""Requests that come one after another, as commands are asked for them."""

import json
import re
import shutil

import numpy as np
import pytest

import jax_unlearn as ju
from experiments.ablate import command as ablate_command
from experiments.bank import command as bank_command
from experiments.run import command as run_command
from experiments.search import command as search_command
from jax_unlearn.audit.records.sources import gather_sources
from jax_unlearn.audit.records.stores import read_item
from jax_unlearn.bank import open_bank
from jax_unlearn.bank.plan import make_key
from jax_unlearn.data import load, subset
from jax_unlearn.display import display_name
from jax_unlearn.models import make_model

# Its models, one of each kind, train for longer than their few programs take to compile.
pytestmark = pytest.mark.runs_long

TEXT = "class:0-then-class:1"
RUM = "gradient_ascent-then-finetune"
FLAGS = (
    *("--data.train-size", 200, "--data.test-size", 60, "--data.padding", 0, "--data.no-flip"),
    *("--network.width", 8, "--training.epochs", 5, "--training.batch-size", 20),
    *("--requests", TEXT, "--methods", "finetune", "--seeds", 0),
    *("--set", "finetune.batch_size=20", "finetune.epochs=1"),
)


@pytest.fixture(scope="module")
def path(call, tmp_path_factory):
    """A filled bank; weights of the last step alone are left out: those before are gone on from."""
    path = tmp_path_factory.mktemp("sequence") / "bank"
    done = call(
        bank_command.main, *FLAGS, "--out", path, "--no-keep-weights", "--count", 1,
        "--methods", "finetune", RUM, "--set", "finetune.batch_size=20", "finetune.epochs=1",
        "gradient_ascent.batch_size=10", "gradient_ascent.epochs=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    return path


def records(path, method="finetune"):
    """The bank, the hashes of both steps and the unlearned model of each."""
    bank = open_bank(path)
    by_text = {text: hash_ for hash_, text in bank.requests().items()}
    steps = [
        next(r for r in bank.records("unlearned", by_text[text]) if is_of(r, method))
        for text in ("class:0", TEXT)
    ]
    return bank, by_text, steps


def is_of(record, method):
    return record.ingredients["method"]["name"] == method


def test_each_step_is_audited_against_its_own_oracles(path):
    found = {sources.text: sources for sources in gather_sources([], str(path), [], [])}
    assert list(found) == ["class:0", TEXT] or list(found) == [TEXT, "class:0"]
    for text, forgotten in (("class:0", {0}), (TEXT, {0, 1})):
        sources = found[text]
        assert len(sources.original) == len(sources.oracle) == len(sources.methods["finetune"]) == 1
        oracle = read_item(sources.oracle[0], sources.hash)
        assert set(oracle.forget.label) == forgotten
        assert set(oracle.test.label[oracle.test_forgotten]) == forgotten
    assert found["class:0"].oracle[0].path != found[TEXT].oracle[0].path
    assert found["class:0"].original[0].path == found[TEXT].original[0].path


@pytest.mark.parametrize(
    ("kind", "warning"),
    [
        (
            "oracle",
            f"'{TEXT}': no oracles there of what it fulfils on its way, so left out: class:0",
        ),
        ("unlearned", "no unlearned model there of what was asked for, so left out: class:0"),
    ],
)
def test_a_step_that_a_bank_lacks_is_left_out_of_its_audit_and_said(path, tmp_path, kind, warning):
    copy = shutil.copytree(path, tmp_path / "bank")
    bank, by_text, _ = records(copy)
    for record in bank.records(kind, by_text["class:0"]):
        shutil.rmtree(copy / "models" / record.address)
    with pytest.warns(UserWarning, match=re.escape(warning)):
        (sources,) = gather_sources([], str(copy), [], [TEXT])
    assert sources.text == TEXT


def test_the_second_step_goes_on_from_the_model_that_the_first_left(path):
    bank, _, (first, second) = records(path)
    (original,) = bank.records("original")
    assert first.ingredients["original"] == original.address
    assert second.ingredients["original"] == first.address
    assert bank.has_weights(first)
    assert not bank.has_weights(second)


def test_a_sequences_time_is_that_of_all_its_steps(path):
    bank, _, (first, second) = records(path)
    seconds = [record.outcome["run_seconds"] for record in (first, second)]
    assert bank.run_seconds(first) == seconds[0] > 0
    assert bank.run_seconds(second) == sum(seconds)
    sources = {one.text: one for one in gather_sources([], str(path), [], [])}
    assert sources[TEXT].methods["finetune"][0].seconds == sum(seconds)


def test_each_step_may_have_a_method_of_its_own(path):
    _, _, (first, second) = records(path, RUM)
    assert second.ingredients["original"] == first.address
    arguments = [record.ingredients["method"]["arguments"] for record in (first, second)]
    assert [given["batch_size"] for given in arguments] == [10, 20]
    assert "title" not in second.outcome
    before, sources = gather_sources([], str(path), [], [TEXT])
    assert (before.text, sources.text) == ("class:0", TEXT)
    for other in (sources.hash, sources.hash[:10], sources.slug):
        assert gather_sources([], str(path), [], [other]) == [before, sources]
    assert gather_sources([], str(path), [], ["class:0"]) == [before]
    assert set(sources.methods) == {"finetune", RUM}
    assert display_name(RUM) == "gradient ascent, then fine-tune"


@pytest.mark.parametrize("request_", ["class:0", "class:0-then-class:1-then-class:2"])
def test_methods_are_one_or_one_for_each_step(refused, tmp_path, request_):
    out = tmp_path / "out"
    flags = ("--requests", request_, "--methods", RUM, "--out", out)
    said = refused(run_command.main, *FLAGS, *flags)
    assert f"methods={RUM!r}: is 2 methods, and {request_!r} has" in said
    assert not out.exists()


def test_a_search_takes_methods_one_by_one(refused, tmp_path):
    flags = ("--methods", RUM, "--out", tmp_path / "out", "--search-seeds", 100, "--set")
    flags += ("finetune.batch_size=20", "gradient_ascent.batch_size=10")
    said = refused(search_command.main, *FLAGS, *flags)
    assert "a search takes one method at a time" in said


def test_a_run_of_two_requests_is_two_runs_by_hand(path):
    bank, _, (first, second) = records(path)
    dataset = subset(load("digits"), 200, 60)
    model = make_model("convnet", 10, (8, 8, 1), width=8)
    initial = model.init(make_key(0, "initial"))
    label = dataset.train.label
    forget, retain = (
        ju.Examples(*(column[rows] for column in dataset.train)) for rows in (label == 1, label > 1)
    )
    problem = ju.Problem(
        model=model,
        variables=bank.weights(first, initial),
        forget=forget,
        retain=retain,
        num_classes=10,
        initial=initial,
        augment=ju.crop_and_flip(0, flip=False),
    )
    key = make_key(0, "unlearn", "class-0-then-class-1", "finetune")
    alone = ju.run(ju.finetune(batch_size=20, epochs=1), problem, key, mesh=ju.make_mesh(1))
    outputs = ju.predict(
        model,
        alone.variables,
        forget=forget,
        retain=retain,
        test=dataset.test,
        test_forgotten=np.zeros(60, bool),
    )
    stored, _ = bank.outputs(second)
    rows = np.flatnonzero(label == 1)
    np.testing.assert_allclose(stored.logits[rows], outputs.forget.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("class:0-then-random:0.5", "sequence: step 2 (random) names"),
        ("class:0,1-then-class:1", "sequence: step 2 (class) names 20 of the images"),
        ("class:0-then-class:0-then-class:1", "sequence: step 2 (class)"),
        ("class:0,1,2,3,4-then-class:5,6,7,8,9", "sequence: its 2 steps forget all 200 training"),
    ],
)
@pytest.mark.parametrize("main", [run_command.main, search_command.main, ablate_command.main])
def test_steps_that_overlap_are_refused_and_nothing_is_written(
    refused, tmp_path, main, request_, message
):
    out = tmp_path / "out"
    more = ("--method", "finetune", "--over", "learning_rate=0.1", "--hyperparameters", "")
    flags = [*FLAGS, "--requests", request_, "--out", out]
    said = refused(main, *flags, *(more if main is ablate_command.main else ()))
    assert message in said
    assert not out.exists()


def test_a_search_goes_on_from_the_best_of_the_step_before(call, tmp_path):
    out = tmp_path / "search"
    done = call(
        *(search_command.main, *FLAGS, "--out", out, "--trials", 2, "--search-seeds", 100, "--set"),
        *("finetune.batch_size=20", "finetune.epochs=1"),
    )
    assert done.code == 0, done.err
    found = json.loads((out / "hyperparameters.json").read_text())["requests"]
    assert list(found) == ["class:0", TEXT]
    bank = open_bank(out / "bank")
    (left,) = bank.records("unlearned")
    rate = left.ingredients["method"]["arguments"]["learning_rate"]
    assert rate == found["class:0"]["finetune"]["arguments"]["learning_rate"]


def test_an_ablation_gives_every_setting_its_own_sequence(call, tmp_path):
    out = tmp_path / "ablate"
    flags = ("--method", "finetune", "--over", "learning_rate=0.1,0.01", "--hyperparameters", "")
    done = call(ablate_command.main, *FLAGS, *flags, "--out", out)
    assert done.code == 0, done.err
    bank = open_bank(out / "bank")
    by_text = {text: hash_ for hash_, text in bank.requests().items()}
    first, second = (
        {r.ingredients["method"]["arguments"]["learning_rate"]: r for r in some}
        for some in (bank.records("unlearned", by_text[text]) for text in ("class:0", TEXT))
    )
    assert set(first) == {0.1, 0.01}
    for rate, record in second.items():
        assert record.ingredients["original"] == first[rate].address
