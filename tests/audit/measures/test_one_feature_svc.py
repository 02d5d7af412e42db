import time
from pathlib import Path

import numpy as np
import pytest

from jax_unlearn.audit.measures.membership import membership_feature
from jax_unlearn.audit.measures.svc import fit_svc
from jax_unlearn.core import InputError

GOLDEN = Path(__file__).parents[2] / "golden"
FEATURES = ("confidence", "entropy", "correctness", "modified_entropy")


def libsvm_decision(positive, negative, x, **settings):
    from sklearn.svm import SVC

    attack = SVC(C=3, kernel="rbf", gamma="auto", **settings)
    attack.fit(
        np.concatenate([positive, negative])[:, None],
        np.repeat([1, 0], [len(positive), len(negative)]),
    )
    return attack.decision_function(np.reshape(x, (-1, 1)))


def saturated(rng, n, spread):
    """Confidences as a trained network has them: most within 1e-3 of certainty."""
    return 1.0 - 10.0 ** np.minimum(rng.normal(-3, spread, n), 0)


@pytest.mark.parametrize("feature", FEATURES)
def test_the_decision_is_the_common_solvers_as_its_tolerance_falls(feature):
    with np.load(GOLDEN / "membership_svc.npz") as golden:
        members, nonmembers, targets = (
            membership_feature(golden[f"{name}_probs"], golden[f"{name}_labels"], feature)
            for name in ("retain", "test", "forget")
        )
    found = fit_svc(members, nonmembers).decision(targets)
    usual = libsvm_decision(members, nonmembers, targets)
    tight = libsvm_decision(members, nonmembers, targets, tol=1e-7)
    np.testing.assert_allclose(found, tight, atol=1e-4)
    assert np.abs(found - usual).max() < 5e-3
    np.testing.assert_array_equal(found > 0, usual > 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [(400, 400), (60, 61), (1, 5)])
def test_the_answers_are_the_common_solvers_on_saturated_confidences(seed, sizes):
    rng = np.random.default_rng(seed)
    members, nonmembers = (
        saturated(rng, n, spread) for n, spread in zip(sizes, (1.0, 2.0), strict=True)
    )
    x = np.concatenate([members, nonmembers, np.linspace(0, 1, 50)])
    found = fit_svc(members, nonmembers).decision(x)
    np.testing.assert_allclose(found, libsvm_decision(members, nonmembers, x, tol=1e-6), atol=1e-3)


def test_examples_that_are_equal_count_each():
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(0, 1, 40), rng.normal(1, 1, 50)
    x = np.linspace(-3, 4, 30)
    thrice = fit_svc(np.tile(members, 3), np.tile(nonmembers, 3), cost=1.0).decision(x)
    np.testing.assert_allclose(
        fit_svc(members, nonmembers, cost=3.0).decision(x), thrice, atol=1e-6
    )


def test_order_and_a_shift_of_the_feature_change_nothing_and_swapped_sides_the_sign():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 60), rng.normal(1.5, 1, 45)
    x = np.linspace(-2, 3, 40)
    decision = fit_svc(a, b).decision(x)
    np.testing.assert_allclose(fit_svc(a[::-1], b[::-1]).decision(x), decision, atol=1e-9)
    np.testing.assert_allclose(fit_svc(a + 7, b + 7).decision(x + 7), decision, atol=1e-5)
    np.testing.assert_allclose(fit_svc(b, a).decision(x), -decision, atol=1e-5)


def test_two_points_meet_their_margins_exactly():
    # alpha (1 - k) = 1 with k = exp(-4): below the cost of 3, so both lie on the margin.
    svc = fit_svc(np.array([0.0]), np.array([2.0]))
    np.testing.assert_allclose(svc.decision(np.array([0.0, 2.0, 1.0])), [1, -1, 0], atol=1e-6)


def test_equal_sides_give_a_decision_of_zero_everywhere():
    same = np.array([0.1, 0.5, 0.5, 0.9])
    assert np.abs(fit_svc(same, same).decision(np.linspace(0, 1, 9))).max() < 1e-9


def test_ten_thousand_of_each_side_take_a_few_seconds_at_most():
    rng = np.random.default_rng(0)
    members, nonmembers = saturated(rng, 10_000, 1.0), saturated(rng, 10_000, 2.0)
    start = time.perf_counter()
    decision = fit_svc(members, nonmembers).decision(saturated(rng, 45_000, 1.5))
    assert time.perf_counter() - start < 10.0
    assert np.isfinite(decision).all()


@pytest.mark.parametrize("side", [[], [0.1, np.nan]])
def test_empty_and_infinite_sides_are_refused(side):
    with pytest.raises(InputError, match=r"negative=array of shape \[\d\]: expected one or more"):
        fit_svc(np.array([0.3]), np.array(side))
