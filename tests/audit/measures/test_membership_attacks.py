from pathlib import Path

import numpy as np
import pytest

from jax_unlearn.audit import (
    entropy_attack_member_percent,
    percent_called_member,
    share_called_nonmember,
    svc_attack_nonmember_share,
)
from jax_unlearn.audit.measures import probabilities
from jax_unlearn.audit.measures.membership import FEATURES, membership_feature
from jax_unlearn.core import InputError, Outputs, Predictions

GOLDEN = Path(__file__).parents[2] / "golden"


def golden_predictions(golden):
    """Predictions whose softmax is the golden probabilities."""

    def outputs(name):
        probs = golden[f"{name}_probs"].astype(np.float64)
        label = golden.get(f"{name}_labels", np.zeros(len(probs), np.int64))
        return Outputs(np.log(np.maximum(probs, 1e-300)), label, np.arange(len(probs)))

    test = outputs("test")
    forgotten = np.zeros(len(test.label), bool)
    return Predictions(outputs("forget"), outputs("retain"), test, forgotten)


def load(name):
    with np.load(GOLDEN / name) as stored:
        return dict(stored)


def test_entropies_are_the_golden_ones():
    golden = load("membership_entropy.npz")
    found = probabilities.entropy(golden["forget_probs"])
    # The golden probabilities were rounded to float32 after their entropy was taken.
    np.testing.assert_allclose(found, golden["forget_entropy"], rtol=0, atol=1e-6)


def test_the_entropy_attack_calls_the_golden_percentage_members():
    golden = load("membership_entropy.npz")
    entropies = (
        probabilities.entropy(golden[f"{name}_probs"]) for name in ("retain", "test", "forget")
    )
    expected = golden["percent_forget_called_member"]
    assert percent_called_member(*entropies) == expected
    assert entropy_attack_member_percent(golden_predictions(golden)) == expected


@pytest.mark.parametrize("feature", ["confidence", "entropy", "correctness"])
def test_the_svc_attack_calls_the_golden_share_nonmembers(feature):
    golden = load("membership_svc.npz")
    features = (
        membership_feature(golden[f"{name}_probs"], golden[f"{name}_labels"], feature)
        for name in ("retain", "test", "forget")
    )
    expected = golden[f"share_nonmember_{feature}"]
    assert share_called_nonmember(*features) == expected
    found = svc_attack_nonmember_share(golden_predictions(golden), feature, max_examples=None)
    assert found == pytest.approx(expected, abs=1e-12)


def test_entropy_of_a_uniform_answer_is_log_k_and_of_a_certain_one_zero():
    assert probabilities.entropy(np.full((1, 8), 1 / 8)) == pytest.approx(np.log(8))
    assert probabilities.entropy(np.eye(8)).tolist() == [0.0] * 8


def test_modified_entropy_of_two_classes_is_twice_the_wrong_mass_times_the_surprise():
    # With p_other = 1 - p_y both terms are (1 - p_y) log p_y.
    for p in (0.1, 0.5, 0.9):
        found = probabilities.modified_entropy(np.array([[p, 1 - p]]), np.array([0]))
        assert found == pytest.approx(-2 * (1 - p) * np.log(p))


def test_modified_entropy_follows_its_definition_entry_by_entry():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(6), 20)
    label = rng.integers(0, 6, 20)
    for p, y, found in zip(probs, label, probabilities.modified_entropy(probs, label), strict=True):
        expected = -(1 - p[y]) * np.log(p[y])
        expected -= sum(p[i] * np.log(1 - p[i]) for i in range(6) if i != y)
        assert found == pytest.approx(expected, rel=1e-12)


def test_modified_entropy_keeps_its_digits_where_one_class_is_nearly_certain():
    probs = probabilities.softmax(np.array([[60.0, 0.0, 0.0]]))
    right, wrong = (
        probabilities.modified_entropy(probs, np.array([label])).item() for label in (0, 1)
    )
    assert right == pytest.approx(0.0, abs=1e-20)
    # Surprise of the label, and of the two classes that hold the mass: log(1 - p_0) = log 2 - 60.
    assert wrong == pytest.approx(60.0 + 60.0 - np.log(2), rel=1e-12)


@pytest.mark.parametrize("variant", ["salun", "sfron"])
def test_the_published_modified_entropy_takes_whole_columns_and_the_wrong_logarithm(variant):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(4), 6)
    for label in (np.array([0, 1, 2, 3, 0, 1]), np.array([1, 1, 3, 1, 1, 3])):
        present = np.isin(np.arange(4), label)[None]
        expected = -np.sum(np.where(present, 1 - probs, probs) * np.log(probs), axis=1)
        found = probabilities.modified_entropy(probs, label, variant=variant)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        right = probabilities.modified_entropy(probs, label)
        assert np.abs(found - right).min() > 1e-3


def test_the_published_modified_entropy_is_large_for_a_confident_right_answer():
    probs = probabilities.softmax(np.array([[0.1, 0.0, 0.0], [20.0, 0.0, 0.0]]))
    label = np.array([0, 0])
    unsure, sure = probabilities.modified_entropy(probs, label)
    assert sure < unsure
    label = np.array([0, 1, 2])[: len(label)]
    unsure, sure = probabilities.modified_entropy(probs, label, variant="salun")
    assert sure > unsure


def test_the_published_modified_entropy_does_not_know_the_label_and_depends_on_the_others():
    probs = np.random.default_rng(0).dirichlet(np.ones(3), 3)
    one, other = (
        probabilities.modified_entropy(probs, np.array(label), variant="salun")
        for label in ([0, 1, 2], [2, 0, 1])
    )
    np.testing.assert_array_equal(one, other)
    alone = probabilities.modified_entropy(probs[:1], np.array([0]), variant="salun")
    assert alone[0] != one[0]


def test_a_probability_of_zero_counts_as_the_published_codes_constant():
    found = probabilities.modified_entropy(np.array([[1.0, 0.0]]), np.array([1]), variant="salun")
    assert found[0] == pytest.approx(-np.log(1e-30))


def test_the_svc_attack_can_be_run_on_the_published_modified_entropy(simulate):
    predictions = simulate(0, lead=5.0)
    right, published = (
        svc_attack_nonmember_share(predictions, "modified_entropy", variant=variant)
        for variant in ("definition", "salun")
    )
    assert right != published


def test_the_attacks_report_opposite_directions(simulate):
    still_known = simulate(0, lead=8.0)
    never_seen = simulate(0, lead=4.0)
    assert entropy_attack_member_percent(still_known) > 60.0
    assert entropy_attack_member_percent(never_seen) < 50.0
    assert svc_attack_nonmember_share(still_known) < 0.4
    assert svc_attack_nonmember_share(never_seen) > 0.5


def test_attacks_on_separable_features_are_never_wrong():
    members, nonmembers = np.linspace(0, 1, 50), np.linspace(9, 10, 20)
    assert percent_called_member(members, nonmembers, np.array([0.2, 0.7, 9.5, 9.9])) == 50.0
    assert share_called_nonmember(members, nonmembers, np.array([0.2, 9.5, 9.7, 9.9])) == 0.75


def test_features_that_tell_nothing_give_nan_and_say_so():
    # A saturated model: every entropy is zero, and an attack could only guess.
    constant = np.zeros(9), np.zeros(5), np.zeros(3)
    with pytest.warns(UserWarning, match="entropy attack: its feature does not tell members"):
        assert np.isnan(percent_called_member(*constant))
    with pytest.warns(UserWarning, match="SVC attack: its feature does not tell members"):
        assert np.isnan(share_called_nonmember(*constant))
    # Not constant, but the same for members and non-members: as many right answers of each.
    right = np.repeat([0.0, 1.0], [3, 7])
    with pytest.warns(UserWarning, match="SVC attack"):
        assert np.isnan(share_called_nonmember(right, right[::-1], right))


def test_features_that_are_not_finite_give_nan_and_empty_ones_are_refused():
    fine = np.linspace(0, 1, 5)
    for attack in (percent_called_member, share_called_nonmember):
        assert np.isnan(attack(fine, fine + 1, np.array([0.5, np.nan])))
        assert np.isnan(attack(np.array([0.5, np.inf]), fine, fine))
        with pytest.raises(InputError, match=r"targets=\[\]: expected at least one"):
            attack(fine, fine, fine[:0])


def test_test_sets_of_a_single_class_can_be_attacked(simulate):
    predictions = simulate(0, lead=4.0)
    one = Outputs(*(a[predictions.test.label == 2] for a in predictions.test))
    single = predictions._replace(test=one, test_forgotten=np.zeros(len(one.label), bool))
    assert 0.0 < entropy_attack_member_percent(single) < 100.0
    assert 0.0 < svc_attack_nonmember_share(single) < 1.0


def test_the_entropy_attack_is_balanced_between_unequal_sides():
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(0, 1, 5000), rng.normal(2, 1, 200)
    # The balanced threshold lies midway although nearly all examples are members.
    assert percent_called_member(members, nonmembers, np.linspace(0.5, 1.49, 100)) == pytest.approx(
        50.0, abs=12.0
    )


def test_a_shift_of_logits_changes_no_attack(simulate, map_logits):
    predictions = simulate(0)
    shifted = map_logits(predictions, lambda x: x.astype(np.float64) + 3.0)
    assert entropy_attack_member_percent(shifted) == entropy_attack_member_percent(predictions)
    assert svc_attack_nonmember_share(shifted) == pytest.approx(
        svc_attack_nonmember_share(predictions), abs=0.01
    )


def test_nonmembers_can_leave_out_the_forgotten_class(simulate):
    predictions = simulate(0, lead=9.0, class_wise=True, train=3000, test=2000)
    keep = ~predictions.test_forgotten
    remaining = predictions._replace(
        test=Outputs(*(a[keep] for a in predictions.test)),
        test_forgotten=np.zeros(keep.sum(), bool),
    )
    for attack in (entropy_attack_member_percent, svc_attack_nonmember_share):
        assert attack(predictions, nonmembers="remaining") == attack(remaining)
        assert attack(predictions) != attack(remaining)


def test_nonmembers_of_remaining_classes_must_exist(simulate):
    predictions = simulate(0)
    predictions = predictions._replace(test_forgotten=np.ones_like(predictions.test_forgotten))
    with pytest.raises(InputError, match="nonmembers='remaining': every test example"):
        entropy_attack_member_percent(predictions, nonmembers="remaining")


def test_the_svc_draws_the_same_rows_for_the_same_seed(simulate):
    predictions = simulate(0, lead=5.0)
    shares = [svc_attack_nonmember_share(predictions, max_examples=60, seed=s) for s in (1, 1, 2)]
    assert shares[0] == shares[1] != shares[2]


def test_a_limit_above_the_data_is_no_limit(simulate):
    predictions = simulate(0)
    everything = svc_attack_nonmember_share(predictions, max_examples=None)
    assert svc_attack_nonmember_share(predictions, max_examples=10**6) == everything


def test_a_model_that_is_not_finite_has_no_attack(simulate, map_logits):
    broken = map_logits(simulate(0), lambda x: np.where(x > 5, np.nan, x))
    assert np.isnan(entropy_attack_member_percent(broken))
    assert np.isnan(svc_attack_nonmember_share(broken))


def test_unknown_choices_are_named(simulate):
    predictions = simulate(0)
    with pytest.raises(InputError, match="feature='confidenc': did you mean confidence"):
        svc_attack_nonmember_share(predictions, "confidenc")
    with pytest.raises(InputError, match="feature='loss'"):
        membership_feature(np.eye(3), np.arange(3), "loss")
    with pytest.raises(InputError, match="variant='salum': did you mean salun"):
        probabilities.modified_entropy(np.eye(3), np.arange(3), variant="salum")
    with pytest.raises(InputError, match="variant='salun': expected 'definition' for feature="):
        svc_attack_nonmember_share(predictions, variant="salun")
    with pytest.raises(InputError, match="nonmembers='all'"):
        entropy_attack_member_percent(predictions, nonmembers="all")
    with pytest.raises(InputError, match="max_examples=0"):
        svc_attack_nonmember_share(predictions, max_examples=0)
    with pytest.raises(InputError, match="seed=-1"):
        svc_attack_nonmember_share(predictions, seed=-1)


@pytest.mark.parametrize("scale", [1e-2, 1e-5, 1e-7])
def test_the_entropy_attack_sees_small_differences(scale):
    # Feature values of certain models: far below the step at which the common solver stops.
    rng = np.random.default_rng(0)
    members, others = (scale * (rng.random(n) + low) for n, low in ((2000, 0.0), (500, 1.0)))
    assert percent_called_member(members, others, members) > 99.0
    assert percent_called_member(members, others, others) < 1.0


@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_features_that_differ_by_rounding_alone_give_nan_and_say_so(offset):
    rng = np.random.default_rng(0)
    sides = [offset + 1e-16 * rng.integers(0, 9, 50) for _ in range(3)]
    with pytest.warns(UserWarning, match="entropy attack: its feature does not tell"):
        assert np.isnan(percent_called_member(*sides))
    with pytest.warns(UserWarning, match="SVC attack: its feature does not tell"):
        assert np.isnan(share_called_nonmember(*sides))


def test_extreme_logits_give_a_share_as_any_others(simulate, map_logits):
    extreme = map_logits(simulate(0), lambda logits: 1e4 * logits)
    for feature in FEATURES:
        assert 0.0 <= svc_attack_nonmember_share(extreme, feature) <= 1.0


def test_a_label_that_is_no_class_is_named(simulate):
    predictions = simulate(0)
    label = predictions.forget.label.copy()
    label[0] = -1
    wrong = predictions._replace(forget=predictions.forget._replace(label=label))
    for attack in (entropy_attack_member_percent, svc_attack_nonmember_share):
        with pytest.raises(InputError, match=r"label=-1\.\.\d+: expected classes in \[0, "):
            attack(wrong)
