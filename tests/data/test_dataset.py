import dataclasses
import subprocess
import sys
import warnings

import numpy as np
import pytest

from jax_unlearn.core import Examples, InputError
from jax_unlearn.data import Dataset, hold_out, subset, take
from jax_unlearn.data.dataset import rows_per_class, stratified_rows


def changed(dataset, split, **columns):
    return dataclasses.replace(dataset, **{split: getattr(dataset, split)._replace(**columns)})


def test_importing_data_pulls_in_no_reader_and_starts_no_backend():
    code = (
        "import sys, jax_unlearn.data; from jax._src import xla_bridge; "
        "heavy = {'tensorflow_datasets', 'array_record', 'sklearn', 'PIL', 'scipy', 'grain'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); "
        "assert not xla_bridge.backends_are_initialized()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_take_keeps_ids_with_their_images(dataset):
    rows = np.array([7, 2])
    taken = take(dataset.train, rows)
    np.testing.assert_array_equal(taken.id, [552, 557])
    np.testing.assert_array_equal(taken.image, dataset.train.image[[7, 2]])
    mask = np.zeros(60, bool)
    mask[rows] = True
    np.testing.assert_array_equal(take(dataset.train, mask).label, dataset.train.label[[2, 7]])


@pytest.mark.parametrize(
    ("split", "column"), [("train", "image"), ("test", "image"), ("train", "label"), ("test", "id")]
)
def test_the_fingerprint_changes_with_every_column_of_both_splits(dataset, split, column):
    value = getattr(getattr(dataset, split), column).copy()
    value[0] = 1 if column == "label" else value[0] + 100
    assert changed(dataset, split, **{column: value}).fingerprint != dataset.fingerprint


def test_the_fingerprint_depends_on_content_alone(dataset):
    copy = Examples(*(np.asfortranarray(column.copy()) for column in dataset.train))
    same = dataclasses.replace(dataset, train=copy, name="other")
    assert same.fingerprint == dataset.fingerprint
    assert len(dataset.fingerprint) == 64


def test_the_fingerprint_changes_with_fine_labels(dataset):
    other = dataclasses.replace(dataset, train_fine=(dataset.train_fine + 1) % 6)
    assert other.fingerprint != dataset.fingerprint


def test_of_every_class_the_first_rows_of_an_order_are_kept():
    labels = np.array([7, 2, 7, 7, 2, 5])
    order = np.array([3, 5, 1, 0, 4, 2])
    np.testing.assert_array_equal(rows_per_class(labels, order, 1), [1, 3, 5])
    np.testing.assert_array_equal(rows_per_class(labels, order, 2), [0, 1, 3, 4, 5])
    np.testing.assert_array_equal(rows_per_class(labels, order, 9), np.arange(6))


def test_stratified_rows_share_by_class_size_and_give_the_rest_to_the_largest_remainders():
    labels = np.repeat([4, 5, 9], [50, 30, 20])
    np.testing.assert_array_equal(
        np.bincount(labels[stratified_rows(labels, 10, 0)])[[4, 5, 9]], [5, 3, 2]
    )
    # Shares 5.5, 3.3 and 2.2 of 11: the remainder .5 wins.
    np.testing.assert_array_equal(
        np.bincount(labels[stratified_rows(labels, 11, 0)])[[4, 5, 9]], [6, 3, 2]
    )


@pytest.mark.parametrize("count", [1, 7, 59, 60])
def test_stratified_rows_are_distinct_and_exactly_as_many_as_asked(dataset, count):
    rows = stratified_rows(dataset.train.label, count, seed=5)
    assert len(rows) == count
    assert (np.diff(rows) > 0).all()


def test_stratified_rows_differ_by_seed_and_repeat_for_one():
    labels = np.arange(100) % 4
    first, again, other = (stratified_rows(labels, 20, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_subset_has_exact_sizes_equal_classes_and_the_same_ids(dataset):
    small = subset(dataset, train_size=30, test_size=6, seed=1)
    np.testing.assert_array_equal(np.bincount(small.train.label), [10, 10, 10])
    np.testing.assert_array_equal(np.bincount(small.test.label), [2, 2, 2])
    rows = np.flatnonzero(np.isin(dataset.train.id, small.train.id))
    np.testing.assert_array_equal(small.train.image, dataset.train.image[rows])
    np.testing.assert_array_equal(small.train_fine, dataset.train_fine[rows])
    assert small.fingerprint != dataset.fingerprint
    assert small.class_names == dataset.class_names


def test_a_subset_without_sizes_is_the_dataset(dataset):
    assert subset(dataset).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("sizes", [{"train_size": 61}, {"test_size": 0}, {"train_size": 1.5}])
def test_a_subset_of_an_impossible_size_is_refused(dataset, sizes):
    with pytest.raises(InputError, match=rf"{next(iter(sizes))}=.*expected a whole number >= 1"):
        subset(dataset, **sizes)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "image",
            lambda d: d.image.astype(np.float32),
            "train images are float32 .*expected uint8",
        ),
        ("image", lambda d: d.image[..., 0], r"uint8 \[60, 5, 4\]: .*a grey image needs C = 1"),
        ("label", lambda d: d.label[:-1], r"train labels are int32 \[59\]: expected int32 \[60\]"),
        ("label", lambda d: d.label.astype(np.int64), "train labels are int64"),
        ("label", lambda d: d.label + np.int32(1), "reach from 1 to 3: expected 0 to 2"),
        ("label", lambda d: d.label - np.int32(1), "reach from -1 to 1: expected 0 to 2"),
        ("id", lambda d: d.id.astype(np.int32), "train ids are int32"),
        ("id", lambda d: d.id // 2, "train id 250 occurs 2 times: expected each id once"),
    ],
)
def test_a_wrong_column_is_refused(dataset, column, value, message):
    with pytest.raises(InputError, match=message):
        changed(dataset, "train", **{column: value(dataset.train)})


def test_splits_of_different_image_sizes_are_refused(dataset):
    with pytest.raises(InputError, match=r"test images are \[5, 3, 1\]: expected \[5, 4, 1\]"):
        changed(dataset, "test", image=dataset.test.image[:, :, 1:])


def test_fine_labels_of_one_split_are_refused(dataset):
    with pytest.raises(InputError, match="only one split has fine labels"):
        dataclasses.replace(dataset, test_fine=None)


def test_fine_labels_out_of_range_are_refused(dataset):
    with pytest.raises(InputError, match="train fine labels reach from 0 to 5: expected 0 to 4"):
        dataclasses.replace(dataset, fine_names=dataset.fine_names[:5])


def test_one_class_is_too_few(dataset):
    zero = np.zeros(60, np.int32)
    train, test = dataset.train._replace(label=zero), dataset.test._replace(label=zero[:12])
    with pytest.raises(InputError, match="num_classes=1: expected a whole number >= 2"):
        Dataset("toy", train, test, 1, ("all",))


@pytest.mark.parametrize("names", [("air", "earth"), ("air", "earth", "air")])
def test_names_that_do_not_fit_the_classes_are_refused(dataset, names):
    with pytest.raises(InputError, match="expected 3 different names, one for each class"):
        dataclasses.replace(dataset, class_names=names)


def test_a_subset_that_loses_classes_says_which(dataset):
    with pytest.warns(
        UserWarning, match=r"train_size=2: no training images for 1 of the 3 classes"
    ):
        assert len(subset(dataset, train_size=2).train.label) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        subset(dataset, train_size=3)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("image", [[1]], "train.image is of type list: expected an array"),
        ("label", None, "train.label is of type NoneType"),
        ("id", range(60), "train.id is of type range: expected an array; make one with numpy"),
    ],
)
def test_what_is_no_array_is_refused(dataset, column, value, message):
    with pytest.raises(InputError, match=message):
        changed(dataset, "train", **{column: value})


def test_what_is_held_out_leaves_the_training_split_and_keeps_its_ids(dataset):
    divided = hold_out(dataset, 12, seed=3)
    parts = (divided.train, divided.validation)
    assert sorted(np.concatenate([p.id for p in parts])) == sorted(dataset.train.id)
    for part in parts:
        rows = np.flatnonzero(np.isin(dataset.train.id, part.id))
        np.testing.assert_array_equal(part.image, dataset.train.image[rows])
    shares = [np.bincount(part.label, minlength=3) / len(part.label) for part in parts]
    np.testing.assert_allclose(*shares, atol=1 / 12)
    assert len(divided.train_fine) == 48
    assert divided.test is dataset.test


def test_the_same_seed_holds_out_the_same_and_every_draw_is_a_dataset_of_its_own(dataset):
    draws = [hold_out(dataset, 12, seed=seed) for seed in (0, 0, 1)]
    assert draws[0].fingerprint == draws[1].fingerprint
    assert draws[0].fingerprint != draws[2].fingerprint
    without = dataclasses.replace(draws[0], validation=None)
    assert without.fingerprint != draws[0].fingerprint


@pytest.mark.parametrize("size", [0, 60, 1.5])
def test_all_or_none_cannot_be_held_out(dataset, size):
    with pytest.raises(InputError, match=r"^validation_size="):
        hold_out(dataset, size)


def test_images_are_held_out_once(dataset):
    with pytest.raises(InputError, match=r"12 images are held out already"):
        hold_out(hold_out(dataset, 12), 5)
