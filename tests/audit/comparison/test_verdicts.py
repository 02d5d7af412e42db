"""A verdict is earned: by measures with power, by enough oracles, and never by doing nothing."""

import dataclasses
import math

import numpy as np
import pytest

from jax_unlearn.audit.comparison.compare import compare
from jax_unlearn.audit.comparison.models import Run, gather_models
from jax_unlearn.audit.comparison.verdicts import CANNOT_BE_JUDGED, FAILS, PASSES
from jax_unlearn.audit.measures.accuracy import accuracy
from jax_unlearn.audit.records.writing import to_record
from jax_unlearn.core import Outputs, Predictions

CLASSES, FORGET, RETAIN, TEST = 10, 120, 400, 200
REQUEST = dict.fromkeys(("hash", "text", "ids_hash"), "x")


def make(lead, seed, *, retain=8.0, test=2.0):
    """A model that leads for the true class; ``lead`` is what it knows of the forget set."""
    data, rng = np.random.default_rng(1), np.random.default_rng(seed)
    parts = []
    for n, first, by in ((FORGET, 0, lead), (RETAIN, FORGET, retain), (TEST, 0, test)):
        label = data.integers(0, CLASSES, n).astype(np.int32)
        hard = data.normal(1.5, 1.5, n)
        logits = rng.normal(size=(n, CLASSES))
        logits[np.arange(n), label] += hard + by
        ids = np.arange(first, first + n, dtype=np.int64)
        parts.append(Outputs(logits.astype(np.float32), label, ids))
    return Predictions(*parts, np.zeros(TEST, bool))


def runs(n, lead, first, **more):
    return [Run(make(lead, first + i, **more), i) for i in range(n)]


def verdicts(comparison):
    return {row.group.name: row.verdict for row in comparison.rows}


def audit(methods, *, oracles=6, original=8.0, models=3, **more):
    originals = runs(models, original, 500) if original is not None else []
    return compare(gather_models(runs(oracles, 2.0, 20), methods, originals), **more)


@pytest.fixture(scope="module")
def earned():
    methods = {"like": runs(3, 2.0, 900), "known": runs(3, 2.8, 300)}
    return audit({**methods, "damaged": runs(3, 2.0, 700, retain=1.0, test=0.5)})


def test_retraining_passes_and_what_still_knows_the_forget_set_fails(earned):
    found = verdicts(earned)
    outcomes = {name: verdict.outcome for name, verdict in found.items()}
    assert outcomes == {
        "original": FAILS,
        "oracle": PASSES,
        "like": PASSES,
        "known": FAILS,
        "damaged": FAILS,
    }


def test_the_reason_says_how_strong_the_evidence_is(earned):
    like = verdicts(earned)["like"]
    assert like.reason == (
        f"3 models against 3 oracles: {like.outside} of {like.judged} informative measures "
        f"outside, at most {like.chance} by chance"
    )


def test_only_measures_on_which_the_originals_lie_outside_are_judged(earned):
    for row in earned.rows:
        outcomes = {name: result.verdict for name, result in row.results.items()}
        assert {outcomes[name] for name in earned.uninformative} == {"uninformative"}
        judged = [name for name, verdict in outcomes.items() if verdict in ("inside", "outside")]
        assert row.verdict.judged == len(judged)
        assert row.verdict.outside == list(outcomes.values()).count("outside")
    original = next(row for row in earned.rows if row.group.name == "original")
    assert original.verdict.outside == original.verdict.judged > 0
    assert {"TA", "KL_test"} <= set(earned.uninformative)


def test_power_is_asked_for_at_the_row_s_own_number_of_models():
    methods = {"one": runs(1, 2.0, 900), "many": runs(8, 2.0, 950)}
    found = audit(methods, original=2.6, models=8, oracles=8)
    judged = {row.group.name: row.verdict.judged for row in found.rows}
    assert judged["one"] < judged["many"]


def test_damage_fails_though_the_originals_tell_nothing_of_it():
    """Forgets as retraining does, and answers test images worse, which originals do not."""
    found = audit({"damaged": runs(3, 2.0, 700, test=-1.5)}, oracles=8)
    verdict = verdicts(found)["damaged"]
    assert verdict.outcome == FAILS


def test_where_nothing_has_power_nothing_passes():
    """Eight oracles, and originals that are like them: everyone would lie inside."""
    nothing = runs(3, 2.02, 600)
    found = audit({"did_nothing": nothing}, oracles=8, original=2.02)
    for verdict in verdicts(found).values():
        assert (verdict.outcome, verdict.outside, verdict.judged) == (CANNOT_BE_JUDGED, 0, 0)
        assert "no measure tells the originals from retraining" in verdict.reason
        assert verdict.reason.endswith(
            "may give a verdict"
            if "about" in verdict.reason
            else "forget more images, or such as retraining gets wrong (hardest:0.1)"
        )
    record = to_record(found, REQUEST)
    assert sum("Nothing can be judged: " in line for line in record["summary"]) == 1
    assert len(found.uninformative) == len(found.bands)


def test_numbers_of_models_are_named_where_they_would_give_a_verdict():
    found = audit({"mine": runs(1, 2.0, 600)}, oracles=4, original=2.3, models=1)
    reasons = [v.reason for v in verdicts(found).values() if v.outcome == CANNOT_BE_JUDGED]
    assert reasons
    assert all("oracles and" in r and "models of each row may give a verdict" in r for r in reasons)


def test_a_model_that_did_nothing_never_passes():
    originals = runs(3, 8.0, 500)
    half = [*originals[:1], *runs(3, 2.0, 900)[1:]]
    methods = {"none": originals, "some": half, "like": runs(3, 2.0, 900)}
    found = verdicts(compare(gather_models(runs(8, 2.0, 20), methods, originals)))
    assert found["none"].outcome == found["some"].outcome == FAILS
    assert found["like"].outcome == PASSES


@pytest.mark.parametrize("oracles", [1, 2, 3])
def test_below_four_oracles_there_is_no_verdict_and_one_line_says_what_would_give_one(oracles):
    found = audit({"like": runs(3, 2.0, 900)}, oracles=oracles)
    line = f"o verdict below 4 oracles; train {4 - oracles} more (--oracles 4)"
    for verdict in verdicts(found).values():
        assert (verdict.outcome, verdict.reason) == (CANNOT_BE_JUDGED, f"n{line}")
    record = to_record(found, REQUEST)
    said = [line_ for line_ in (*record["summary"], *record["notes"]) if line in line_]
    assert said == [f"N{line}."]


def test_four_oracles_give_a_verdict():
    assert verdicts(audit({"like": runs(3, 2.0, 900)}, oracles=4))["like"].outcome == PASSES


def test_without_originals_power_is_unknown_and_nothing_is_judged():
    found = audit({"known": runs(3, 2.8, 300)}, original=None)
    assert found.uninformative == ()
    for verdict in verdicts(found).values():
        assert verdict.outcome == CANNOT_BE_JUDGED
        assert verdict.reason.startswith("no original is given, so no measure is known to tell")


def test_a_collapsed_original_gives_no_power():
    broken = [dataclasses.replace(run, status="collapsed") for run in runs(3, 8.0, 500)]
    models = gather_models(runs(6, 2.0, 20), {"like": runs(3, 2.0, 900)}, broken)
    found = verdicts(compare(models))
    assert found["like"].outcome == CANNOT_BE_JUDGED
    assert found["like"].reason.startswith("no original works")


def test_a_row_whose_models_all_collapsed_is_not_judged():
    lost = [dataclasses.replace(run, status="collapsed") for run in runs(3, 2.0, 900)]
    found = verdicts(audit({"lost": lost}))["lost"]
    assert (found.outcome, found.reason) == (CANNOT_BE_JUDGED, "none of its models works")


def never_learnt(seed):
    """Answers by chance: what is left where retraining failed."""
    rng, found = np.random.default_rng(seed), make(0.0, seed)
    parts = [o._replace(logits=rng.normal(size=o.logits.shape)) for o in found[:3]]
    return Run(Predictions(*parts, found.test_forgotten), seed=seed)


def test_an_oracle_that_never_learnt_is_measured_against_by_nobody():
    mine, originals = {"mine": runs(3, 2.4, 900)}, runs(3, 8.0, 500)
    oracles = runs(7, 2.0, 20)
    chance = [dataclasses.replace(never_learnt(60), seed=99)]
    clean = compare(gather_models(oracles, mine, originals))
    with_one = compare(gather_models([*oracles, *chance], mine, originals))
    for one, other in zip(clean.rows, with_one.rows, strict=True):
        assert one.verdict == other.verdict
        for name, result in one.results.items():
            assert (result.value, result.n, result.band) == (
                other.results[name].value,
                other.results[name].n,
                other.results[name].band,
            )
    oracle = next(row for row in with_one.rows if row.group.name == "oracle")
    assert oracle.group.flags == ["1 of 8 collapsed"]
    assert sum("oracle: 1 of 8 models collapsed" in note for note in with_one.notes) == 1


def test_a_first_oracle_that_never_learnt_sets_no_standard():
    """The others are told from chance by the best of them, not by the one that comes first."""
    oracles = [dataclasses.replace(never_learnt(60), seed=99), *runs(4, 2.0, 20)]
    # It has lost nine tenths of what oracles know of retain images, and is just above chance.
    rng, lost = np.random.default_rng(0), never_learnt(61).predictions
    known = rng.random(RETAIN) < 0.08
    logits = lost.retain.logits + 9.0 * known[:, None] * np.eye(CLASSES)[lost.retain.label]
    lost = [Run(lost._replace(retain=lost.retain._replace(logits=logits)), 0)]
    models = gather_models(oracles, {"lost": lost})
    assert models.oracle.collapsed == (True, False, False, False, False)
    assert models.methods["lost"].collapsed == (True,)
    assert gather_models(oracles[1:], {"lost": lost}).methods["lost"].collapsed == (True,)


def test_where_no_oracle_works_nothing_is_measured_against_one():
    broken = [never_learnt(60 + i) for i in range(3)]
    mine = {"mine": runs(3, 2.4, 900)}
    found = compare(gather_models(broken, mine, runs(3, 8.0, 500)))
    row = next(row for row in found.rows if row.group.name == "mine")
    assert math.isfinite(row.results["FA"].value)
    for name in ("gap", "ToW", "KL_forget"):
        assert math.isnan(row.results[name].value)
        assert row.results[name].note == "no oracle works"
    assert found.bands == {}
    assert row.verdict.reason.startswith(
        "no verdict below 4 oracles that work, 3 of 3 collapsed; take more seeds (--oracles 7) or "
    )
    assert math.isnan(row.share.mean)
    record = to_record(found, REQUEST)
    assert record["rows"][-1]["results"]["gap"]["value"] is None
    (note,) = (note for note in record["notes"] if "oracle: 3 of 3 models collapsed" in note)
    # The same seed with the same settings collapses again.
    assert "again" not in note
    assert "more seeds or a recipe that trains (--training.learning-rate lower" in note


def test_an_original_that_never_learnt_gives_nothing_away():
    mine, originals = {"mine": runs(3, 2.4, 900)}, runs(3, 8.0, 500)
    chance = dataclasses.replace(never_learnt(60), seed=99)
    clean, with_one = (
        compare(gather_models(runs(6, 2.0, 20), mine, given))
        for given in (originals, [*originals, chance])
    )
    assert clean.uninformative == with_one.uninformative
    assert verdicts(clean)["mine"] == verdicts(with_one)["mine"]


def timed(models, times):
    return [dataclasses.replace(m, seconds=s) for m, s in zip(models, times, strict=True)]


def test_costs_are_in_seconds_and_in_percent_of_retraining():
    oracles = timed(runs(4, 2.0, 20), (8.0, 10.0, 12.0, 10.0))
    broken = dataclasses.replace(never_learnt(60), seed=99, seconds=1000.0)
    mine = timed(runs(3, 2.0, 900), (1.0, 2.0, 3.0))
    unknown = [dataclasses.replace(mine[0], seconds=math.nan), mine[1]]
    found = compare(gather_models([*oracles, broken], {"mine": mine, "unknown": unknown}))
    rows = {row.group.name: row for row in found.rows}
    assert (rows["mine"].seconds.mean, rows["mine"].seconds.n) == (2.0, 3)
    assert rows["mine"].share.mean == pytest.approx(20.0)
    # The oracle that collapsed is no retraining.
    assert (rows["oracle"].seconds.mean, rows["oracle"].share.mean) == (10.0, 100.0)
    assert (rows["unknown"].seconds.n, rows["unknown"].seconds.mean) == (1, 2.0)
    record = to_record(found, REQUEST)["rows"][-2]
    assert record["seconds"]["value"] == 2.0
    assert record["share"]["n"] == 3


def test_a_method_without_a_setting_that_works_has_numbers_but_no_verdict_and_no_rank():
    why = "no setting found that forgets"
    methods = {"like": runs(3, 2.0, 900), "near": runs(3, 2.0, 960), "lost": runs(3, 8.0, 970)}
    models = gather_models(runs(8, 2.0, 20), methods, runs(3, 8.0, 500), failed={"lost": why})
    found = compare(models)
    assert verdicts(found)["like"].outcome == PASSES
    lost = next(row for row in found.rows if row.group.name == "lost")
    assert math.isfinite(lost.results["FA"].value)
    assert lost.verdict.outcome == CANNOT_BE_JUDGED
    assert lost.verdict.reason == f"{why}; the numbers are those of the best setting tried"
    record = to_record(found, REQUEST)
    assert record["rows"][-1]["flags"] == [why]
    assert record["models"]["methods"]["lost"]["failed"] == why
    ranked = [entry["name"] for ranking in record["ranking"] for entry in ranking["order"]]
    assert set(ranked) == {"like", "near"}


def test_a_record_says_what_there_was_to_unlearn():
    oracles, originals = runs(4, 2.0, 20), runs(3, 8.0, 500)
    found = compare(gather_models(oracles, {"like": runs(3, 2.0, 900)}, originals))
    told = to_record(found, REQUEST)["models"]["accuracies"]
    first = [run.predictions for run in originals]
    right = [
        np.concatenate([part.logits.argmax(axis=1) == part.label for part in (p.forget, p.retain)])
        for p in first
    ]
    assert told["original"]["train"] == pytest.approx(100 * np.mean(right))
    assert told["original"]["test"] == pytest.approx(np.mean([accuracy(p.test) for p in first]))
    forgotten = [accuracy(run.predictions.forget) for run in oracles]
    assert told["oracle"] == {"forget": pytest.approx(np.mean(forgotten))}
