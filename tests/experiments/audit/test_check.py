"""Checks of audits, their predictions moved or the record forged, and orders of models."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.audit import command as audit
from experiments.bank import command as bank
from jax_unlearn.audit import save_predictions
from jax_unlearn.audit.records import sources
from jax_unlearn.audit.records.stores import Item, Sources, files_in
from jax_unlearn.bank import open_bank
from jax_unlearn.report.figures.roc import roc_figure

# The models of its bank train for long beside the time that their few programs take to compile.
pytestmark = pytest.mark.runs_long

COUNT = 5


@pytest.fixture(scope="module")
def digits(fill_bank):
    """A bank of very small networks on digits, of one request."""
    return fill_bank(
        *("--count", COUNT, "--data.train-size", 200, "--network.width", 4),
        *("--training.epochs", 6, "--requests", "random:0.2"),
    )


@pytest.fixture(scope="module")
def audited(call, digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("audited") / "out"
    done = call(audit.main, "--oracles", digits, "--out", out)
    assert done.code == 0, done.err
    return json.loads((out / "audit.json").read_text()), out


def models(path, kind):
    """Predictions of a bank's models by seed."""
    store = open_bank(path)
    (request,) = store.requests()
    return {r.ingredients["seed"]: store.predictions(r, request) for r in store.records(kind)}


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    """All models as files whose names have the opposite order of their seeds."""
    folder = tmp_path_factory.mktemp("files")
    for kind in ("original", "oracle", "unlearned"):
        for seed, predictions in models(digits, kind).items():
            save_predictions(folder / kind / f"{'zyxwv'[seed]}-{seed}.npz", predictions)
    return folder


@pytest.fixture
def run_folder(digits, tmp_path, monkeypatch):
    """A run of the request's text whose forget set lacks two of the bank's ids and has two more."""
    path = tmp_path / "run"
    found = models(digits, "unlearned")[0]
    forget, retain = found.forget, found.retain
    swapped = found._replace(
        forget=type(forget)(
            *(np.concatenate([a[2:], b[:2]]) for a, b in zip(forget, retain, strict=True))
        ),
        retain=type(forget)(
            *(np.concatenate([a[:2], b[2:]]) for a, b in zip(forget, retain, strict=True))
        ),
    )
    save_predictions(path / "finetune-0.npz", swapped)
    run = Sources("", "random:0.2", methods={"finetune": [Item(path / "finetune-0.npz", 0)]})
    others = sources.stores_in

    def stores_in(place, **more):
        return [run] if Path(place) == path else others(place, **more)

    monkeypatch.setattr(sources, "stores_in", stores_in)
    return path


def written(record, folder):
    (folder / "audit.json").write_text(json.dumps(record))
    return folder / "audit.json"


def test_a_bank_and_its_models_as_files_give_the_same_record(
    call, audited, digits, files, tmp_path
):
    done = call(
        audit.main,
        f"finetune={files / 'unlearned'}",
        *("--oracles", files / "oracle", "--original", files / "original"),
        *("--requests", "random:0.2", "--out", tmp_path),
    )
    assert done.code == 0, done.err
    mine, theirs = json.loads((tmp_path / "audit.json").read_text()), copy.deepcopy(audited[0])
    for record in (mine, theirs):
        for key in ("files", "provenance"):
            del record[key]
        # What files do not know, and where more is to be had.
        del record["request"]["hash"]
        for absent in record["not_measured"]:
            assert absent.pop("add")
        for key in ("files", "arguments", "seconds", "statuses"):
            del record["models"]["methods"]["finetune"][key]
        for row in record["rows"]:
            del row["seconds"], row["share"]
        for key in ("seconds", "share"):
            record["bands"].pop(key, None)
            record["curves"].pop(key, None)
    assert mine == theirs


def test_files_come_in_the_order_of_their_seeds_or_else_of_the_numbers_in_their_names(tmp_path):
    for name in ("a-0", "a-1", "b-10", "a-9", "model10", "model2"):
        (tmp_path / f"{name}.npz").touch()
    assert [item.path.stem for item in files_in(str(tmp_path))] == [
        *("a-0", "a-1", "a-9", "b-10"),
        *("model2", "model10"),
    ]


def test_a_request_of_files_has_the_name_given_or_is_said_to_have_none(call, files, tmp_path):
    given = (f"finetune={files / 'unlearned'}", "--oracles", files / "oracle", "--out", tmp_path)
    assert call(audit.main, *given).code == 0
    record = json.loads((tmp_path / "audit.json").read_text())
    assert "(a request without a name)" in record["summary"][0]
    assert call(audit.main, *given, "--requests", "hard ones").code == 0
    record = json.loads((tmp_path / "audit.json").read_text())
    assert record["request"]["text"] == "hard ones"
    done = call(audit.main, "--check", tmp_path / "audit.json")
    assert done.code == 0
    assert "not checked: provenance, settings, audit.csv and the report; the request's hash" in (
        done.out
    )
    assert f"of {2 * COUNT} models that lie in no bank or run" in done.out


def test_predictions_that_lie_elsewhere_are_found_by_their_sha256(
    call, refused, audited, digits, tmp_path
):
    alone = written(audited[0], tmp_path)
    message = refused(audit.main, "--check", alone)
    assert f"{3 * COUNT} of {3 * COUNT} files of predictions not found under" in message
    assert "say where they are with --oracles" in message
    moved = tmp_path / "moved" / "bank"
    shutil.copytree(digits, moved)
    for given in (("--oracles", moved), (tmp_path / "moved",)):
        done = call(audit.main, *given, "--check", alone)
        assert done.code == 0, done.err
        assert "agrees" in done.out
    assert "no such file or folder" in refused(audit.main, tmp_path / "none", "--check", alone)


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (lambda r: r["measures"][0].update(title="Great"), "measures[0].title"),
        (lambda r: r["measures"][0].update(oracle_value=7.0), "measures[0].oracle_value"),
        (lambda r: r["not_measured"].pop(), "not_measured"),
        (lambda r: r["request"].update(hash="0" * 64), "request.hash"),
        (lambda r: r["request"].update(text="class:4"), "request.text"),
        (
            lambda r: r["models"]["methods"]["finetune"]["arguments"].update(epochs=100),
            "models.methods.finetune.arguments.epochs",
        ),
        (
            lambda r: r["models"]["methods"]["finetune"]["files"][0].update(seconds=0.001),
            "models.methods.finetune.files[0].seconds",
        ),
    ],
)
def test_what_was_forged_differs(call, audited, forge, told):
    record, out = copy.deepcopy(audited[0]), audited[1].parent / "forged"
    forge(record)
    out.mkdir(exist_ok=True)
    done = call(audit.main, "--check", written(record, out))
    assert done.code == 1
    assert f"differs: {told}" in done.out
    assert "not checked: provenance, settings, audit.csv and the report\n" in done.out


def test_flags_without_effect_are_refused_beside_check(refused, audited):
    given = ("--check", audited[1] / "audit.json", "--level", "quick")
    assert "level='quick': has no effect beside --check" in refused(audit.main, *given)


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_place_that_holds_no_results_is_refused_before_anything_is_computed(
    refused, digits, tmp_path, monkeypatch, below
):
    monkeypatch.delattr(audit, "audit_one")
    (tmp_path / "file").touch()
    message = refused(audit.main, "--oracles", digits, "--out", tmp_path / "file" / below)
    assert "expected a folder that can be written to; name another with --out" in message


def test_requests_of_one_text_and_other_ids_are_told_by_how_many_agree(refused, digits, run_folder):
    message = refused(audit.main, run_folder, "--oracles", digits)
    size = len(models(digits, "oracle")[0].forget.id)
    assert (
        f"random:0.2 is {size} examples there and {size} in the oracles', {size - 2} of" in message
    )
    assert "experiments.bank --requests ids:ids.npy" in message


def test_models_of_a_bank_are_audited_against_a_bank_that_names_the_same_ids(
    call, digits, tmp_path
):
    found = models(digits, "unlearned")[0]
    np.save(tmp_path / "ids.npy", found.forget.id)
    done = call(
        bank.main,
        *("--count", 3, "--out", tmp_path / "bank", "--data.train-size", 200),
        *("--data.test-size", 100, "--data.padding", 0, "--data.no-flip", "--network.width", 4),
        *("--training.epochs", 6, "--training.batch-size", 50),
        *("--requests", f"ids:{tmp_path / 'ids.npy'}", "--methods", "finetune"),
        *("--set", "finetune.batch_size=50", "finetune.epochs=1"),
    )
    assert done.code == 0, done.err
    done = call(audit.main, digits, "--oracles", tmp_path / "bank", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert len(record["models"]["methods"]["finetune"]["files"]) == COUNT
    assert call(audit.main, "--check", tmp_path / "out" / "audit.json").code == 0


def test_a_run_of_a_version_without_banks_is_refused_for_that(refused, tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    assert "the folder of a run of an earlier version, which kept no bank" in refused(
        audit.main, tmp_path
    )


def test_a_bad_limit_is_named_as_its_flag(refused, digits):
    message = refused(audit.main, "--oracles", digits, "--protocol.svc-max-examples", 0)
    assert "protocol.svc-max-examples=0" in message


def test_the_help_says_what_a_file_of_predictions_holds(call):
    done = call(audit.main, "--help")
    for name in ("forget_logits", "test_forgotten", "relearn_losses", "NAME-SEED.npz"):
        assert name in done.out


def test_a_drawn_roc_says_that_both_sides_of_the_diagonal_tell():
    texts = " ".join(t.get_text() for t in roc_figure({"a": ([0.1, 1.0], [0.2, 1.0])}).texts)
    assert "above or below, it tells" in " ".join(texts.split())
