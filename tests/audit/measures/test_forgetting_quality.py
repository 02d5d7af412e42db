import itertools
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from jax_unlearn.audit.measures.forgetting_quality import (
    final_score,
    forgetting_epsilons,
    forgetting_points,
    forgetting_quality,
)
from jax_unlearn.core import InputError

DELTA = 1e-5


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[2] / "golden" / "forgetting_quality.npz") as stored:
        return dict(stored)


def by_definition(positive, negative, delta, calls):
    """Largest epsilon over attacks that call some confidences positive, one by one."""
    best = 0.0
    for call in calls:
        fpr, fnr = np.mean(call(negative)), np.mean(~call(positive))
        if fpr == 0 and fnr == 0:
            best = np.inf
        elif fpr > 0 and fnr > 0:
            for a, b in ((fpr, fnr), (fnr, fpr)):
                if 1 - delta - a > 0:
                    best = max(best, np.log(1 - delta - a) - np.log(b))
    return min(best, 50.0)


def brute_force(u, o, attack, delta=DELTA):
    """One example's epsilon from every threshold or interval between observed values."""
    ranges = np.ptp(u), np.ptp(o)
    if min(ranges) < 0.01 * max(ranges):
        return 50.0
    oracle_larger = np.median(o) > np.median(u)
    values = np.unique(np.concatenate([u, o]))
    if attack == "threshold":
        positive, negative = (o, u) if oracle_larger else (u, o)
        calls = [lambda c, t=t: c >= t for t in [*values, np.inf]]
    else:
        tie = ranges[0] == ranges[1]
        oracle_inside = not oracle_larger if tie else ranges[1] < ranges[0]
        positive, negative = (o, u) if oracle_inside else (u, o)
        pairs = itertools.combinations_with_replacement(values, 2)
        calls = [lambda c, s=s, t=t: (s <= c) & (c <= t) for s, t in pairs]
    return by_definition(positive, negative, delta, calls)


@pytest.mark.parametrize("attack", ["threshold", "interval"])
@pytest.mark.parametrize("decimals", [9, 1, 0])
def test_the_fast_search_equals_trying_everything(attack, decimals):
    # Rounding makes ties within and between the banks.
    rng = np.random.default_rng(decimals)
    sizes = [(3, 3), (6, 6), (4, 9), (9, 4), (12, 12)]
    for n, m in sizes:
        u = np.round(rng.normal(rng.normal(0, 1, 40), rng.uniform(0.3, 2, 40), (n, 40)), decimals)
        o = np.round(rng.normal(0, 1, (m, 40)), decimals)
        found = forgetting_epsilons(u, o, attacks=(attack,))
        expected = [brute_force(a, b, attack) for a, b in zip(u.T, o.T, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_both_attacks_together_are_the_larger_of_each():
    rng = np.random.default_rng(5)
    u, o = rng.normal(0.5, 0.7, (20, 30)), rng.normal(0, 1, (20, 30))
    each = [forgetting_epsilons(u, o, attacks=(a,)) for a in ("threshold", "interval")]
    np.testing.assert_array_equal(forgetting_epsilons(u, o), np.maximum(*each))


def test_the_grid_is_the_golden_one(golden):
    banks = golden["unlearned"], golden["retrained"]
    both = forgetting_epsilons(*banks, variant="grid")
    single = forgetting_epsilons(*banks, variant="grid", attacks=("threshold",))
    np.testing.assert_allclose(both, golden["epsilon"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(single, golden["epsilon_single_threshold"], rtol=0, atol=1e-6)
    assert forgetting_quality(*banks, variant="grid").score == golden["score"]


def test_the_exact_answer_never_lies_below_the_grid_and_mostly_equals_it(golden):
    banks = golden["unlearned"], golden["retrained"]
    single = forgetting_epsilons(*banks, attacks=("threshold",))
    excess = single - golden["epsilon_single_threshold"]
    assert (excess >= -1e-6).all()
    # One example's best threshold lies between two confidences closer than the grid's step.
    assert np.flatnonzero(np.abs(excess) > 1e-6).tolist() == [9]
    both = forgetting_epsilons(*banks) - golden["epsilon"]
    assert (both >= -1e-6).all()
    assert np.mean(np.abs(both) <= 1e-6) > 0.6


def test_the_grid_differs_where_its_intervals_are_too_few(golden):
    banks = golden["unlearned"], golden["retrained"]
    exact, grid = (forgetting_quality(*banks, variant=v).score for v in ("exact", "grid"))
    assert exact < grid


def test_separable_banks_have_the_largest_epsilon():
    low, high = np.random.default_rng(0).uniform(0, 1, (2, 10, 3))
    assert (forgetting_epsilons(low, high + 2) == 50.0).all()
    # Inside, with others on both sides: no threshold separates, an interval does.
    around = np.concatenate([low[:5] - 1.5, low[5:] + 1.5])
    assert (forgetting_epsilons(low, around) == 50.0).all()
    assert (forgetting_epsilons(low, around, attacks=("threshold",)) < 5.0).all()


def test_known_counts_give_the_closed_form():
    # Best threshold: 1 of 10 positives below it, 1 of 10 negatives above it.
    negative = np.array([[0.0, 1, 2, 3, 4, 5, 6, 7, 8, 21]]).T
    positive = np.array([[7.5, 11, 12, 13, 14, 15, 16, 17, 18, 19]]).T
    found = forgetting_epsilons(positive, negative, attacks=("threshold",)).item()
    assert found == pytest.approx(np.log(1 - DELTA - 0.1) - np.log(0.1), rel=1e-12)


def test_epsilon_has_no_side_and_no_order():
    rng = np.random.default_rng(1)
    u, o = rng.normal(0.4, 1, (15, 9)), rng.normal(0, 1.5, (15, 9))
    expected = forgetting_epsilons(u, o)
    np.testing.assert_array_equal(forgetting_epsilons(o, u), expected)
    np.testing.assert_array_equal(forgetting_epsilons(u[::-1], rng.permutation(o)), expected)
    np.testing.assert_allclose(forgetting_epsilons(2 * u + 4, 2 * o + 4), expected, rtol=1e-12)


def test_a_larger_delta_proves_less():
    u, o = np.random.default_rng(2).normal(size=(2, 20, 5)) + np.array([[[0.0]], [[1.0]]])
    assert (forgetting_epsilons(u, o, delta=0.1) < forgetting_epsilons(u, o, delta=0.0)).all()


def test_a_peak_against_a_spread_is_capped():
    spread = np.linspace(0, 1, 10)[:, None]
    peak = np.linspace(0.5, 0.509, 10)[:, None]
    assert forgetting_epsilons(peak, spread).item() == 50.0


def test_constant_confidences_are_told_apart_only_when_they_differ():
    same, other = np.full((5, 1), 3.0), np.full((5, 1), 4.0)
    for variant in ("exact", "grid"):
        assert forgetting_epsilons(same, same, variant=variant).item() == 0.0
    assert forgetting_epsilons(same, other).item() == 50.0


def test_an_example_that_is_not_finite_is_left_out_and_counted():
    u, o = np.random.default_rng(3).normal(size=(2, 20, 4))
    u[3, 1], o[5, 2] = np.nan, np.inf
    found = forgetting_quality(u, o)
    assert np.isnan(found.epsilon).tolist() == [False, True, True, False]
    assert found.n == 2
    np.testing.assert_array_equal(found.score, forgetting_quality(u[:, ::3], o[:, ::3]).score)
    assert np.isnan(forgetting_quality(np.full_like(u, np.nan), o).score)


def test_points_halve_with_every_half_unit_and_end():
    epsilon = np.array([0.0, 0.49, 0.5, 1.0, 3.99, 4.0, 50.0, np.nan])
    # ceil(log 47) = 4.
    np.testing.assert_array_equal(
        forgetting_points(epsilon, 48), [1, 1, 0.5, 0.25, 2**-7, 0, 0, np.nan]
    )


def test_the_score_is_the_mean_of_the_points():
    u, o = np.random.default_rng(4).normal(size=(2, 64, 50))
    found = forgetting_quality(u, o)
    assert found.score == forgetting_points(found.epsilon, 64).mean()
    assert found.max_epsilon == 5.0
    assert found.n == 50


def test_the_final_score_scales_with_both_accuracies():
    assert final_score(0.5, 90.0, 100.0, 40.0, 80.0) == pytest.approx(0.5 * 0.9 * 0.5)
    assert final_score(0.5, 99.0, 99.0, 80.0, 80.0) == 0.5


def test_more_models_than_oracles_are_compared_by_rates():
    rng = np.random.default_rng(6)
    u, o = rng.normal(1, 1, (10, 6)), rng.normal(0, 1, (10, 6))
    twice = forgetting_epsilons(np.repeat(u, 2, axis=0), o)
    np.testing.assert_allclose(twice, forgetting_epsilons(u, o), rtol=1e-12)


def test_oracles_against_oracles_earn_little_and_less_with_more_models():
    # The largest of many attacks is above 0 by chance, so a score needs its null band.
    small, large = (
        forgetting_quality(*np.random.default_rng(7).normal(size=(2, n, 200))).score
        for n in (16, 256)
    )
    assert 0.01 < large < small < 0.5


def test_the_competition_size_takes_seconds_and_little_memory():
    u, o = np.random.default_rng(8).normal(size=(2, 512, 5000)).astype(np.float32)
    tracemalloc.start()
    start = time.perf_counter()
    found = forgetting_quality(u, o)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.n == 5000
    assert seconds < 60
    assert peak < 2**30


def test_misuse_is_named():
    with pytest.raises(InputError, match=r"delta=1\.0: expected a number >= 0 and < 1"):
        forgetting_quality(np.zeros((4, 2)), np.zeros((4, 2)), delta=1.0)
    bank = np.random.default_rng(0).normal(size=(5, 3))
    with pytest.raises(InputError, match="oracle=2 models: expected at least 3"):
        forgetting_epsilons(bank, bank[:2])
    with pytest.raises(InputError, match=r"unlearned=\[5, 3\] and oracle=\[5, 2\]"):
        forgetting_quality(bank, bank[:, :2])
    with pytest.raises(InputError, match="variant='gird': did you mean grid"):
        forgetting_epsilons(bank, bank, variant="gird")
    with pytest.raises(InputError, match="attacks='svc'"):
        forgetting_epsilons(bank, bank, attacks=("svc",))
    with pytest.raises(InputError, match=r"attacks=\(\)"):
        forgetting_epsilons(bank, bank, attacks=())
    with pytest.raises(InputError, match="delta=2"):
        forgetting_epsilons(bank, bank, delta=2.0)
    with pytest.raises(InputError, match="num_models=2"):
        forgetting_points(np.zeros(1), 2)
    with pytest.raises(InputError, match="oracle_test=0"):
        final_score(0.5, 90.0, 100.0, 40.0, 0.0)
