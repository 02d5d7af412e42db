import dataclasses
import json
import warnings

import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import (
    by_class,
    by_ids,
    by_subclass,
    hardest,
    make_request,
    random,
    split,
    subset,
    test_forgotten,
)


def labels_of(dataset, request):
    return dataset.train.label[np.isin(dataset.train.id, request.ids)]


def test_a_class_request_names_every_image_of_the_class_and_no_other(dataset):
    request = by_class(dataset, 1)
    np.testing.assert_array_equal(labels_of(dataset, request), np.ones(20))
    assert (request.name, request.arguments, request.classes) == ("class", {"classes": [1]}, (1,))
    assert request.ids.dtype == np.int64
    assert (np.diff(request.ids) > 0).all()


def test_classes_go_by_number_name_or_both_in_any_order(dataset):
    requests = [by_class(dataset, c) for c in ([2, 0], ["air", 2], ("water", "0"), [0, 2, 2])]
    assert len({r.hash for r in requests}) == 1
    np.testing.assert_array_equal(np.unique(labels_of(dataset, requests[0])), [0, 2])


def test_a_subclass_request_takes_one_fine_class_out_of_its_class(dataset):
    request = by_subclass(dataset, "fine3")
    mask = np.isin(dataset.train.id, request.ids)
    np.testing.assert_array_equal(mask, dataset.train_fine == 3)
    np.testing.assert_array_equal(np.unique(dataset.train.label[mask]), [1])
    assert (dataset.train.label[~mask] == 1).sum() == 10


def test_a_random_request_takes_the_same_share_of_every_class(dataset):
    for request in (random(dataset, fraction=0.1), random(dataset, count=6)):
        np.testing.assert_array_equal(np.bincount(labels_of(dataset, request)), [2, 2, 2])


def test_an_unstratified_random_request_is_uniform_over_images(dataset):
    counts = sum(
        np.isin(dataset.train.id, random(dataset, count=20, seed=s, stratified=False).ids)
        for s in range(300)
    )
    # Binomial(300, 1/3): five standard deviations are 41.
    assert np.abs(counts - 100).max() < 41
    shares = {
        tuple(np.bincount(labels_of(dataset, random(dataset, count=20, seed=s, stratified=False))))
        for s in range(5)
    }
    assert len(shares) > 1


def test_a_random_request_repeats_for_its_seed_only(dataset):
    assert random(dataset, 0.2, seed=4).hash == random(dataset, 0.2, seed=4).hash
    assert (random(dataset, 0.2, seed=4).ids != random(dataset, 0.2, seed=5).ids).any()


def test_the_hardest_are_those_of_lowest_margin(dataset):
    margins = np.linspace(1, -1, 60)
    request = hardest(dataset, margins, count=3, arguments={"models": 5, "seeds": [0, 1]})
    # Ids run backwards, so the last rows have the lowest ids and here the lowest margins.
    np.testing.assert_array_equal(request.ids, [500, 501, 502])
    assert request.arguments == {"count": 3, "models": 5, "seeds": [0, 1]}
    assert len(hardest(dataset, margins, fraction=0.1).ids) == 6


def test_equal_margins_go_by_the_order_of_the_data(dataset):
    np.testing.assert_array_equal(hardest(dataset, np.zeros(60), count=2).ids, [558, 559])


@pytest.mark.parametrize("kind", ["npy", "json", "txt", "list", "array"])
def test_ids_come_from_every_kind_of_file_and_from_memory(dataset, tmp_path, kind):
    ids = [510, 505, 555]
    path = tmp_path / f"ids.{kind}"
    if kind == "npy":
        np.save(path, np.array(ids))
    if kind == "json":
        path.write_text(json.dumps(ids))
    if kind == "txt":
        path.write_text("510\n505\n555\n")
    given = {"list": ids, "array": np.array(ids, np.uint16)}.get(kind, path)
    request = by_ids(dataset, given)
    np.testing.assert_array_equal(request.ids, [505, 510, 555])
    assert request.hash == by_ids(dataset, ids).hash


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.txt", "\ufeff510\n505\n".encode()),
        ("ids.txt", "\ufeff510\n505\n".encode("utf-16-le")),
        ("ids.txt", "\ufeff510\r\n505\r\n".encode("utf-16-be")),
        ("ids.txt", "\ufeff510\n505\n".encode("utf-32-le")),
        ("ids.txt", b"+510 0505"),
        ("ids.json", "\ufeff[510, 505]".encode()),
        ("ids.json", "\ufeff[510, 505]".encode("utf-16-le")),
    ],
)
def test_a_byte_order_mark_tells_the_encoding(dataset, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(by_ids(dataset, tmp_path / name).ids, [505, 510])


def test_large_unsigned_ids_are_compared_exactly(dataset):
    near = 2**62 + np.arange(60, dtype=np.int64)
    large = dataclasses.replace(dataset, train=dataset.train._replace(id=near))
    ids = near[[3, 4]].astype(np.uint64)
    np.testing.assert_array_equal(by_ids(large, ids).ids, near[[3, 4]])
    with pytest.raises(InputError, match=r"1 of 1 are not training ids"):
        by_ids(large, np.array([2**62 - 1], np.uint64))


def test_a_split_parts_the_training_set_and_keeps_its_order(dataset):
    request = random(dataset, count=7, seed=2)
    forget, retain = split(dataset, request)
    assert (len(forget.label), len(retain.label)) == (7, 53)
    np.testing.assert_array_equal(np.sort(forget.id), request.ids)
    assert not set(forget.id) & set(retain.id)
    assert (np.diff(retain.id) < 0).all()
    rows = np.isin(dataset.train.id, request.ids)
    np.testing.assert_array_equal(forget.image, dataset.train.image[rows])


def test_whole_classes_are_forgotten_in_the_test_set_and_samples_are_not(dataset):
    forgotten = test_forgotten(dataset, by_class(dataset, [0, 2]))
    np.testing.assert_array_equal(forgotten, dataset.test.label != 1)
    forgotten = test_forgotten(dataset, by_subclass(dataset, 5))
    np.testing.assert_array_equal(forgotten, dataset.test_fine == 5)
    assert not test_forgotten(dataset, random(dataset, count=5)).any()
    all_of_a_class = dataset.train.id[dataset.train.label == 1]
    assert not test_forgotten(dataset, by_ids(dataset, all_of_a_class)).any()


@pytest.mark.parametrize("stratified", [True, False])
def test_parts_of_a_random_draw_share_no_image(dataset, stratified):
    parts = [random(dataset, count=20, part=k, stratified=stratified).ids for k in range(3)]
    assert sorted(np.concatenate(parts)) == sorted(dataset.train.id)
    np.testing.assert_array_equal(parts[0], random(dataset, count=20, stratified=stratified).ids)
    with pytest.raises(InputError, match=r"part=3: expected a whole number >= 0 and <= 2"):
        random(dataset, count=20, part=3)


def test_the_hash_changes_with_the_kind_each_argument_the_ids_and_the_data(dataset):
    flipped = dataset.train._replace(image=255 - dataset.train.image)
    margins = np.arange(60.0)
    requests = [
        random(dataset, count=6),
        random(dataset, fraction=0.1),
        random(dataset, count=6, seed=1),
        random(dataset, count=6, stratified=False),
        random(dataclasses.replace(dataset, train=flipped), count=6),
        by_ids(dataset, random(dataset, count=6).ids),
        by_class(dataset, 0),
        by_ids(dataset, by_class(dataset, 0).ids),
        hardest(dataset, margins, count=6),
        hardest(dataset, -margins, count=6),
        hardest(dataset, margins, count=6, arguments={"models": 3}),
        hardest(dataset, margins, count=6, arguments={"models": 4}),
    ]
    assert len({r.hash for r in requests}) == len(requests)


def test_arguments_can_be_written_as_json(dataset):
    requests = [
        random(dataset, count=np.int64(3)),
        random(dataset, fraction=np.float32(0.5)),
        by_class(dataset, np.int32(1)),
        by_subclass(dataset, np.array([1, 2])),
    ]
    for request in requests:
        assert json.loads(json.dumps(request.arguments)) == request.arguments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: by_class(d, 3), "classes=3: expected a whole number >= 0 and <= 2"),
        (lambda d: by_class(d, -1), "classes=-1: expected"),
        (lambda d: by_class(d, 1.5), "classes=1.5: expected a whole number"),
        (lambda d: by_class(d, "fire"), "classes='fire': .*expected one of air, earth, water"),
        (lambda d: by_class(d, "eart"), "did you mean earth"),
        (lambda d: by_class(d, []), "forgets 0 of 60"),
        (lambda d: by_class(d, [[0], [1, 2]]), r"classes=\[0\]: expected a whole number"),
        (lambda d: by_class(d, True), "classes=True: expected a whole number"),
        (lambda d: by_class(d, "1_0"), "classes='1_0': .*expected one of air"),
        (lambda d: by_class(d, "9" * 5000), "expected a whole number >= 0 and <= 2"),
        (lambda d: by_class(d, [0, 1, 2]), "forgets 60 of 60 .*expected 1 to 59"),
        (lambda d: by_subclass(d, 6), "fine_classes=6: expected a whole number >= 0 and <= 5"),
        (lambda d: by_subclass(d, range(6)), "forgets 60 of 60"),
        (lambda d: random(d), "fraction=None, count=None: expected exactly one"),
        (lambda d: random(d, 0.1, 5), "fraction=0.1, count=5: expected exactly one"),
        (lambda d: random(d, 0.0), "fraction=0.0: expected a number > 0"),
        (lambda d: random(d, -0.1), "fraction=-0.1: expected"),
        (lambda d: random(d, float("nan")), "fraction=nan: expected"),
        (lambda d: random(d, 1.5), "fraction=1.5: expected a number > 0 and <= 1"),
        (lambda d: random(d, 1.0), "fraction=1.0: is 60 of 60 .*expected 1 to 59"),
        (lambda d: random(d, 0.001), "fraction=0.001: is 0 of 60 .*some are forgotten"),
        (lambda d: random(d, count=0), "count=0: expected a whole number >= 1 and <= 59"),
        (lambda d: random(d, count=60), "count=60: expected"),
        (lambda d: random(d, count=2.5), "count=2.5: expected a whole number"),
        (lambda d: random(d, 0.1, seed=-1), "seed=-1: expected a whole number >= 0"),
        (lambda d: hardest(d, np.zeros(59), 0.1), r"margins=float64 \[59\]: expected 60 finite"),
        (lambda d: hardest(d, np.full(60, np.nan), 0.1), "expected 60 finite floats"),
        (lambda d: hardest(d, np.zeros(60, int), 0.1), "margins=int64"),
        (lambda d: hardest(d, [[0.1]] * 59 + [[0.1, 0.2]], 0.1), "margins=object .*60 finite fl"),
        (lambda d: hardest(d, np.zeros(60), 0.1, arguments={"m": {1}}), "arguments=.*plain"),
        (lambda d: by_ids(d, [501, 501]), "ids: 501 occurs 2 times: expected each id once"),
        (lambda d: by_ids(d, [501, 7]), "ids: 1 of 2 are not training ids of toy, 7 the first"),
        (lambda d: by_ids(d, [1.5]), "expected a list of whole numbers"),
        (lambda d: by_ids(d, [[501]]), "expected a list of whole numbers"),
        (
            lambda d: by_ids(d, [501, [502, 503]]),
            r"ids: \[502, 503\] is not a whole number: expected",
        ),
        (lambda d: by_ids(d, [501, True]), "ids: True is not a whole number: expected a list"),
        (lambda d: by_ids(d, [501, "502"]), "ids: '502' is not a whole number"),
        (lambda d: by_ids(d, None), "ids: an object of type NoneType: expected a list of whole"),
        (lambda d: by_ids(d, 501), "ids: an object of type int: expected a list of whole"),
        (lambda d: by_ids(d, np.array([501, 2**70])), "ids: 1180.* is too large"),
        (lambda d: by_ids(d, np.array(["501"])), "ids: <U3 .*expected a list of whole"),
        (lambda d: by_ids(d, [501, None]), "ids: None is not a whole number"),
        (lambda d: by_ids(d, [501, 2**64]), "ids: 18446744073709551616 is too large"),
        (lambda d: by_ids(d, np.array([2**64 - 1], np.uint64)), "ids: 1844.*5 is too large: ex"),
        (lambda d: by_ids(d, np.array([True, False])), "ids: bool .*expected a list of whole"),
        (lambda d: by_ids(d, []), "forgets 0 of 60"),
        (lambda d: by_ids(d, d.train.id), "forgets 60 of 60"),
    ],
)
def test_an_impossible_request_is_refused_in_one_line(dataset, make, message):
    with pytest.raises(InputError, match=message) as caught:
        make(dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npy", None, "none.npy': no such file"),
        ("ids.csv", b"1,2", "'.csv': .*expected one of .json, .npy, .txt"),
        ("ids.npy", b"", "cannot be read"),
        ("ids.txt", b"501\nx\n", "cannot be read .*expected whole numbers"),
        ("ids.json", b"[1,", "cannot be read"),
        ("ids.json", b'{"a": 1}', "expected a list of whole numbers"),
        ("ids.json", b"[1, [2, 3]]", "cannot be read"),
        ("ids.txt", b"", "forgets 0 of 60"),
        (
            "ids.txt",
            b"501\n1_0\n",
            r"cannot be read \('1_0' is not a whole number\): expected whole",
        ),
        ("ids.txt", "501 \u0665".encode(), "cannot be read .*is not a whole number"),
        ("ids.txt", b"501\n9223372036854775808", "cannot be read .*5808 is too large; ids are"),
        ("ids.txt", b"1" * 5000, "cannot be read"),
        ("ids.txt", b"\xff\xfe\x35", "cannot be read"),
        ("ids.txt", b"\x93NUMPY", "cannot be read"),
        ("ids.json", b"[501, true]", "cannot be read .*True is not a whole number"),
        ("ids.json", b"[501, 1.0]", "cannot be read .*1.0 is not a whole number"),
        ("ids.json", b'[501, "502"]', "cannot be read .*'502' is not a whole number"),
        ("ids.json", b"[501, null]", "cannot be read .*None is not a whole number"),
        ("ids.json", b"[1" + b"0" * 30 + b"]", "cannot be read .*is too large"),
        ("ids.json", b"[" * 100_000, "cannot be read"),
        ("ids.json", b"7", "expected a list of whole numbers"),
    ],
)
def test_a_bad_file_of_ids_is_refused_in_one_line(dataset, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        by_ids(dataset, tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_npz_under_an_npy_s_name_is_refused_with_its_arrays(dataset, tmp_path):
    with (tmp_path / "ids.npy").open("wb") as file:
        np.savez(file, forget=np.array([501]), retain=np.array([502]))
    with pytest.raises(InputError, match=r"an \.npz with the arrays forget, retain; write one of"):
        by_ids(dataset, tmp_path / "ids.npy")


def test_a_name_that_a_command_cannot_give_comes_with_its_number(dataset):
    names = ("fish, tropical", "a=b", "plain")
    renamed = dataclasses.replace(dataset, class_names=names)
    assert by_class(renamed, "fish, tropical").classes == (0,)
    with pytest.raises(InputError, match=r"classes='fish': .*by its number: 'fish, tropical' is 0"):
        make_request("class:fish, tropical", renamed)
    with pytest.raises(InputError, match=r"option='a': .*an equals sign by its number"):
        make_request("class:a=b", renamed)
    assert make_request("class:0", renamed).classes == (0,)


def test_a_number_that_is_also_another_class_s_name_is_reported(dataset):
    counted = dataclasses.replace(dataset, class_names=("1", "2", "3"))
    with pytest.warns(UserWarning, match="classes='1': digits are a class number, .* named '2'"):
        assert by_class(counted, "1").classes == (1,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert by_class(counted, 1).classes == (1,)
        assert by_class(dataset, "1").classes == (1,)


def test_subclasses_need_fine_labels(dataset):
    flat = dataclasses.replace(dataset, train_fine=None, test_fine=None, fine_names=())
    with pytest.raises(InputError, match=r"dataset='toy': has no fine labels.*cifar20"):
        by_subclass(flat, 1)


def test_a_request_for_other_data_is_not_split(dataset):
    request = random(dataset, 0.5, seed=1)
    with pytest.raises(InputError, match="are not training ids of toy"):
        split(subset(dataset, train_size=30), request)
