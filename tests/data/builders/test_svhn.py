"""SVHN from files as its authors publish them."""

import numpy as np
import pytest
from scipy.io import savemat

from jax_unlearn.core import InputError
from jax_unlearn.data import load
from jax_unlearn.data.builders.svhn import read_svhn

LABELS = {"train": [1, 10, 9, 2, 3, 4, 5, 6, 7, 8, 10], "test": [10, 1]}


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return {
        split: rng.integers(0, 256, (len(labels), 32, 32, 3), np.uint8)
        for split, labels in LABELS.items()
    }


def write(folder, images, **changed):
    """Write both files; the originals' X is [32, 32, 3, N] and y [N, 1]."""
    folder.mkdir(exist_ok=True)
    for split, labels in LABELS.items():
        arrays = {"X": np.moveaxis(images[split], 0, -1), "y": np.uint8(labels)[:, None]}
        savemat(folder / f"{split}_32x32.mat", arrays | changed, do_compression=True)
    return folder


def test_images_come_out_in_their_order_and_the_zero_is_label_0(images, tmp_path):
    svhn = load("svhn", write(tmp_path / "data", images), tmp_path / "cache")
    assert (svhn.num_classes, svhn.class_names) == (10, tuple("0123456789"))
    for split, labels in LABELS.items():
        examples = getattr(svhn, split)
        np.testing.assert_array_equal(examples.image, images[split])
        np.testing.assert_array_equal(examples.label, np.array(labels) % 10)
        np.testing.assert_array_equal(examples.id, np.arange(len(labels)))


def test_one_file_of_two_is_not_enough_and_the_message_says_where_both_are(images, tmp_path):
    (write(tmp_path / "data", images) / "test_32x32.mat").unlink()
    both = r"archives train_32x32\.mat and test_32x32\.mat"
    with pytest.raises(InputError, match=both) as caught:
        load("svhn", tmp_path / "data", tmp_path / "cache")
    assert "http://ufldl.stanford.edu/housenumbers/test_32x32.mat into" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": np.zeros((11, 1), np.uint8)}, "labels reach from 0 to 0: expected .* 1 to 10"),
        ({"y": np.ones((3, 1), np.uint8)}, r"X is uint8 \[32, 32, 3, 11\] and y has 3 labels"),
        ({"X": np.zeros((32, 32, 3, 11))}, r"X is float64 .*fetch the cropped digits"),
    ],
)
def test_other_content_is_refused(images, tmp_path, changed, message):
    folder = write(tmp_path, images, **changed)
    with pytest.raises(InputError, match=message):
        read_svhn(folder / "train_32x32.mat", folder / "test_32x32.mat")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"MATLAB 5.0"])
def test_a_damaged_file_is_refused_in_one_line(images, tmp_path, content):
    folder = write(tmp_path, images)
    (folder / "train_32x32.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read .*fetch it again") as caught:
        read_svhn(folder / "train_32x32.mat", folder / "test_32x32.mat")
    assert "\n" not in str(caught.value)


def test_a_file_without_the_arrays_is_refused(tmp_path):
    savemat(tmp_path / "a.mat", {"digits": np.zeros(3)})
    with pytest.raises(InputError, match="it has no X and y"):
        read_svhn(tmp_path / "a.mat", tmp_path / "a.mat")
