"""The record of an audit is plain JSON whose sentences follow from its numbers."""

import json

import numpy as np
import pytest

from jax_unlearn.audit.comparison.compare import compare
from jax_unlearn.audit.comparison.models import Run, gather_models
from jax_unlearn.audit.records.writing import to_record

REQUEST = {"hash": "ab", "text": "random:0.2", "ids_hash": "cd"}


@pytest.fixture(scope="module")
def record(simulate):
    def runs(n, lead, first):
        return [Run(simulate(first + s, lead=lead, train=100, test=60), s, 1.0) for s in range(n)]

    models = gather_models(runs(34, 4.0, 100), {"mine": runs(18, 6.0, 200)}, runs(18, 8.0, 300))
    return to_record(compare(models), REQUEST)


def test_a_record_survives_json(record):
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_record_says_which_request_it_is_of(record):
    request = record["request"]
    assert {key: request[key] for key in REQUEST} == REQUEST
    assert request["forget"] + request["retain"] == 100
    assert (request["test"], request["class_wise"]) == (60, False)


def test_every_measure_of_a_record_has_a_cell_in_every_row(record):
    names = [m["name"] for m in record["measures"]]
    assert [row["name"] for row in record["rows"]] == ["original", "oracle", "mine"]
    for row in record["rows"]:
        assert list(row["results"]) == names


def test_verdicts_count_the_results(record):
    for row in record["rows"]:
        verdicts = [cell["verdict"] for cell in row["results"].values()]
        assert row["verdict"]["outside"] == verdicts.count("outside")
        assert row["verdict"]["judged"] == verdicts.count("inside") + verdicts.count("outside")


def test_the_summary_says_what_the_verdicts_are(record):
    verdict = record["rows"][0]["verdict"]
    assert (
        "The original, which forgot nothing, fails: 18 models against 17 oracles: "
        f"{verdict['outside']} of {verdict['judged']} informative measures outside, at most "
        f"{verdict['chance']} by chance."
    ) in record["summary"]
    assert any(
        line.startswith("The row of held-out oracles passes: ") for line in record["summary"]
    )


def test_roc_curves_rise_from_zero_to_one(record):
    for attacks in record["curves"]["roc"].values():
        for curve in attacks.values():
            assert len(curve["fpr"]) == len(curve["tpr"])
            assert np.all(np.diff(curve["tpr"]) >= 0)
            assert (curve["fpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0.0, 1.0, 1.0)


def test_the_curve_of_an_attack_has_the_area_that_the_row_reports(record):
    row = record["rows"][0]
    curve = record["curves"]["roc"]["original"]["ulira"]
    area = np.trapezoid(curve["tpr"], curve["fpr"])
    assert area == pytest.approx(row["results"]["ulira_auc"]["value"], abs=0.03)


def test_there_is_an_epsilon_for_every_forget_example(record):
    for values in record["curves"]["epsilon"].values():
        assert len(values) == record["request"]["forget"]
    median = np.median(record["curves"]["epsilon"]["mine"])
    assert median == pytest.approx(
        record["rows"][2]["results"]["epsilon_median"]["value"], rel=1e-5
    )


def test_single_examples_are_shown_under_all_models(record):
    examples = record["curves"]["confidence"]["examples"]
    assert len({example["id"] for example in examples}) == len(examples) == 12
    for example in examples:
        assert len(example["oracle"]) == 34
        assert len(example["original"]) == len(example["methods"]["mine"]) == 18


def test_times_are_those_of_the_runs(record):
    assert record["curves"]["seconds"] == {"oracle": [1.0] * 34, "mine": [1.0] * 18}
