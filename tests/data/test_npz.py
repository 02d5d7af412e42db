import dataclasses
import warnings

import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import load, load_npz, save_npz


def plain(**changes):
    """Arrays of a small valid file, with some replaced; None drops one."""
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (6, 4, 4, 3), np.uint8),
        "train_labels": np.arange(6) % 3,
        "test_images": rng.integers(0, 256, (3, 4, 4, 3), np.uint8),
        "test_labels": np.arange(3),
    }
    return {key: value for key, value in (arrays | changes).items() if value is not None}


def test_a_dataset_comes_back_as_it_was_saved(tmp_path, dataset):
    save_npz(tmp_path / "toy.npz", dataset)
    again = load_npz(tmp_path / "toy.npz")
    assert again.fingerprint == dataset.fingerprint
    for field in ("name", "num_classes", "class_names", "fine_names"):
        assert getattr(again, field) == getattr(dataset, field)
    assert [p.name for p in tmp_path.iterdir()] == ["toy.npz"]


def test_a_dataset_without_fine_labels_comes_back_without(tmp_path, dataset):
    flat = dataclasses.replace(dataset, train_fine=None, test_fine=None, fine_names=())
    save_npz(tmp_path / "toy.npz", flat)
    again = load_npz(tmp_path / "toy.npz")
    assert again.train_fine is None
    assert again.fingerprint == flat.fingerprint


def test_ids_and_names_default_to_numbers(tmp_path):
    np.savez(tmp_path / "own.npz", **plain())
    own = load_npz(tmp_path / "own.npz")
    np.testing.assert_array_equal(own.train.id, np.arange(6))
    assert (own.name, own.num_classes, own.class_names) == ("own", 3, ("0", "1", "2"))
    assert [str(column.dtype) for column in own.train] == ["uint8", "int32", "int64"]


def test_coarse_labels_are_learned_and_labels_become_the_fine_ones(tmp_path):
    coarse = {"train_coarse_labels": np.arange(6) % 3 // 2, "test_coarse_labels": np.arange(3) // 2}
    np.savez(tmp_path / "own.npz", **plain(**coarse))
    own = load_npz(tmp_path / "own.npz")
    np.testing.assert_array_equal(own.train.label, [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(own.train_fine, [0, 1, 2, 0, 1, 2])
    assert (own.num_classes, own.fine_names) == (2, ("0", "1", "2"))


def test_names_may_name_classes_without_images(tmp_path):
    np.savez(tmp_path / "own.npz", **plain(class_names=np.array(["a", "b", "c", "d"])))
    with pytest.warns(UserWarning, match=r"no training images for 1 of the 4 classes: 3 \(d\); "):
        assert load_npz(tmp_path / "own.npz").num_classes == 4


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            np.arange(6) % 3 + 1,
            np.arange(3) + 1,
            r"1 of the 4 classes: 0 \(0\); .*from 1 need 1 sub",
        ),
        (
            np.arange(6) % 3 * 2,
            np.arange(3) * 2,
            r"2 of the 5 classes: 1 \(1\), 3 \(3\); .*out gaps",
        ),
        (np.arange(6) % 2 + 7, np.arange(3) + 7, r"8 of the 10 classes: 0 .*4 \(4\) and 3 more; "),
        (np.arange(6) % 2, np.arange(3), r"1 of the 3 classes: 2 \(2\); models cannot learn"),
    ],
)
def test_classes_without_training_images_are_reported(tmp_path, train, test, message):
    np.savez(tmp_path / "own.npz", **plain(train_labels=train, test_labels=test))
    with pytest.warns(UserWarning, match=message) as caught:
        load(tmp_path / "own.npz")
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


def test_labels_without_gaps_are_no_reason_to_warn(tmp_path):
    np.savez(tmp_path / "own.npz", **plain(test_labels=np.zeros(3, int)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_npz(tmp_path / "own.npz")


def with_shape(*shape):
    return {
        "train_images": np.zeros((6, *shape), np.uint8),
        "test_images": np.zeros((3, *shape), np.uint8),
    }


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 24, 48), (4, 9, 9), (1, 4, 4), (3, 5, 7)]
)
def test_channels_before_pixels_are_refused(tmp_path, shape):
    np.savez(tmp_path / "own.npz", **plain(**with_shape(*shape)))
    with pytest.raises(InputError, match=r"looks like \[N, C, H, W\]: .*transpose\(0, 2, 3, 1\)"):
        load_npz(tmp_path / "own.npz")


@pytest.mark.parametrize(
    "shape",
    [(8, 8, 1), (4, 4, 3), (5, 4, 1), (3, 3, 200), (1, 128, 9), (1, 100, 1), (2, 2, 2), (4, 4, 4)],
)
def test_unusual_shapes_with_channels_last_are_not(tmp_path, shape):
    np.savez(tmp_path / "own.npz", **plain(**with_shape(*shape)))
    assert load_npz(tmp_path / "own.npz").train.image.shape[1:] == shape


def test_an_encrypted_file_is_refused(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **plain())
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + place] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read \(.*password"):
        load_npz(path)


def test_the_ending_counts_in_either_case(tmp_path):
    with (tmp_path / "OWN.NPZ").open("wb") as file:
        np.savez(file, **plain())
    assert load(tmp_path / "OWN.NPZ").name == "OWN"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": None}, "test_labels missing: expected train_images, train_labels"),
        ({"train_images": np.zeros((6, 4, 4, 3))}, "train images are float64 .*expected uint8"),
        ({"train_images": np.zeros((6, 4, 4), np.uint8)}, "a grey image needs C = 1"),
        ({"train_labels": np.zeros(6)}, r"train_labels is float64 \[6\]: expected integers"),
        ({"train_labels": np.arange(5) % 3}, r"train labels are int32 \[5\]: expected int32 \[6\]"),
        ({"train_labels": np.zeros((6, 1), int)}, r"train_labels is int64 \[6, 1\]"),
        ({"train_labels": np.arange(6) - 1}, "train labels reach from -1 to 4: expected 0"),
        ({"train_labels": np.full(6, 2**40)}, "train_labels reaches 1099511627776"),
        ({"class_names": np.array(["a", "b"])}, "train labels reach from 0 to 2: expected 0 to 1"),
        ({"class_names": np.arange(3)}, r"class_names is int64 \[3\]: expected text"),
        ({"train_ids": np.array([0, 1, 2, 3, 4, 4])}, "train id 4 occurs 2 times"),
        ({"train_ids": np.arange(5)}, r"train ids are int64 \[5\]: expected int64 \[6\]"),
        ({"train_ids": np.arange(6) / 2}, "train_ids is float64"),
        ({"train_coarse_labels": np.arange(6) % 2}, "train_coarse_labels is there but not"),
        (
            {"train_labels": np.zeros(6, int), "test_labels": np.zeros(3, int)},
            "num_classes=1: expected a whole number >= 2",
        ),
        ({"train_images": np.array([{}] * 6, object)}, "cannot be read .*plain arrays"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, changes, message):
    np.savez(tmp_path / "own.npz", **plain(**changes))
    with pytest.raises(InputError, match=message) as caught:
        load_npz(tmp_path / "own.npz")
    assert "\n" not in str(caught.value)
    assert "own" in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"PK", lambda b: b""])
def test_a_corrupt_file_is_refused(tmp_path, damage):
    path = tmp_path / "own.npz"
    np.savez(path, **plain())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"own.npz': cannot be read \(.*write it again"):
        load_npz(path)


def test_a_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **plain())
    data = bytearray(path.read_bytes())
    data[data.find(plain()["train_images"].tobytes()[:16])] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be read .*CRC"):
        load_npz(path)


def test_a_single_npy_under_the_name_is_refused(tmp_path):
    with (tmp_path / "own.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(InputError, match="cannot be read"):
        load_npz(tmp_path / "own.npz")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none.npz': no such file: expected an .npz"):
        load_npz(tmp_path / "none.npz")


def test_a_failed_save_leaves_the_old_file(tmp_path, dataset, monkeypatch):
    save_npz(tmp_path / "toy.npz", dataset)
    before = (tmp_path / "toy.npz").read_bytes()

    def fail(file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_npz(tmp_path / "toy.npz", dataset)
    assert (tmp_path / "toy.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
