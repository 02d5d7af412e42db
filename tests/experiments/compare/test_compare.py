"""Runs side by side on one page: every row once, examples that differ, images where data is."""

import json
import re

import numpy as np
import pytest

from experiments.audit import command as audit
from experiments.compare import command as compare
from experiments.compare.page import compare_page
from experiments.compare.reading import alike, read_audits
from experiments.shared.config import Experiment
from experiments.shared.config_json import to_json
from jax_unlearn import data
from jax_unlearn.audit import save_predictions
from jax_unlearn.core import Outputs, Predictions

COUNTS = {"original": 2, "oracle": 4, "natmu": 2}
DIGITS = data.load("digits")


def outputs(rows, lead, rng):
    label = DIGITS.train.label[rows]
    logits = rng.normal(size=(len(rows), 10)).astype(np.float32)
    logits[np.arange(len(rows)), label] += lead
    return Outputs(logits, label, DIGITS.train.id[rows])


def write_predictions(folder, leads, seed):
    """Models that lead for the true class of forget images by a number; all for the others."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name, lead in leads.items():
        for seed in range(COUNTS.get(name, 2)):
            forget = outputs(np.arange(20), lead, rng)
            rest = (outputs(rows, 6.0, rng) for rows in (np.arange(20, 80), np.arange(80, 110)))
            predictions = Predictions(forget, *rest, np.zeros(30, bool))
            save_predictions(folder / f"{name}-{seed}.npz", predictions)


def write_run(call, folder, leads, seed):
    """A run's folder as far as a comparison reads it: its audit, predictions and settings."""
    write_predictions(folder / "predictions", {"original": 9.0, "oracle": 1.0, **leads}, seed)
    request = ("--requests", "random:0.1", "--level", "quick")
    done = call(audit.main, folder / "predictions", *request, "--out", folder / "random-0.1")
    assert done.code == 0, done.err
    experiment = to_json(Experiment(requests=("random:0.1",)))
    settings = {"experiment": experiment, "requests": {}, "data_fingerprint": DIGITS.fingerprint}
    (folder / "config.json").write_text(json.dumps({"settings": settings}))
    return folder


@pytest.fixture(scope="module")
def runs(call, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    one = write_run(call, folder / "one", {"natmu": 1.0, "salun": 4.0}, 0)
    return one, write_run(call, folder / "two", {"natmu": 9.0}, 1)


@pytest.fixture(scope="module")
def compared(call, runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "compare.html"
    done = call(compare.main, *runs, "--out", out, "--examples", 5)
    assert done.code == 0, done.err
    return done.out, out.read_text()


def heads_and_rows(text):
    """Tables as texts: first cells of their rows, after their heads."""
    tables = re.findall(r"<table.*?</table>", text, re.DOTALL)
    names = r'<th scope="(?:col|row)".*?>(.*?)</th>'
    return [[re.sub("<.*?>", "", name) for name in re.findall(names, one)] for one in tables]


def test_every_row_stands_once_and_says_whose_it_is(compared):
    said, text = compared
    assert "wrote " in said
    table, _ = heads_and_rows(text)
    rows = table[table.index("run") + 1 :]
    assert rows == [
        *("NatMU (one)", "SalUn", "original (one)", "oracle (one)"),
        *("NatMU (two)", "original (two)", "oracle (two)"),
    ]
    assert "one: " in text
    assert "sha256-" in text


def test_one_name_for_other_examples_stands_with_its_run(runs, tmp_path):
    one, two = runs
    other = tmp_path / "three" / "random-0.1"
    other.mkdir(parents=True)
    record = json.loads((two / "random-0.1" / "audit.json").read_text())
    record["request"]["ids_hash"] = "0" * 64
    (other / "audit.json").write_text(json.dumps(record))
    groups = alike([*read_audits(one), *read_audits(other.parent)])
    text, _ = compare_page(groups, 0, None)
    heads = re.findall("<h2>(.*?)</h2>", text)
    assert heads == ["random 10\u00a0% of one", "random 10\u00a0% of random-0.1"]


def test_examples_stand_with_a_column_for_each_row_and_their_images(compared):
    _, text = compared
    _, examples = heads_and_rows(text)
    heads = ["example", "original (one)", "oracle (one)", "NatMU (one)", "SalUn", "NatMU (two)"]
    assert examples[:6] == heads
    assert len(examples) == 6 + 5
    assert text.count('<img class="example" src="data:image/png;base64,') == 5
    # What differs most comes first.
    values = [
        [float(value) for value in re.findall(r'data-order="([\d.e-]+)"', row)[1:]]
        for row in re.findall(r"<tr>.*?</tr>", text, re.DOTALL)
        if "<img" in row
    ]
    spreads = [max(row) - min(row) for row in values]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] > 0.5


def test_without_the_runs_data_or_predictions_a_line_says_so(call, runs, tmp_path):
    one, _ = runs
    out = tmp_path / "c.html"
    # An audit alone does not say which data it is of.
    bare = tmp_path / "bare"
    bare.mkdir()
    text = (one / "random-0.1" / "audit.json").read_text()
    there = text.replace("../predictions", str(one / "predictions"))
    (bare / "audit.json").write_text(there)
    done = call(compare.main, bare, "--out", out)
    assert "images are not shown: no run's config.json says which data it is" in done.out
    assert "<img" not in out.read_text()
    (bare / "audit.json").write_text(text)
    done = call(compare.main, bare, "--out", out)
    assert done.code == 0
    assert "examples are not shown: their predictions are not where the audit found" in done.out
    assert "<p>Examples are not shown: their" in out.read_text()
    done = call(compare.main, bare, "--out", out, "--examples", 0)
    assert done.out.count("\n") == 1


def test_a_published_run_lacks_its_bank_and_says_so(call, runs, tmp_path):
    folder, out = tmp_path / "published", tmp_path / "c.html"
    (folder / "random-0.1").mkdir(parents=True)
    for name in ("config.json", "random-0.1/audit.json"):
        text = (runs[0] / name).read_text().replace("../predictions", "../bank")
        (folder / name).write_text(text)
    done = call(compare.main, folder, "--out", out)
    assert "the bank of published is not in its folder, as of published results" in done.out


def test_references_that_two_runs_share_stand_once(call, runs, tmp_path):
    mine, out = tmp_path / "mine", tmp_path / "c.html"
    mine.mkdir()
    text = (runs[0] / "random-0.1" / "audit.json").read_text()
    (mine / "audit.json").write_text(text.replace('"salun"', '"amun"'))
    assert call(compare.main, runs[0], mine, "--out", out, "--examples", 0).code == 0
    (table,) = heads_and_rows(out.read_text())
    rows = table[table.index("run") + 1 :]
    assert [row for row in rows if row in ("original", "oracle")] == ["original", "oracle"]
    assert not [row for row in rows if "original (" in row or "oracle (" in row]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "runs=(): expected the folders of one run or more"),
        (["none"], "runs='none': no audit.json there: expected the folder of a finished run"),
        (["RUN", "RUN"], "given twice; name each run once"),
        (["RUN", "--out", "x.md"], "out='x.md': expected the name of a file that ends in .html"),
        (["RUN", "--examples", -1], "examples=-1: expected a whole number >= 0"),
    ],
)
def test_wrong_input_is_refused(refused, runs, tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    given = [runs[0] if flag == "RUN" else flag for flag in flags]
    assert message in refused(compare.main, *given)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_audit_is_refused(refused, tmp_path):
    (tmp_path / "audit.json").write_text("{")
    assert "audit.json is damaged: expected what" in refused(compare.main, tmp_path)
    (tmp_path / "audit.json").write_text('{"format": 1}')
    assert "audit: format 1: expected 2" in refused(compare.main, tmp_path)
