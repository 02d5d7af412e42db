import numpy as np
import pytest

from jax_unlearn.audit.measures.attack_report import (
    AttackScores,
    attack_report,
    check_folds,
    deal_folds,
)
from jax_unlearn.audit.measures.roc import auc, tpr_at_fpr
from jax_unlearn.core import InputError


def scores(seed=0, n=20, m=16, examples=40, shift=1.0, decimals=9):
    rng = np.random.default_rng(seed)
    return AttackScores(
        np.round(rng.normal(shift, 1, (n, examples)), decimals),
        np.round(rng.normal(0, 1, (m, examples)), decimals),
        deal_folds(n, 2, rng),
        deal_folds(m, 2, rng),
    )


@pytest.mark.parametrize("decimals", [9, 0])
def test_rates_are_means_over_folds_of_pooled_scores(decimals):
    s = scores(decimals=decimals)
    report = attack_report(s, threshold=0.0, n_resamples=2)
    pairs = [(s.unlearned[s.unlearned_fold == f], s.oracle[s.oracle_fold == f]) for f in (0, 1)]
    assert report.auc.value == pytest.approx(np.mean([auc(*p) for p in pairs]), rel=1e-12)
    tpr = np.mean([tpr_at_fpr(*p, 0.01) for p in pairs])
    assert report.tpr_at_1_percent.value == pytest.approx(tpr, rel=1e-12)
    right = [
        (np.mean(u > 0) + np.mean(o < 0) + 0.5 * np.mean(u == 0) + 0.5 * np.mean(o == 0)) / 2
        for u, o in pairs
    ]
    assert report.accuracy.value == pytest.approx(np.mean(right), rel=1e-12)
    assert report.examples == 40


def test_scales_of_folds_are_never_mixed():
    s = scores(1)
    offset = s._replace(
        unlearned=s.unlearned + 100.0 * s.unlearned_fold[:, None],
        oracle=s.oracle + 100.0 * s.oracle_fold[:, None],
    )
    for a, b in zip(attack_report(s)[1:4], attack_report(offset)[1:4], strict=True):
        np.testing.assert_array_equal(a, b)


def test_intervals_hold_the_value_and_widen_with_fewer_models():
    wide, narrow = (attack_report(scores(2, n, n, 30), threshold=0.5) for n in (8, 80))
    for report in (wide, narrow):
        for rate in (report.accuracy, report.auc):
            assert rate.low < rate.value < rate.high
    assert wide.auc.high - wide.auc.low > 2 * (narrow.auc.high - narrow.auc.low)


def test_examples_of_one_model_are_not_taken_for_independent():
    # All of a model's scores alike: more examples tell nothing more.
    few, many = (
        attack_report(
            s._replace(
                unlearned=np.repeat(s.unlearned[:, :1], e, 1),
                oracle=np.repeat(s.oracle[:, :1], e, 1),
            )
        ).auc
        for s, e in ((scores(3), 1), (scores(3), 50))
    )
    np.testing.assert_allclose(few, many, rtol=1e-12)
    assert few.high - few.low > 0.1


def test_too_few_negatives_show_no_small_rate():
    # 8 oracles of a fold with 40 examples are 320 negatives.
    report = attack_report(scores(4))
    assert np.isnan(report.tpr_at_01_percent.value)
    assert 0 <= report.tpr_at_1_percent.value <= 1


def test_no_draws_leave_no_interval():
    report = attack_report(scores(5), n_resamples=0)
    assert report.auc.value == attack_report(scores(5)).auc.value
    assert np.isnan([report.auc.low, report.auc.high]).all()


def test_an_attack_without_threshold_has_no_accuracy():
    assert np.isnan(attack_report(scores(6)).accuracy[:3]).all()


def test_examples_without_score_are_left_out_and_counted():
    s = scores(7)
    rest = s._replace(unlearned=s.unlearned[:, 1:], oracle=s.oracle[:, 1:])
    s.oracle[3, 0] = np.nan
    report = attack_report(s)
    assert report.examples == 39
    assert report.auc == attack_report(rest).auc
    s.oracle[3] = np.nan
    assert attack_report(s).examples == 0
    assert np.isnan(attack_report(s).auc.value)


def test_folds_hold_every_model_once_and_equally_many():
    dealt = deal_folds(11, 3, np.random.default_rng(0))
    assert sorted(np.bincount(dealt)) == [3, 4, 4]


def test_too_few_models_name_the_number_needed():
    check_folds("oracle", 16, 2, fitted=8)
    with pytest.raises(InputError, match="oracle=15 models: expected at least 16, for 2 folds"):
        check_folds("oracle", 15, 2, fitted=8)
    with pytest.raises(InputError, match="oracle=11 models: expected at least 12, for 3 folds"):
        check_folds("oracle", 11, 3, fitted=8)
    with pytest.raises(InputError, match="folds=1"):
        check_folds("oracle", 15, 1, fitted=8)
    with pytest.raises(InputError, match="n_resamples=-1"):
        attack_report(scores(), n_resamples=-1)


def test_a_single_model_in_a_fold_leaves_no_interval():
    report = attack_report(scores(n=3), threshold=0.0, n_resamples=20)
    assert np.isfinite([report.auc.value, report.accuracy.value]).all()
    assert np.isnan([report.auc.low, report.auc.high, report.accuracy.low]).all()
