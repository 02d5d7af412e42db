"""The audit command on models of digits: banks, runs, files from elsewhere, checks of records."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.audit import command as audit
from jax_unlearn.audit import overshoot, save_predictions, worst_over_course
from jax_unlearn.bank import open_bank
from jax_unlearn.core import Predictions
from jax_unlearn.report.tables import to_markdown

# The models of its bank train for long beside the time that their few programs take to compile.
pytestmark = pytest.mark.runs_long

COUNT = 6


@pytest.fixture(scope="module")
def digits(fill_bank):
    """A bank of small networks on digits: originals, oracles, fine-tuned models; two requests."""
    return fill_bank(
        *("--count", COUNT, "--data.train-size", 300, "--network.width", 8),
        *("--training.epochs", 8, "--requests", "class:3", "random:0.2"),
    )


def export(path, kind, text):
    """Predictions of a bank's models by seed, and the hash of their request."""
    store = open_bank(path)
    request = next(h for h, t in store.requests().items() if t == text)
    of = None if kind == "original" else request
    records = store.records(kind, of)
    return {r.ingredients["seed"]: store.predictions(r, request) for r in records}, request


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    """The fine-tuned models of class:3 as files made elsewhere."""
    folder = tmp_path_factory.mktemp("files")
    for seed, predictions in export(digits, "unlearned", "class:3")[0].items():
        save_predictions(folder / f"theirs-{seed}.npz", predictions)
    return folder


def write_run(path, bank):
    """A run that took three models of a kind, and six oracles, of a bank's class:3."""
    store, path = open_bank(bank), Path(path)
    request = next(h for h, text in store.requests().items() if text == "class:3")

    def addresses(kind, n, of=request):
        return [r.address for r in store.records(kind, of) if r.ingredients["seed"] < n]

    chosen = {
        "text": "class:3",
        "hash": request,
        "original": addresses("original", 3, None),
        "oracle": addresses("oracle", 6),
        "methods": {"finetune": addresses("unlearned", 3)},
    }
    path.mkdir()
    (path / "models.json").write_text(json.dumps({"bank": str(bank), "requests": [chosen]}))
    return path


@pytest.fixture(scope="module")
def run_folder(digits, tmp_path_factory):
    """Models of the bank as a run with three seeds and six oracles."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", digits)


@pytest.fixture(scope="module")
def audited(call, digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("audited")
    done = call(audit.main, "--oracles", digits, "--out", out)
    assert done.code == 0, done.err
    return out, done


def record(folder):
    return json.loads((folder / "audit.json").read_text())


def cells(found, name):
    return next(r for r in found["rows"] if r["name"] == name)["results"]


@pytest.mark.parametrize("request_", ["class-3", "random-0.2"])
def test_oracles_on_digits_pass_their_own_audit_and_the_original_fails(audited, request_):
    found = record(audited[0] / request_)
    verdicts = {row["name"]: row["verdict"] for row in found["rows"]}
    assert found["level"] == "standard"
    assert verdicts["oracle"]["outcome"] == "passes"
    assert verdicts["original"]["outcome"] == "fails"


def test_an_audit_writes_text_json_csv_markdown_and_a_report(audited):
    out, done = audited
    names = {path.name for path in (out / "class-3").iterdir()}
    assert {"audit.json", "audit.csv", "report.html", "report.md"} <= names
    assert "audit.md" not in names
    assert "| fine-tune |" in (out / "class-3" / "report.md").read_text()
    rows = list(csv.DictReader(io.StringIO((out / "class-3" / "audit.csv").read_text())))
    found = record(out / "class-3")
    said = " ".join(done.out.split())
    assert all(row["verdict"]["reason"] in said for row in found["rows"])
    fa = next(r for r in rows if (r["row"], r["measure"]) == ("finetune", "FA"))
    assert float(fa["value"]) == cells(found, "finetune")["FA"]["value"]
    assert len(rows) == len(found["rows"]) * len(found["measures"])


def test_a_record_names_request_method_and_predictions(audited, digits):
    found = record(audited[0] / "class-3")
    assert found["request"]["hash"] == export(digits, "oracle", "class:3")[1]
    method = found["models"]["methods"]["finetune"]
    assert method["arguments"]["epochs"] == 1
    assert method["seeds"] == list(range(COUNT))
    assert [len(file["sha256"]) for file in method["files"]] == [64] * COUNT
    assert {"command", "versions", "hardware"} <= set(found["provenance"])


def test_an_audit_agrees_with_its_own_predictions(call, audited):
    done = call(audit.main, "--check", audited[0] / "class-3" / "audit.json")
    assert done.code == 0
    assert "agrees" in done.out


def test_a_changed_number_is_found(call, audited, tmp_path):
    folder = audited[0] / "changed"
    shutil.copytree(audited[0] / "class-3", folder)
    found = record(folder)
    cells(found, "finetune")["FA"]["value"] -= 1.0
    found["summary"][0] = "All is well."
    (folder / "audit.json").write_text(json.dumps(found))
    done = call(audit.main, "--check", folder / "audit.json")
    assert done.code == 1
    assert "differs: rows[2].results.FA.value" in done.out
    assert "differs: summary[0]: recorded 'All is well.'" in done.out
    shutil.rmtree(folder)


def test_files_from_elsewhere_give_the_numbers_that_the_bank_gives(
    call, audited, digits, files, tmp_path
):
    done = call(
        audit.main,
        f"theirs={files}",
        "--oracles",
        digits,
        "--requests",
        "class:3",
        "--out",
        tmp_path,
    )
    assert done.code == 0, done.err
    found = record(tmp_path)
    assert [row["name"] for row in found["rows"]] == ["original", "oracle", "theirs"]
    mine = cells(record(audited[0] / "class-3"), "finetune")
    for name, cell in cells(found, "theirs").items():
        assert cell["value"] == mine[name]["value"]


def test_files_are_audited_one_by_one_or_joined_by_commas(call, digits, files, tmp_path):
    paths = [files / f"theirs-{seed}.npz" for seed in range(3)]
    joined = f"both={paths[0]},{paths[1]}"
    done = call(audit.main, joined, paths[2], "--oracles", digits, "--out", tmp_path)
    assert done.code == 0, done.err
    methods = record(tmp_path)["models"]["methods"]
    assert {name: method["seeds"] for name, method in methods.items()} == {
        "both": [0, 1],
        "theirs": [2],
    }


def test_a_run_is_audited_with_its_own_oracles(call, run_folder, tmp_path):
    done = call(audit.main, run_folder, "--out", tmp_path)
    assert done.code == 0, done.err
    found = record(tmp_path)
    assert (found["models"]["oracle"], found["models"]["original"]) == (6, 3)
    assert found["models"]["methods"]["finetune"]["arguments"]["epochs"] == 1


def test_a_run_is_audited_with_the_oracles_of_a_bank(call, run_folder, digits, tmp_path):
    done = call(audit.main, run_folder, "--oracles", digits, "--out", tmp_path)
    assert done.code == 0, done.err
    found = record(tmp_path)
    assert found["request"]["text"] == "class:3"
    assert found["models"]["methods"]["finetune"]["n"] == 3


def test_a_record_is_checked_where_it_was_moved_to(call, digits, files, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(files, here / "theirs")
    shutil.copytree(digits, here / "bank")
    out = here / "out"
    call(audit.main, here / "theirs", "--oracles", here / "bank", "--out", out)
    shutil.move(here, there)
    assert call(audit.main, "--check", there / "out" / "audit.json").code == 0
    changed = there / "theirs" / "theirs-0.npz"
    shutil.copy(there / "theirs" / "theirs-1.npz", changed)
    done = call(audit.main, "--check", there / "out" / "audit.json")
    assert done.code == 1
    assert "theirs-0.npz: not the predictions that were audited (sha256)" in done.out
    changed.unlink()
    done = call(audit.main, "--check", there / "out" / "audit.json")
    assert done.code == 2
    assert f"1 of {3 * COUNT} files of predictions not found" in done.err


def test_a_broken_file_is_flagged_and_others_go_on(call, digits, files, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(files, mine)
    broken = export(digits, "unlearned", "class:3")[0][0]
    broken = Predictions(broken.forget._replace(logits=broken.forget.logits * np.nan), *broken[1:])
    save_predictions(mine / "theirs-0.npz", broken)
    out = tmp_path / "out"
    done = call(audit.main, f"some={mine}", f"all={files}", "--oracles", digits, "--out", out)
    assert done.code == 0, done.err
    found = record(out)
    assert [row["flags"] for row in found["rows"]][2:] == [[f"1 of {COUNT} collapsed"], []]
    assert cells(found, "some")["FA"]["n"] == COUNT - 1
    assert cells(found, "all")["FA"]["n"] == COUNT


def test_a_row_of_nothing_but_nan_is_refused_in_one_line(call, digits, files, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    broken = export(digits, "unlearned", "class:3")[0][0]
    broken = Predictions(broken.forget._replace(logits=broken.forget.logits * np.nan), *broken[1:])
    save_predictions(mine / "mine-0.npz", broken)
    done = call(audit.main, mine, "--oracles", digits, "--out", tmp_path / "out")
    assert done.code == 2
    assert done.err.startswith("error: mine: the logits of ")
    assert "hold NaN or infinity: expected at least one model with finite logits" in done.err
    assert done.err.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))


def test_the_way_of_a_watched_run_is_measured(call, fill_bank, tmp_path):
    bank = fill_bank(
        *("--count", 3, "--data.train-size", 200, "--network.width", 4, "--training.epochs", 4),
        *("--requests", "class:3", "--watch"),
    )
    path = write_run(tmp_path / "run", bank)
    assert call(audit.main, path, "--out", tmp_path / "out").code == 0
    found = record(tmp_path / "out")
    oracle = found["courses"]["oracle"]
    way = found["courses"]["methods"]["finetune"]
    courses = np.array(found["curves"]["forget_accuracy"]["finetune"])
    assert courses.shape == (3, 2)
    assert way["worst"]["value"] == pytest.approx(
        np.mean([worst_over_course(course, oracle) for course in courses])
    )
    past = [overshoot(course, oracle) for course in courses]
    assert way["overshoot"]["value"] == pytest.approx(np.mean(past))
    assert way["worst"]["n"] == 3
    assert call(audit.main, "--check", tmp_path / "out" / "audit.json").code == 0


def test_a_strong_audit_of_few_models_falls_back_and_says_so(call, run_folder, tmp_path):
    done = call(audit.main, run_folder, "--level", "strong", "--out", tmp_path)
    assert done.code == 0
    assert "the standard audit was done instead" in " ".join(done.out.split())
    assert record(tmp_path)["level"] == "standard"


def test_a_bank_of_another_request_is_refused(refused, run_folder, digits, tmp_path):
    given = ("--oracles", digits, "--requests", "random:0.2", "--out", tmp_path)
    assert "a bank or run of another request" in refused(audit.main, run_folder, *given)


def test_files_of_another_request_are_refused(refused, digits, files, tmp_path):
    given = ("--oracles", digits, "--requests", "random:0.2", "--out", tmp_path)
    assert "predict them for the oracles' request" in refused(audit.main, f"theirs={files}", *given)


def test_files_of_no_request_are_refused(refused, digits, tmp_path):
    mine = export(digits, "unlearned", "class:3")[0][0]
    mine = mine._replace(forget=mine.forget._replace(id=mine.forget.id + 10_000))
    save_predictions(tmp_path / "mine.npz", mine)
    message = refused(audit.main, tmp_path / "mine.npz", "--oracles", digits, "--out", tmp_path)
    assert "its forget ids are those of no request that has oracles" in message


def test_results_replace_those_of_an_audit_and_nothing_else(
    call, refused, run_folder, digits, tmp_path, monkeypatch
):
    def write(sources, level, protocol, folder, *others):
        (folder / "audit.json").write_text("{}")
        (folder / "report.html").write_text("an audit's")

    monkeypatch.setattr(audit, "audit_one", write)
    before = sorted((path, path.stat().st_mtime_ns) for path in run_folder.rglob("*"))
    message = refused(audit.main, run_folder, "--out", run_folder)
    assert "which is not of an audit; name another folder or pass --overwrite" in message
    assert sorted((path, path.stat().st_mtime_ns) for path in run_folder.rglob("*")) == before
    (tmp_path / "report.html").write_text("mine")
    given = (run_folder, "--oracles", digits, "--level", "quick", "--out", tmp_path)
    assert "the folder holds 'report.html'" in refused(audit.main, *given)
    assert (tmp_path / "report.html").read_text() == "mine"
    assert call(audit.main, *given, "--overwrite").code == 0
    assert (tmp_path / "report.html").read_text() == "an audit's"
    assert call(audit.main, *given).code == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["none.npz", "--oracles", "BANK"], "targets='none.npz': no such file"),
        (["BANK", "--oracles", "none"], "oracles='none': no such file"),
        (["--oracles", "BANK", "--original", "no.npz"], "original='no.npz': no such file"),
        (["RUN", "--oracles", "BANK", "--requests", "class:9"], "requests='class:9': expected"),
        (["RUN", "RUN", "--oracles", "BANK"], "targets='RUN': "),
        (["RUN", "--level", "weak"], "level='weak': "),
        (["RUN", "--protocol.svc-max-examples", "0"], "protocol.svc-max-examples=0: expected"),
    ],
)
def test_an_error_names_the_flag_that_was_typed(
    refused, run_folder, digits, tmp_path, flags, message
):
    def there(text):
        return text.replace("BANK", str(digits)).replace("RUN", str(run_folder))

    out = tmp_path / "out"
    assert refused(audit.main, *map(there, flags), "--out", out).startswith(
        f"error: {there(message)}"
    )
    assert not out.exists()


def test_an_unknown_request_is_refused(refused, digits, tmp_path):
    message = refused(audit.main, "--oracles", digits, "--requests", "class:4", "--out", tmp_path)
    assert "requests='class:4': expected one of class:3, random:0.2" in message


def test_a_place_without_predictions_is_refused(refused, digits, tmp_path):
    missing = tmp_path / "nowhere"
    assert "no such file, bank, run or folder" in refused(audit.main, missing, "--oracles", digits)
    assert "no such file, bank, run or folder" in refused(audit.main, "--oracles", missing)


def test_nothing_to_audit_is_refused(refused, files):
    assert "oracles='': expected a bank" in refused(audit.main)
    said = refused(audit.main, f"theirs={files}")
    assert said.startswith(f"error: targets='theirs={files}': no oracle there")
    assert "no unlearned model" in refused(audit.main, "--oracles", files)
    said = refused(audit.main, files.parent / "nothing")
    assert f"targets='{files.parent / 'nothing'}': no such folder or file; expected a run" in said


def test_a_name_that_comes_twice_is_refused(refused, digits, files):
    given = (f"theirs={files}", files / "theirs-0.npz", "--oracles", digits)
    assert "theirs is there already; give it another name" in refused(audit.main, *given)


def test_two_sets_of_oracles_of_one_request_are_refused(refused, digits, run_folder):
    assert "name those to compare with by --oracles" in refused(audit.main, digits, run_folder)


def test_what_is_no_record_is_refused(refused, tmp_path):
    missing = refused(audit.main, "--check", tmp_path / "none.json")
    assert f"check='{tmp_path / 'none.json'}': no such file: expected the audit.json" in missing
    folder = refused(audit.main, "--check", tmp_path)
    assert f"check='{tmp_path}': is a folder: expected the audit.json of an audit" in folder
    (tmp_path / "other.json").write_text("{}")
    message = refused(audit.main, "--check", tmp_path / "other.json")
    assert "expected a file audit.json that experiments.audit wrote" in message
    (tmp_path / "newer.json").write_text('{"format": 99}')
    assert "format=99: expected 2" in refused(audit.main, "--check", tmp_path / "newer.json")


def test_names_cannot_break_a_markdown_table(audited):
    found = record(audited[0] / "class-3")
    found["rows"][2]["name"] = "<b>|x|"
    text = to_markdown(found)
    assert "<b>" not in text
    assert "\\<b\\>\\|x\\|" in text
