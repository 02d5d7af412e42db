"""Requests that change the training data: labels, triggers, duplicates."""

import dataclasses

import numpy as np
import pytest

from jax_unlearn.core import Examples, InputError
from jax_unlearn.data import changed, hold_out, make_request, parse_request, split
from jax_unlearn.data.changes import backdoor, by_change, confuse, duplicate


def rows_of(dataset, ids):
    return np.flatnonzero(np.isin(dataset.train.id, ids))


def test_confused_labels_are_swapped_between_two_classes_and_nothing_else(dataset):
    spoilt = confuse(dataset, ["air", 2], 0.5, seed=1)
    rows = rows_of(dataset, spoilt.change.ids)
    before, after = dataset.train.label, spoilt.train.label
    assert set(before[rows]) == {0, 2}
    np.testing.assert_array_equal(after[rows], 2 - before[rows])
    np.testing.assert_array_equal(np.delete(after, rows), np.delete(before, rows))
    assert len(rows) == round(0.5 * np.isin(before, (0, 2)).sum())
    np.testing.assert_array_equal(spoilt.train.image, dataset.train.image)
    assert spoilt.test is dataset.test


def test_confusion_is_counted_on_test_images_of_both_classes_by_the_other_one(dataset):
    focus = confuse(dataset, [0, 2], 0.5).change.focus
    either = np.isin(dataset.test.label, (0, 2))
    assert (focus.measure, focus.split) == ("confusion", "test")
    np.testing.assert_array_equal(focus.id, dataset.test.id[either])
    np.testing.assert_array_equal(focus.label, 2 - dataset.test.label[either])


def test_a_trigger_is_stamped_on_images_of_other_classes_that_get_the_targets_label(dataset):
    spoilt = backdoor(dataset, 1, count=12, patch=1)
    rows = rows_of(dataset, spoilt.change.ids)
    assert len(rows) == 12
    assert 1 not in dataset.train.label[rows]
    assert set(spoilt.train.label[rows]) == {1}
    assert (spoilt.train.image[rows, -1, -1] == 255).all()
    touched = spoilt.train.image != dataset.train.image
    touched[rows, -1, -1] = False
    assert not touched.any()


def test_the_attack_is_tried_on_triggered_test_images_of_other_classes(dataset):
    change = backdoor(dataset, 1, count=12, patch=1).change
    others = dataset.test.label != 1
    assert len(change.probe.label) == others.sum()
    assert set(change.probe.label) == {1}
    assert (change.probe.image[:, -1, -1] == 255).all()
    np.testing.assert_array_equal(change.probe.image[:, :-1], dataset.test.image[others][:, :-1])
    assert not np.intersect1d(change.probe.id, dataset.test.id).size
    np.testing.assert_array_equal(change.focus.id, change.probe.id)


def test_copies_stand_at_the_end_with_ids_of_their_own(dataset):
    held_out = hold_out(dataset, 6)
    spoilt = duplicate(held_out, count=5, copies=2)
    rows, twins = rows_of(held_out, spoilt.change.ids), spoilt.train
    assert (len(rows), len(twins.label)) == (5, 54 + 10)
    for copy in (slice(54, 59), slice(59, 64)):
        np.testing.assert_array_equal(twins.image[copy], held_out.train.image[rows])
        np.testing.assert_array_equal(twins.label[copy], held_out.train.label[rows])
    known = np.concatenate([held_out.train.id, held_out.validation.id])
    assert not np.intersect1d(twins.id[54:], known).size
    assert len(spoilt.train_fine) == 64
    assert spoilt.change.focus.measure == "twin_accuracy"
    np.testing.assert_array_equal(spoilt.change.focus.id, twins.id[54:59])


def test_copies_are_retained_or_forgotten_too(dataset):
    for keep, forgotten in ((True, 5), (False, 10)):
        spoilt = duplicate(dataset, count=5, keep=keep)
        forget, retain = split(spoilt, by_change(spoilt))
        assert (len(forget.id), len(retain.id)) == (forgotten, 65 - forgotten)
        assert (spoilt.change.focus is None) is not keep


@pytest.mark.parametrize(
    "text",
    ["confused:0,2,0.5", "backdoor:1,12", "duplicated:5,copies=2", "duplicated:5,keep=false"],
)
def test_changed_data_is_other_data_and_says_what_is_to_be_forgotten(dataset, text):
    spoilt = changed(parse_request(text), dataset)
    assert spoilt.fingerprint != dataset.fingerprint
    again = changed(parse_request(text), dataset)
    assert again.fingerprint == spoilt.fingerprint
    request = make_request(text, spoilt)
    np.testing.assert_array_equal(request.ids, np.sort(spoilt.change.ids))
    assert request.hash == make_request(text, again).hash
    with pytest.raises(InputError, match=r"has been changed .* already"):
        changed(parse_request(text), spoilt)
    with pytest.raises(InputError, match=r"^change=None"):
        make_request(text, dataset)


def test_a_larger_trigger_is_other_data_even_where_no_training_image_tells(dataset):
    """The probe is part of the fingerprint: it is in the bank's outputs."""
    one = backdoor(dataset, 1, count=12)
    probe = one.change.probe._replace(image=one.change.probe.image + 1)
    other = dataclasses.replace(one, change=dataclasses.replace(one.change, probe=probe))
    assert other.fingerprint != one.fingerprint


def test_other_requests_leave_the_data_as_it_is(dataset):
    for text in ("class:0", "random:0.1", "hardest:0.1", "class:0-then-class:1"):
        assert changed(parse_request(text), dataset) is dataset


def test_what_is_evaluated_is_the_test_split_and_then_the_probe(dataset):
    assert dataset.evaluated is dataset.test
    spoilt = backdoor(dataset, 1, count=12)
    assert isinstance(spoilt.evaluated, Examples)
    total = len(dataset.test.label)
    np.testing.assert_array_equal(spoilt.evaluated.id[:total], dataset.test.id)
    np.testing.assert_array_equal(spoilt.evaluated.id[total:], spoilt.change.probe.id)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: confuse(d, [1], 0.5), r"classes=\[1\]: expected two different classes"),
        (lambda d: confuse(d, [1, 1], 0.5), r"classes=\[1, 1\]: expected two different classes"),
        (lambda d: confuse(d, [0, 7], 0.5), r"classes=7: expected a whole number"),
        (lambda d: backdoor(d, 9, 0.1), r"target=9: expected a whole number"),
        (lambda d: backdoor(d, 0, count=55), r"count=55: expected a number"),
        (lambda d: backdoor(d, 0, 0.1, patch=99), r"patch=99: expected a whole number"),
        (lambda d: duplicate(d, 0.1, copies=0), r"copies=0: expected a whole number >= 1"),
        (lambda d: duplicate(d, 0.1, copies=10**15), r"copies=10+: \d+ more images do not fit"),
        (lambda d: duplicate(d, 0.1, copies=10**30), r"copies=10+: expected a whole number >= 1 "),
        (lambda d: duplicate(d), r"expected exactly one of them"),
    ],
)
def test_what_cannot_be_done_is_refused(dataset, make, message):
    with pytest.raises(InputError, match=message) as caught:
        make(dataset)
    assert "\n" not in str(caught.value)
