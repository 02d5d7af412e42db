"""Partners: whole numbers that follow a rule, whatever the compiler does."""

import jax
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.functional import draw_partners, target_classes


def _case(seed, num_classes, forget, retain, concentration):
    """Random preferences over all classes but a label, and retain labels of random frequency."""
    rng = np.random.default_rng(seed)
    frequency = rng.dirichlet(np.full(num_classes, concentration))
    retain_labels = rng.choice(num_classes, retain, p=frequency).astype(np.int32)
    labels = rng.integers(0, num_classes, forget).astype(np.int32)
    logits = rng.normal(size=(forget, num_classes)).astype(np.float32)
    preferences = np.asarray(target_classes(logits, labels, num_classes - 1))
    return preferences, retain_labels


def _expected_classes(preferences, retain_labels, num, num_classes):
    """The rule in plain Python: class of every slot, -1 where none is left."""
    stock = np.bincount(retain_labels, minlength=num_classes).tolist()
    classes = []
    for row in preferences.tolist():
        found = []
        for candidate in row:
            if len(found) < num and stock[candidate] and candidate not in found:
                stock[candidate] -= 1
                found.append(candidate)
        classes.append(found + [-1] * (num - len(found)))
    return np.array(classes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("num_classes", "retain", "concentration"),
    [(5, 150, 5.0), (5, 150, 0.5), (8, 170, 0.3), (8, 60, 0.2), (3, 40, 1.0)],
)
def test_partners_follow_the_rule_and_serve_once_for_any_class_imbalance(
    seed, num_classes, retain, concentration
):
    num = min(4, num_classes - 1)
    preferences, retain_labels = _case(seed, num_classes, 40, retain, concentration)
    rows = np.asarray(draw_partners(jax.random.key(seed), preferences, retain_labels, num))
    expected = _expected_classes(preferences, retain_labels, num, num_classes)
    drawn = rows[rows >= 0]
    assert rows.dtype == np.int32
    assert rows.min() >= -1
    assert rows.max() < retain
    assert len(np.unique(drawn)) == len(drawn)
    np.testing.assert_array_equal(np.where(rows >= 0, retain_labels[rows], -1), expected)


def test_the_imbalanced_cases_contain_substitutes_and_empty_slots():
    substitutes = empty = 0
    for seed in range(4):
        preferences, retain_labels = _case(seed, 8, 40, 60, 0.2)
        expected = _expected_classes(preferences, retain_labels, 4, 8)
        empty += (expected < 0).sum()
        substitutes += ((expected >= 0) & (expected != preferences[:, :4])).sum()
    assert substitutes > 0
    assert empty > 0


def test_without_exhaustion_every_slot_gets_its_own_class():
    preferences, _ = _case(0, 6, 30, 1, 1.0)
    retain_labels = np.repeat(np.arange(6, dtype=np.int32), 30)
    rows = np.asarray(draw_partners(jax.random.key(0), preferences, retain_labels, 4))
    np.testing.assert_array_equal(retain_labels[rows], preferences[:, :4])


def test_a_retain_set_just_large_enough_is_used_up():
    preferences = np.array([[1, 2], [1, 2], [2, 1]], np.int32)
    retain_labels = np.array([2, 1, 1, 2, 1, 2], np.int32)
    rows = draw_partners(jax.random.key(1), preferences, retain_labels, 2)
    np.testing.assert_array_equal(np.sort(rows, axis=None), np.arange(6))


@pytest.mark.parametrize("seed", range(3))
def test_half_of_ten_classes_run_out_and_the_order_of_probability_holds(seed):
    rng = np.random.default_rng(seed)
    stock = np.array([60, 70, 80, 90, 100, 1, 2, 3, 4, 0])
    retain_labels = rng.permutation(np.repeat(np.arange(10, dtype=np.int32), stock))
    labels = rng.integers(0, 10, 60).astype(np.int32)
    # The rare classes are what most images prefer.
    logits = rng.normal(size=(60, 10)).astype(np.float32) + np.where(stock < 5, 1.5, 0)
    preferences = np.asarray(target_classes(logits, labels, 9))
    rows = np.asarray(draw_partners(jax.random.key(seed), preferences, retain_labels, 4))
    expected = _expected_classes(preferences, retain_labels, 4, 10)
    np.testing.assert_array_equal(retain_labels[rows], expected)
    assert len(np.unique(rows)) == rows.size
    assert (np.bincount(expected.ravel(), minlength=10)[5:] == stock[5:]).all()
    chosen = np.take_along_axis(logits, expected, axis=1)
    assert (np.diff(chosen, axis=1) < 0).all()
    moved = (expected != preferences[:, :4]).any(axis=1)
    assert moved.mean() > 0.8


def test_a_class_that_ran_out_is_passed_over_and_leaves_no_gap():
    preferences = np.array([[1, 2, 3, 4]], np.int32)
    rows = draw_partners(jax.random.key(0), preferences, np.array([2, 4, 3], np.int32), 2)
    np.testing.assert_array_equal(rows, [[0, 2]])


def test_slots_that_stay_empty_are_the_last():
    preferences = np.array([[1, 2, 3], [1, 2, 3]], np.int32)
    rows = draw_partners(jax.random.key(0), preferences, np.array([1, 3, 3], np.int32), 3)
    np.testing.assert_array_equal(np.asarray(rows)[:, 2], [-1, -1])
    assert rows[0, 0] == 0
    assert sorted([int(rows[0, 1]), int(rows[1, 0])]) == [1, 2]
    assert rows[1, 1] == -1


def test_an_empty_retain_set_leaves_every_slot_empty():
    rows = draw_partners(jax.random.key(0), np.array([[1, 0]]), np.zeros(0, np.int32), 2)
    np.testing.assert_array_equal(rows, [[-1, -1]])


def test_a_class_named_twice_by_an_image_serves_it_once():
    preferences = np.array([[1, 1, 1, 0]], np.int32)
    rows = draw_partners(jax.random.key(0), preferences, np.array([1, 1, 1, 0], np.int32), 3)
    assert rows[0, 0] in (0, 1, 2)
    np.testing.assert_array_equal(rows[0, 1:], [3, -1])


def test_every_retain_image_of_a_class_is_equally_likely():
    preferences, retain_labels = np.array([[1], [1]]), np.array([0, 1, 1, 0, 1, 1, 1])
    keys = jax.random.split(jax.random.key(3), 2000)
    rows = jax.vmap(lambda key: draw_partners(key, preferences, retain_labels, 1))(keys)
    counts = np.stack([np.bincount(slot, minlength=7) for slot in np.asarray(rows[:, :, 0]).T])
    np.testing.assert_array_equal(counts[:, [0, 3]], 0)
    # Binomial(2000, 1/5): five standard deviations are 89.
    assert np.abs(counts[:, [1, 2, 4, 5, 6]] - 400).max() < 90


def test_partners_depend_on_the_key_alone_and_jit_changes_nothing():
    preferences, retain_labels = _case(1, 8, 40, 170, 0.3)
    jitted = jax.jit(draw_partners, static_argnames=("num", "num_classes"))
    rows = draw_partners(jax.random.key(5), preferences, retain_labels, 4)
    again = jitted(jax.random.key(5), preferences, retain_labels, num=4)
    other = draw_partners(jax.random.key(6), preferences, retain_labels, 4)
    np.testing.assert_array_equal(rows, again)
    assert not np.array_equal(rows, other)


def test_short_preferences_need_the_number_of_classes():
    preferences, retain_labels = np.array([[7, 3]]), np.array([7, 3, 9])
    rows = draw_partners(jax.random.key(0), preferences, retain_labels, 2, num_classes=10)
    np.testing.assert_array_equal(rows, [[0, 1]])
    with pytest.raises(InputError, match=r"^preferences=7: expected classes in \[0, 3\).*num_cl"):
        draw_partners(jax.random.key(0), preferences, retain_labels, 2)


def test_retain_labels_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"^retain_labels=-1: expected classes in \[0, 3\)"):
        draw_partners(jax.random.key(0), np.array([[0, 1]]), np.array([-1, 2]), 1)


@pytest.mark.parametrize("num", [0, 3, 1.5])
def test_partners_beyond_the_preferences_are_refused(num):
    with pytest.raises(InputError, match=r"^num=.*: expected a whole number >= 1 and <= 2$"):
        draw_partners(jax.random.key(0), np.array([[0, 1]]), np.array([0, 1]), num)
