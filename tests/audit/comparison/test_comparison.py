"""The audit tells the original from retraining, and retraining not from itself."""

import dataclasses
import math

import numpy as np
import pytest

from jax_unlearn.audit.comparison.bands import SPLITS
from jax_unlearn.audit.comparison.compare import compare
from jax_unlearn.audit.comparison.models import Run, gather_models
from jax_unlearn.audit.comparison.ranking import rank
from jax_unlearn.audit.measures.catalogue import BY_NAME, CATALOGUE
from jax_unlearn.audit.measures.measure import ALONE, BANKS, DATA, KINDS, PAIR
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.audit.records.summary import undecided
from jax_unlearn.audit.records.writing import to_record
from jax_unlearn.core import InputError, Outputs, Predictions

FORGET, RETAIN, TEST, CLASSES = 40, 120, 60, 4


def make(seed, lead, *, spread=0.5, test_label=None):
    """A model that knows forget images by ``lead``; what is hard is the same for all models."""
    data = np.random.default_rng(3)
    rng = np.random.default_rng([seed, 5])
    parts = []
    for split, n, first, by in (
        ("forget", FORGET, 0, lead),
        ("retain", RETAIN, FORGET, 4.0),
        ("test", TEST, 0, 2.0),
    ):
        label = data.integers(0, CLASSES, n).astype(np.int32)
        hard = data.normal(size=(n, CLASSES))
        if split == "test" and test_label is not None:
            label[:] = test_label
        logits = hard + spread * rng.normal(size=(n, CLASSES))
        logits[np.arange(n), label] += by
        ids = np.arange(first, first + n, dtype=np.int64)
        parts.append(Outputs(logits.astype(np.float32), label, ids))
    return Predictions(*parts, np.zeros(TEST, bool))


def runs(n, lead, first, **more):
    return [Run(make(first + s, lead, **more), s) for s in range(n)]


def audit(oracles=6, models=3, **more):
    methods = {"like": runs(models, 2.0, 2000), "half": runs(models, 3.0, 3000)}
    original = runs(models, 4.5, 4000)
    return compare(gather_models(runs(oracles, 2.0, 1000), methods, original), **more)


@pytest.fixture(scope="module")
def standard():
    return audit()


@pytest.fixture(scope="module")
def strong():
    # Of many models these take longest, and they say what KL_forget and the other attacks say.
    dear = ("MIA_loss", "JS_forget", "AD_forget")
    return audit(oracles=40, models=20, catalogue=[m for m in CATALOGUE if m.name not in dear])


@pytest.fixture(scope="module")
def uneven():
    """Audits of models of which one row is a bank and one is not, by level; with few measures."""
    methods = {"like": runs(18, 2.0, 2000), "few": runs(3, 2.3, 3000)}
    models = gather_models(runs(34, 2.0, 1000), methods, runs(16, 4.5, 4000))
    names = ("RA", "FA", "TA", "MIA_entropy_member", "gap", "KL_forget")
    few = [m for m in CATALOGUE if m.kind == BANKS or m.name in names]
    return {level: compare(models, level=level, catalogue=few) for level in ("strong", "standard")}


def row(comparison, name):
    return next(r for r in comparison.rows if r.group.name == name)


@pytest.mark.parametrize("level", ["standard", "strong"])
def test_oracles_pass_their_own_audit_and_the_original_fails(level, request):
    comparison = request.getfixturevalue(level)
    assert comparison.level == level
    assert row(comparison, "oracle").verdict.outcome == "passes"
    assert row(comparison, "like").verdict.outcome == "passes"
    assert row(comparison, "original").verdict.outcome == "fails"
    assert row(comparison, "half").verdict.outcome == "fails"


@pytest.mark.parametrize(
    "name",
    [
        *("FA", "MIA_svc_nonmember", "gap", "ToW", "KL_forget", "relative_similarity"),
        "RF_JSD_retain",
        *("forgetting_quality", "epsilon_median", "ulira_auc", "rmia_auc", "klom_forget_p95"),
    ],
)
def test_a_measure_of_forgetting_sees_the_original_and_no_oracle(strong, name):
    assert row(strong, "original").results[name].verdict == "outside"
    assert row(strong, "oracle").results[name].verdict == "inside"


def test_what_is_no_measure_of_forgetting_has_no_power(strong):
    assert {"RA", "TA", "KL_test", "klom_test_p95"} <= set(strong.uninformative)
    assert row(strong, "like").results["KL_test"].verdict == "uninformative"
    assert row(strong, "original").results["KL_test"].verdict == "uninformative"


def test_banks_are_compared_at_the_sizes_of_their_null_band(strong):
    for r in strong.rows:
        assert r.results["ulira_auc"].n == 20
    assert f"{SPLITS} splits of 40 oracles into 20 and 20" == strong.bands["ulira_auc"].how


def test_oracles_are_half_reference_and_half_held_out(strong):
    assert [run.seed for run in strong.reference] == list(range(0, 40, 2))
    assert row(strong, "oracle").results["FA"].seeds == tuple(range(1, 40, 2))


def test_a_row_has_a_t_interval_over_its_models(standard):
    cell = row(standard, "half").results["FA"]
    assert (cell.n, len(cell.values)) == (3, 3)
    assert cell.value == pytest.approx(np.mean(cell.values))
    half = 4.302653 * np.std(cell.values, ddof=1) / math.sqrt(3)
    assert cell.low == pytest.approx(cell.value - half, rel=1e-5)


def test_no_model_is_compared_with_the_oracle_of_its_seed():
    oracles = runs(6, 2.0, 1000)
    # Copies of the reference oracles: with themselves they would have no distance at all.
    copies = [dataclasses.replace(run) for run in oracles[::2]]
    comparison = compare(gather_models(oracles, {"copies": copies}))
    between = compare(gather_models(oracles, {"copies": [dataclasses.replace(copies[0], seed=99)]}))
    assert min(row(comparison, "copies").results["KL_forget"].values) > 0.05
    assert (
        row(between, "copies").results["KL_forget"].value
        < 0.7 * (row(comparison, "copies").results["KL_forget"].values[0])
    )


def test_an_audit_gives_the_same_numbers_twice(standard):
    again = audit()
    for one, other in zip(standard.rows, again.rows, strict=True):
        for name, cell in one.results.items():
            assert cell.value == other.results[name].value
            assert cell.band == other.results[name].band


def test_a_run_with_nan_changes_nothing_but_its_own_row(standard):
    broken = make(2000, 2.0)
    broken = broken._replace(forget=broken.forget._replace(logits=broken.forget.logits * np.nan))
    methods = {
        "like": [Run(broken, 7), *runs(3, 2.0, 2000)],
        "half": runs(3, 3.0, 3000),
        "lost": [Run(broken, 7)],
    }
    models = gather_models(runs(6, 2.0, 1000), methods, runs(3, 4.5, 4000))
    comparison = compare(models)
    for name in ("like", "half"):
        for measure, cell in row(standard, name).results.items():
            assert row(comparison, name).results[measure].value == cell.value
    lost = row(comparison, "lost")
    assert math.isnan(lost.results["FA"].value)
    assert lost.results["FA"].note == "no model is left to measure"
    assert lost.verdict.judged == 0
    assert any(note.startswith("like: 1 of 4 models collapsed") for note in comparison.notes)


def test_constant_features_have_no_value_and_a_note():
    certain = make(1, 2.0)
    certain = Predictions(
        *(o._replace(logits=8.0 * np.eye(CLASSES, dtype=np.float32)[o.label]) for o in certain[:3]),
        certain.test_forgotten,
    )
    models = gather_models(runs(6, 2.0, 1000), {"sure": [Run(certain, 1)]})
    comparison = compare(models)
    cell = row(comparison, "sure").results["MIA_svc_nonmember"]
    assert math.isnan(cell.value)
    assert cell.verdict == ""
    assert "undefined for 1 of 1 model" in cell.note
    assert row(comparison, "sure").results["FA"].value == 100.0
    assert any("Undefined for some models" in note for note in comparison.notes)


def test_one_seed_has_no_interval_and_says_so():
    comparison = audit(models=1)
    cell = row(comparison, "like").results["FA"]
    assert math.isnan(cell.low)
    assert "one model: no interval" in cell.note
    assert "like: one model, so its numbers have no intervals." in comparison.notes


def test_one_oracle_allows_values_but_no_verdict():
    comparison = audit(oracles=1)
    assert comparison.level == "quick"
    assert comparison.bands == {}
    assert "One oracle gives no null band." in comparison.notes
    like = row(comparison, "like")
    assert like.verdict.outcome == "cannot be judged"
    assert math.isfinite(like.results["KL_forget"].value)
    assert any("compared with the oracle of the same seed" in n for n in comparison.notes)
    oracle = row(comparison, "oracle")
    assert math.isfinite(oracle.results["FA"].value)
    assert oracle.results["KL_forget"].note.startswith("one oracle: there is no other")


def test_without_an_original_power_is_unknown():
    comparison = compare(gather_models(runs(6, 2.0, 1000), {"like": runs(3, 2.0, 2000)}))
    assert comparison.uninformative == ()
    assert any(note.startswith("No original is given") for note in comparison.notes)


def test_a_test_set_of_a_single_class_is_said():
    oracles = runs(5, 2.0, 1000, test_label=1)
    models = gather_models(oracles, {"like": runs(2, 2.0, 2000, test_label=1)})
    comparison = compare(models)
    assert any(n.startswith("All test examples are of class 1") for n in comparison.notes)
    assert math.isfinite(row(comparison, "like").results["TA"].value)


def test_a_level_that_models_do_not_allow_falls_back_and_says_so():
    comparison = audit(level="strong")
    assert comparison.level == "standard"
    assert comparison.notes[0] == (
        "The strong audit needs at least 32 oracles and 16 models of one row; there are 6 oracles "
        "and at most 3 other models of a row: the standard audit was done instead."
    )
    assert "forgetting_quality" not in row(comparison, "like").results


def test_the_quick_level_looks_at_four_models_a_row():
    comparison = audit(oracles=8, models=6, level="quick")
    assert row(comparison, "like").results["FA"].n == 4
    assert len(comparison.reference) == 2


def test_a_row_with_few_models_says_what_a_bank_needs(strong, uneven):
    comparison = uneven["strong"]
    cell = row(comparison, "few").results["ulira_auc"]
    assert math.isnan(cell.value)
    assert cell.note == "needs 16 models, there are 3: left out"
    assert math.isfinite(row(comparison, "few").results["FA"].value)
    # Groups cannot be left out of so few models.
    assert row(comparison, "like").results["ulira_auc"].note == "no interval below 19 models"
    assert (
        row(strong, "like").results["ulira_auc"].low < row(strong, "like").results["ulira_auc"].high
    )


def test_unknown_levels_and_terms_are_named():
    with pytest.raises(InputError, match="level='storng': did you mean strong"):
        audit(level="storng")
    with pytest.raises(InputError, match="terms='RT'"):
        audit(protocol=AuditProtocol(terms=("RT",)))


def test_the_catalogue_has_every_number_once():
    assert len({m.name for m in CATALOGUE}) == len(CATALOGUE) == len(BY_NAME)
    assert len({m.place for m in CATALOGUE}) == len(CATALOGUE)
    found = {kind: [m.name for m in CATALOGUE if m.kind == kind] for kind in KINDS}
    assert found[ALONE] == [
        *("RA", "FA", "TA", "FA_test"),
        *("attack_success", "confusion", "adjacent_accuracy", "twin_accuracy"),
        *("MIA_entropy_member", "MIA_svc_nonmember", "MIA_loss"),
        *("RF_JSD", "RF_JSD_retain", "ZRF", "relearn_time", "linear_probe"),
    ]
    assert found[PAIR] == [
        *("gap", "gap_MIA", "ToW", "ToW_MIA", "KL_forget", "KL_test", "JS_forget", "AD_forget"),
        *("completeness_forget", "relative_similarity", "linear_CKA"),
    ]
    assert found[BANKS] == [
        *("forgetting_quality", "final_score", "epsilon_median"),
        *("ulira_auc", "ulira_accuracy", "ulira_tpr_1", "ulira_tpr_01"),
        *("rmia_auc", "rmia_tpr_1", "klom_forget_p95", "klom_retain_p95", "klom_test_p95"),
    ]
    assert found[DATA] == ["memorization"]


@pytest.mark.parametrize("measure", CATALOGUE, ids=lambda m: m.name)
def test_every_measure_says_what_it_is(measure):
    assert all([measure.does, measure.higher, measure.source, measure.needs])
    assert measure.formula.__doc__.startswith("Return ")


def test_methods_are_ranked_by_their_distance_to_retraining(strong):
    rankings = {ranking.measure: ranking for ranking in rank(strong)}
    for name in ("gap", "KL_forget", "forgetting_quality", "ulira_auc"):
        assert [method for method, _ in rankings[name].order] == ["like", "half"]
        assert rankings[name].tied == ()


def test_equals_cannot_be_told_apart():
    methods = {"one": runs(4, 2.0, 2000), "other": runs(4, 2.0, 2500)}
    comparison = compare(gather_models(runs(6, 2.0, 1000), methods))
    gap = rank(comparison)[0]
    assert gap.measure == "gap"
    assert {*gap.tied[0]} == {"one", "other"}
    told = undecided(gap, comparison.models.titles)
    assert told.startswith("Cannot be told apart: ")


def test_shared_seeds_make_small_differences_visible():
    """Each seed moves both methods alike: only paired differences show the second is farther."""
    oracles = runs(6, 2.0, 1000)
    leads = (2.2, 2.6, 3.0, 3.4)
    one = [Run(make(2000 + s, lead), s) for s, lead in enumerate(leads)]
    other = [Run(make(2000 + s, lead + 0.3), s) for s, lead in enumerate(leads)]
    paired = rank(compare(gather_models(oracles, {"one": one, "other": other})))
    unknown = [dataclasses.replace(run, seed=None) for run in other]
    apart = rank(compare(gather_models(oracles, {"one": one, "other": unknown})))
    assert [r.tied for r in paired if r.measure == "KL_forget"] == [()]
    assert [len(r.tied) for r in apart if r.measure == "KL_forget"] == [1]


def test_a_row_is_allowed_what_chance_does_on_the_measures_it_was_judged_on(uneven):
    strong, standard = uneven["strong"], uneven["standard"]
    assert row(strong, "few").verdict == row(standard, "few").verdict
    assert row(strong, "like").verdict.judged > row(strong, "few").verdict.judged
    record = to_record(strong, dict.fromkeys(("hash", "text", "ids_hash"), ""))
    told = [line for line in record["summary"] if "banks were not compared" in line]
    assert len(told) == 1
    assert told[0].startswith("few fails: 3 models against 17 oracles: ")


def test_models_that_repeat_others_are_counted():
    oracles, mine = runs(6, 2.0, 1000), runs(2, 2.0, 2000)
    twins = [mine[0], dataclasses.replace(mine[0], seed=9), mine[1]]
    same = [dataclasses.replace(oracles[0], seed=7), dataclasses.replace(mine[1], seed=8)]
    notes = compare(gather_models(oracles, {"twins": twins, "same": same})).notes
    assert any(n.startswith("twins: 1 of 3 models repeats another of the row") for n in notes)
    assert any(n.startswith("same: 1 of 2 models answers exactly as an oracle") for n in notes)
    assert not any("repeat" in n or "as an oracle" in n for n in audit().notes)


def test_notes_of_rankings_name_methods_as_sentences_do():
    methods = {"one": runs(4, 2.0, 2000), "other": runs(4, 2.0, 2500)}
    titles = {name: name.upper() for name in methods}
    comparison = compare(gather_models(runs(6, 2.0, 1000), methods, titles=titles))
    request = dict.fromkeys(("hash", "text", "ids_hash"), "")
    note = to_record(comparison, request)["ranking"][0]["note"]
    assert "ONE" in note
    assert "OTHER" in note


def test_ties_leave_the_true_positive_rate_of_rmia_without_an_ideal(strong):
    assert BY_NAME["rmia_tpr_1"].oracle_value is None
    assert strong.bands["rmia_tpr_1"].median < 0.01
