"""What an audit makes of class-wise and sample-wise requests, of over-forgetting and of terms."""

import dataclasses

import numpy as np
import pytest

from jax_unlearn.audit import AuditProtocol, accuracy, klom
from jax_unlearn.audit.comparison.compare import compare
from jax_unlearn.audit.comparison.models import Run, gather_models
from jax_unlearn.audit.measures.accuracy import select
from jax_unlearn.audit.measures.banks import BankConfidences, BankPair
from jax_unlearn.audit.measures.catalogue import CATALOGUE
from jax_unlearn.audit.measures.klom import KLOM_FORGET
from jax_unlearn.audit.measures.measure import ALONE, PAIR, Evidence
from jax_unlearn.audit.records.writing import to_record
from jax_unlearn.core import InputError, Predictions


@pytest.fixture(scope="module")
def audit(simulate):
    def build(leads, *, class_wise=False, oracles=6, n=3, **more):
        def runs(count, lead, first):
            return [
                Run(simulate(first + s, lead=lead, class_wise=class_wise), s) for s in range(count)
            ]

        retrained = -3.0 if class_wise else 4.0
        methods = {name: runs(n, lead, 300 * i) for i, (name, lead) in enumerate(leads.items(), 1)}
        originals = runs(n, 8.0, 5000)
        return compare(gather_models(runs(oracles, retrained, 100), methods, originals), **more)

    return build


def rows_of(comparison):
    return {row.group.name: row for row in comparison.rows}


@pytest.mark.parametrize("class_wise", [False, True])
def test_retraining_passes_and_the_original_fails(audit, class_wise):
    found = audit({"perfect": -3.0 if class_wise else 4.0}, class_wise=class_wise)
    rows = rows_of(found)
    assert rows["perfect"].verdict.outcome == "passes"
    assert rows["original"].verdict.outcome == "fails"
    # The retain accuracy does not depend on whether the forget set was seen.
    assert "RA" in found.uninformative
    assert not {"FA", "gap", "ToW", "KL_forget"} & set(found.uninformative)


@pytest.mark.parametrize("class_wise", [False, True])
def test_outputs_resemble_the_originals_or_the_oracles(audit, class_wise):
    lead = -3.0 if class_wise else 4.0
    rows = rows_of(audit({"perfect": lead, "nothing": 8.0}, class_wise=class_wise))
    found = {name: row.results["relative_similarity"] for name, row in rows.items()}
    assert max(found["oracle"].value, found["perfect"].value) < -2.0
    assert min(found["original"].value, found["nothing"].value) > 2.0
    assert found["perfect"].verdict == found["oracle"].verdict == "inside"
    assert found["nothing"].verdict == found["original"].verdict == "outside"
    # As published 0 is good; the originals are at 0, and oracles of a class far from it.
    jsd = {name: row.results["RF_JSD"].value for name, row in rows.items()}
    assert (jsd["original"] < 0.1 < 0.4 < jsd["oracle"]) == class_wise


def test_the_protocol_chooses_the_variant_of_klom_and_the_record_states_it(audit):
    found = audit({"mine": 4.0}, oracles=2, n=1, protocol=AuditProtocol(klom_variant="released"))
    record = to_record(found, {"hash": "h", "text": "random:0.2", "ids_hash": "i"})
    assert record["protocol"]["klom_variant"] == "released"
    with pytest.raises(InputError, match="klom_variant='easydub'"):
        audit({"mine": 4.0}, oracles=2, n=1, protocol=AuditProtocol(klom_variant="easydub"))
    rng = np.random.default_rng(0)
    pair = [BankConfidences(*[rng.normal(size=(9, 5))] * 3, *[np.ones(9)] * 2) for _ in range(2)]
    for variant in ("definition", "released"):
        expected = klom(pair[0].forget, pair[1].forget, variant=variant)
        value = KLOM_FORGET.function(BankPair(*pair, AuditProtocol(klom_variant=variant)))
        assert value == np.percentile(expected, 95)


def test_a_method_that_over_forgets_fails_as_well(audit):
    rows = rows_of(audit({"amnesiac": 0.0}))
    assert rows["amnesiac"].results["FA"].value < rows["oracle"].results["FA"].value
    assert rows["amnesiac"].verdict.outcome == "fails"


def test_an_oracle_is_at_no_distance_from_itself(simulate):
    predictions = simulate(0, lead=4.0)
    known = Evidence(predictions)
    taken = [m for m in CATALOGUE if not (m.probe or m.needs_originals) and m.fits(predictions)]
    alone = [m for m in taken if m.kind == ALONE]
    known = dataclasses.replace(known, measured={m.name: m.function(known) for m in alone})
    ideal = {"ToW": 1.0, "ToW_MIA": 1.0, "completeness_forget": 1.0}
    for m in taken:
        if m.kind == PAIR:
            assert m.function(known, known) == pytest.approx(ideal.get(m.name, 0.0), abs=1e-12)


def test_only_a_class_wise_request_has_test_accuracy_on_forgotten_classes(audit):
    assert "FA_test" not in [m.name for m in audit({"mine": 4.0}).measures]
    found = audit({"mine": -3.0}, class_wise=True)
    results = rows_of(found)["original"].results
    for run, seen, rest in zip(
        found.models.original.kept, results["FA_test"].values, results["TA"].values, strict=True
    ):
        test, forgotten = run.predictions.test, run.predictions.test_forgotten
        assert seen == accuracy(select(test, forgotten))
        assert rest == accuracy(select(test, ~forgotten))


def test_the_gap_takes_the_terms_of_the_protocol_and_the_record_states_them(audit):
    protocol = AuditProtocol(terms=("FA",), attack_terms=("FA", "MIA_svc_nonmember"))
    found = audit({"mine": 4.0}, oracles=2, n=1, protocol=protocol)
    row, oracle = rows_of(found)["mine"], found.reference[0].predictions
    assert found.models.methods["mine"].kept[0].seed == found.reference[0].seed
    fa = abs(row.results["FA"].value - accuracy(oracle.forget))
    assert row.results["gap"].value == pytest.approx(fa)
    assert row.results["ToW"].value == pytest.approx(1.0 - fa / 100.0)
    stated = to_record(found, dict.fromkeys(("hash", "text", "ids_hash"), "x"))["protocol"]
    assert (stated["terms"], stated["attack_terms"]) == (["FA"], ["FA", "MIA_svc_nonmember"])


def test_terms_that_are_not_there_are_refused(audit):
    with pytest.raises(InputError, match="terms='FA_test'"):
        audit({"mine": 4.0}, protocol=AuditProtocol(terms=("FA", "FA_test")))
    with pytest.raises(InputError, match="nonmembers='everything'"):
        audit({"mine": 4.0}, protocol=AuditProtocol(nonmembers="everything"))


def test_the_order_of_examples_changes_no_measure(audit, simulate):
    def shuffled(predictions):
        rng, parts, order = np.random.default_rng(1), [], None
        for outputs in predictions[:3]:
            order = rng.permutation(len(outputs.label))
            parts.append(type(outputs)(*(column[order] for column in outputs)))
        return Predictions(*parts, predictions.test_forgotten[order])

    oracles = [Run(simulate(100 + s, lead=4.0), s) for s in range(4)]
    mine = [Run(simulate(300 + s, lead=6.0), s) for s in range(2)]
    other = [dataclasses.replace(run, predictions=shuffled(run.predictions)) for run in mine]
    found = rows_of(compare(gather_models(oracles, {"mine": mine, "other": other})))
    for name, result in found["mine"].results.items():
        assert found["other"].results[name].values == result.values


def test_what_runs_report_is_counted(simulate):
    oracles = [Run(simulate(100 + s, lead=4.0), s) for s in range(2)]
    mine = [Run(simulate(300 + s, lead=4.0), s, status="finished") for s in range(3)]
    mine[1] = dataclasses.replace(mine[1], status="stopped")
    found = compare(gather_models(oracles, {"mine": mine}))
    record = to_record(found, dict.fromkeys(("hash", "text", "ids_hash"), "x"))
    assert record["models"]["methods"]["mine"]["statuses"] == {"finished": 2, "stopped": 1}
