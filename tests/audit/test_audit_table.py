import math

import numpy as np
import pytest

from jax_unlearn.audit import AuditProtocol, audit_request
from jax_unlearn.audit.comparison import table as measures
from jax_unlearn.audit.comparison.table import REFERENCES
from jax_unlearn.audit.measures.accuracy import select
from jax_unlearn.core import InputError

SEEDS = range(3)


@pytest.fixture
def request_of(simulate):
    """Arguments of an audit; retraining leads by 4 on forget images, the original by 8."""

    def build(leads=None, class_wise=False, seeds=SEEDS):
        def runs(offset, lead):
            return [simulate(offset + s, lead=lead, class_wise=class_wise) for s in seeds]

        retrained = -3.0 if class_wise else 4.0
        return {
            "original": runs(0, 8.0),
            "oracle": runs(100, retrained),
            "second_oracle": runs(200, retrained),
            "methods": {
                name: runs(1000 * i, lead)
                for i, (name, lead) in enumerate((leads or {}).items(), start=1)
            },
        }

    return build


def rows_of(table):
    return {row.name: row for row in table.rows}


def test_the_first_rows_are_original_oracle_and_second_oracle(request_of):
    table = audit_request(**request_of({"natmu": 4.0, "finetune": 7.0}))
    assert [row.name for row in table.rows] == [*REFERENCES, "natmu", "finetune"]
    assert table.seeds == 3
    assert all(cell.n == 3 for row in table.rows for cell in row.cells.values())


def test_the_oracle_is_at_no_distance_from_itself(request_of):
    oracle = rows_of(audit_request(**request_of()))["oracle"]
    for measure in ("gap", "gap_MIA", "KL_forget", "KL_test", "JS_forget", "AD_forget"):
        assert oracle.cells[measure][:3] == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    assert oracle.cells["ToW"].mean == 1.0
    assert oracle.inside_null_band is None


@pytest.mark.parametrize("class_wise", [False, True])
def test_retraining_passes_and_the_original_fails(request_of, class_wise):
    retrained = -3.0 if class_wise else 4.0
    table = audit_request(**request_of({"perfect": retrained}, class_wise=class_wise))
    rows = rows_of(table)
    assert rows["perfect"].inside_null_band is True
    assert rows["original"].inside_null_band is False
    # The retain accuracy does not depend on whether the forget set was seen.
    assert "RA" in table.uninformative
    assert not {"FA", "gap", "ToW", "KL_forget"} & set(table.uninformative)


def test_a_method_that_over_forgets_is_outside_the_band_as_well(request_of):
    rows = rows_of(audit_request(**request_of({"amnesiac": 0.0})))
    assert rows["amnesiac"].cells["FA"].mean < rows["oracle"].cells["FA"].mean
    assert rows["amnesiac"].inside_null_band is False


def test_the_null_band_is_the_second_oracles_row_made_wider_by_chance(request_of):
    table = audit_request(**request_of())
    second = rows_of(table)["second oracle"].cells["gap"]
    band = table.bands["gap"]
    assert band.high - second.mean == pytest.approx(math.sqrt(2) * (second.high - second.mean))
    signed = np.subtract(
        rows_of(table)["second oracle"].values["FA"], rows_of(table)["oracle"].values["FA"]
    )
    assert (band.low + band.high) / 2 == pytest.approx(second.mean)
    assert sum(table.bands["FA"]) / 2 == pytest.approx(signed.mean())


def test_gaps_are_taken_within_a_seed_and_then_averaged(request_of):
    arguments = request_of({"natmu": 4.0})
    table = audit_request(**arguments)
    rows = rows_of(table)
    natmu, oracle = rows["natmu"].values, rows["oracle"].values
    gaps = [
        np.mean([abs(natmu[term][s] - oracle[term][s]) for term in ("RA", "FA", "TA")])
        for s in SEEDS
    ]
    assert natmu["gap"] == pytest.approx(gaps)
    assert rows["natmu"].cells["gap"].mean == pytest.approx(np.mean(gaps))


def test_a_method_is_paired_with_the_oracle_of_its_seed(request_of):
    arguments = request_of()
    arguments["methods"] = {"paired": arguments["oracle"], "turned": arguments["oracle"][::-1]}
    rows = rows_of(audit_request(**arguments))
    assert rows["paired"].values["KL_forget"] == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    kl = rows["turned"].values["KL_forget"]
    assert kl[1] == pytest.approx(0.0, abs=1e-12)
    assert min(kl[0], kl[2]) > 0.1


def test_the_gap_states_and_takes_other_terms(request_of):
    protocol = AuditProtocol(terms=("FA",), attack_terms=("FA", "MIA_svc_nonmember"))
    table = audit_request(**request_of({"natmu": 4.0}), protocol=protocol)
    natmu, oracle = rows_of(table)["natmu"].values, rows_of(table)["oracle"].values
    forget = np.abs(np.subtract(natmu["FA"], oracle["FA"]))
    attack = np.abs(np.subtract(natmu["MIA_svc_nonmember"], oracle["MIA_svc_nonmember"]))
    assert natmu["gap"] == pytest.approx(forget)
    assert natmu["ToW"] == pytest.approx(1 - forget / 100)
    assert natmu["gap_MIA"] == pytest.approx((forget + attack) / 2)
    assert table.protocol == protocol


def test_only_a_class_wise_request_has_test_accuracy_on_forgotten_classes(request_of):
    assert "FA_test" not in audit_request(**request_of()).measures
    table = audit_request(**request_of(class_wise=True))
    assert "FA_test" in table.measures
    rows = rows_of(table)
    assert rows["original"].cells["FA_test"].mean > 80
    assert rows["oracle"].cells["FA_test"].mean < 10
    # The remaining classes are known as well as before: forgetting leaves TA alone.
    assert rows["oracle"].cells["TA"].mean == pytest.approx(
        rows["original"].cells["TA"].mean, abs=5
    )


def test_run_times_are_shown_as_a_share_of_retraining(request_of):
    seconds = {"oracle": [100.0, 200.0, 100.0], "natmu": [10.0, 20.0, 30.0]}
    rows = rows_of(audit_request(**request_of({"natmu": 4.0, "mumis": 4.0}), seconds=seconds))
    assert rows["natmu"].values["share"] == pytest.approx((10.0, 10.0, 30.0))
    assert rows["natmu"].cells["seconds"].mean == 20.0
    assert rows["oracle"].cells["share"].mean == 100.0
    assert math.isnan(rows["mumis"].cells["seconds"].mean)
    without = rows_of(audit_request(**request_of({"natmu": 4.0}), seconds={"natmu": [1, 1, 1]}))
    assert math.isnan(without["natmu"].cells["share"].mean)


def test_a_collapsed_seed_is_counted_and_left_out(request_of, map_logits):
    arguments = request_of({"natmu": 4.0, "mumis": 4.0})
    good = rows_of(audit_request(**arguments))["mumis"]
    runs = arguments["methods"]["mumis"]
    arguments["methods"]["mumis"] = [runs[0], map_logits(runs[1], lambda x: x * np.nan), runs[2]]
    row = rows_of(audit_request(**arguments))["mumis"]
    assert row.flags == ("1 of 3 collapsed",)
    assert row.collapsed == (False, True, False)
    assert row.n == row.cells["FA"].n == 2
    assert row.cells["FA"].mean == pytest.approx(np.mean(good.values["FA"][::2]))
    assert np.isnan(row.values["FA"][1])
    assert row.inside_null_band is False


def test_a_finite_model_at_chance_is_collapsed_although_its_values_are_kept(request_of, map_logits):
    arguments = request_of({"ascent": 4.0})
    arguments["methods"]["ascent"] = [
        map_logits(run, lambda x: x[:, ::-1].copy()) for run in arguments["methods"]["ascent"]
    ]
    row = rows_of(audit_request(**arguments))["ascent"]
    assert row.flags == ("3 of 3 collapsed",)
    assert row.n == 0
    assert math.isnan(row.cells["RA"].mean)
    assert all(value < 20 for value in row.values["RA"])


def test_a_run_that_changed_nothing_is_flagged(request_of):
    arguments = request_of({"salun": 4.0})
    arguments["methods"]["salun"][2] = arguments["original"][2]
    rows = rows_of(audit_request(**arguments))
    assert rows["salun"].flags == ("1 of 3 no-op",)
    assert rows["original"].flags == ()
    assert rows["salun"].n == 3


def test_what_the_runs_report_is_counted_among_the_flags(request_of):
    statuses = {"mumis": ["step limit", "", "step limit"]}
    rows = rows_of(audit_request(**request_of({"mumis": 4.0}), statuses=statuses))
    assert rows["mumis"].flags == ("2 of 3 step limit",)


def test_one_seed_gives_numbers_without_intervals_and_without_a_verdict(request_of):
    table = audit_request(**request_of({"natmu": 4.0}, seeds=[0]))
    natmu = rows_of(table)["natmu"]
    assert natmu.cells["FA"].n == 1
    assert math.isnan(natmu.cells["FA"].low)
    assert natmu.inside_null_band is None
    assert table.uninformative == ()


def test_the_order_of_examples_changes_no_measure_but_the_svcs_draw(request_of):
    arguments = request_of({"natmu": 4.0}, seeds=[0])

    def shuffle(predictions):
        rng = np.random.default_rng(0)
        orders = [rng.permutation(len(outputs.label)) for outputs in predictions[:3]]
        sets = [
            select(outputs, order) for outputs, order in zip(predictions[:3], orders, strict=True)
        ]
        return type(predictions)(*sets, predictions.test_forgotten[orders[2]])

    shuffled = {
        name: [shuffle(run) for run in arguments[name]]
        for name in ("original", "oracle", "second_oracle")
    }
    shuffled["methods"] = {"natmu": [shuffle(run) for run in arguments["methods"]["natmu"]]}
    before, after = (rows_of(audit_request(**a))["natmu"].values for a in (arguments, shuffled))
    for measure in set(measures.MEASURES) & set(before) - {"seconds", "share", "MIA_svc_nonmember"}:
        assert after[measure] == pytest.approx(before[measure], rel=1e-9), measure


def test_different_numbers_of_seeds_are_refused(request_of):
    arguments = request_of({"natmu": 4.0})
    arguments["methods"]["natmu"].pop()
    with pytest.raises(InputError, match="natmu=2 seeds: expected 3, one per oracle"):
        audit_request(**arguments)
    with pytest.raises(InputError, match=r"oracle=\[\]: expected at least one seed"):
        audit_request([], [], [], {})


def test_a_single_model_in_place_of_seeds_is_refused(request_of):
    arguments = request_of()
    arguments["oracle"] = arguments["oracle"][0]
    with pytest.raises(InputError, match="oracle=Predictions: expected a list"):
        audit_request(**arguments)


def with_field(predictions, split, field, change):
    outputs = getattr(predictions, split)
    return predictions._replace(
        **{split: outputs._replace(**{field: change(getattr(outputs, field))})}
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda p: with_field(p, "forget", "id", lambda x: x + 10**6), "forget_id"),
        (lambda p: with_field(p, "retain", "id", lambda x: x[::-1]), "retain_id"),
        (lambda p: with_field(p, "test", "label", lambda x: 9 - x), "test_label"),
        (lambda p: p._replace(test_forgotten=p.test.label == 0), "test_forgotten"),
    ],
)
def test_predictions_on_other_examples_than_the_oracles_are_refused(request_of, change, what):
    arguments = request_of({"natmu": 4.0})
    arguments["methods"]["natmu"][1] = change(arguments["methods"]["natmu"][1])
    message = rf"natmu\[1\]: {what} differs from oracle\[1\]'s: expected the same examples"
    with pytest.raises(InputError, match=message) as error:
        audit_request(**arguments)
    assert "\n" not in str(error.value)


def test_another_number_of_classes_than_the_oracles_is_refused(request_of, map_logits):
    arguments = request_of({"natmu": 4.0})
    arguments["methods"]["natmu"][0] = map_logits(
        arguments["methods"]["natmu"][0], lambda x: np.pad(x, ((0, 0), (0, 1)))
    )
    with pytest.raises(InputError, match=r"natmu\[0\]: the number of classes in forget_logits"):
        audit_request(**arguments)


def test_an_oracle_that_is_not_finite_is_refused(request_of, map_logits):
    arguments = request_of()
    arguments["oracle"][2] = map_logits(arguments["oracle"][2], lambda x: x * np.nan)
    with pytest.raises(InputError, match=r"oracle\[2\]=logits with NaN or infinity"):
        audit_request(**arguments)


def test_class_wise_and_sample_wise_seeds_are_not_mixed(request_of):
    sample_wise, class_wise = request_of(), request_of(class_wise=True)
    for name in ("original", "oracle", "second_oracle"):
        sample_wise[name][1] = class_wise[name][1]
    with pytest.raises(InputError, match=r"oracle\[1\]: test_forgotten marks a class in some"):
        audit_request(**sample_wise)


def test_names_that_are_not_there_are_refused(request_of):
    arguments = request_of({"natmu": 4.0})
    with pytest.raises(InputError, match="seconds='natmy': did you mean natmu"):
        audit_request(**arguments, seconds={"natmy": [1.0, 1.0, 1.0]})
    with pytest.raises(InputError, match=r"statuses\['natmu'\]=\['']: expected 3 entries"):
        audit_request(**arguments, statuses={"natmu": [""]})
    with pytest.raises(InputError, match="terms='FA_test'"):
        audit_request(**arguments, protocol=AuditProtocol(terms=("FA", "FA_test")))
    with pytest.raises(InputError, match="nonmembers='everything'"):
        audit_request(**arguments, protocol=AuditProtocol(nonmembers="everything"))
    with pytest.raises(InputError, match=r"level=95: expected a probability"):
        audit_request(**arguments, level=95)
    arguments["methods"] = {"oracle": arguments["oracle"]}
    with pytest.raises(InputError, match="methods='oracle': one of the table's own rows"):
        audit_request(**arguments)
