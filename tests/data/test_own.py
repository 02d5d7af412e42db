"""A dataset of the user's own, by FILE.py:NAME wherever a name is accepted."""

import warnings

import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import load, open_stream

TEXT = """
import numpy as np
from jax_unlearn import Examples
from jax_unlearn.data import Dataset
from jax_unlearn.data.lazy import LazyImages

def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return Examples(images, (np.arange(count) % 3).astype(np.int32), np.arange(count))

def blobs(name="blobs"):
    return Dataset(name, split(12, 0), split(6, 1), 3, ("a", "b", "c"))

def from_folder(data_dir="nowhere"):
    return blobs(str(data_dir))

class Stored(LazyImages):
    def __init__(self, images):
        self.images, self.shape = images, images.shape
        self.identity = f"stored {images.sum()}"

    def read(self, rows):
        return self.images[rows].copy()

def lazy():
    train, test = (s._replace(image=Stored(s.image)) for s in (split(12, 0), split(6, 1)))
    return Dataset("blobs", train, test, 3, ("a", "b", "c"))

class Floats(Stored):
    def read(self, rows):
        return self.images[rows] / 255

def floats():
    train = split(12, 0)
    train = train._replace(image=Floats(train.image))
    return Dataset("floats", train, split(6, 1), 3, ("a", "b", "c"))

def gaps():
    return Dataset("gaps", split(12, 0), split(6, 1), 4, ("a", "b", "c", "d"))

def lists():
    train = split(12, 0)
    return Dataset("lists", train._replace(label=[0] * 12), split(6, 1), 3, ("a", "b", "c"))

def pair():
    return Dataset("pair", (1, 2), split(6, 1), 3, ("a", "b", "c"))

def fails():
    raise RuntimeError("no disk\\n  attached")

def asks(size):
    return blobs()

READY = blobs("ready")
NUMBER = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TEXT)
    return path


def refused(text, message, read=load, **options):
    with pytest.raises(InputError, match=message) as caught:
        read(text, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["blobs", "READY"])
def test_a_dataset_or_a_function_that_returns_one_is_loaded(file, name):
    dataset = load(f"{file}:{name}")
    assert dataset.name == name.lower()
    assert dataset.train.image.shape == (12, 4, 4, 3)
    assert load(f"{file}:blobs").fingerprint == load(f"{file}:READY").fingerprint


def test_a_module_s_dataset_is_loaded_by_the_module_s_name(file, monkeypatch):
    monkeypatch.syspath_prepend(file.parent)
    monkeypatch.chdir("/")
    assert load("mine:blobs").num_classes == 3


def test_the_data_folder_reaches_a_function_that_asks_for_it(file, tmp_path):
    assert load(f"{file}:from_folder").name == "nowhere"
    assert load(f"{file}:from_folder", tmp_path).name == str(tmp_path)
    for name in ("blobs", "READY"):
        refused(f"{file}:{name}", "data_dir='/x': .* has no argument data_dir", data_dir="/x")


def test_unread_images_are_streamed(file, tmp_path):
    streamed = open_stream(f"{file}:lazy", cache_dir=tmp_path / "cache")
    assert streamed.fingerprint == load(f"{file}:blobs").fingerprint
    assert list((tmp_path / "cache" / "fingerprints").iterdir())
    assert not isinstance(streamed.train.image, np.ndarray)
    refused(f"{file}:blobs", "its images are in memory: expected", open_stream)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blob", "has no blob: did you mean blobs"),
        ("NUMBER", "gives an object of type int: expected a jax_unlearn.data.Dataset"),
        (
            "split",
            r"the function fails \(TypeError: split\(\) missing 2 required positional arguments",
        ),
        ("asks", r"the function fails \(TypeError: asks\(\) missing 1 required"),
        (
            "fails",
            r"the function fails \(RuntimeError: no disk attached\): expected one with no arg",
        ),
        ("floats", r"reading an image gives float64 \[1, 4, 4, 3\]: expected uint8 \[1, 4"),
        ("lists", r"dataset='lists': train.label is of type list: expected an array"),
        ("pair", r"dataset='pair': train is of type tuple: expected jax_unlearn.Examples"),
    ],
)
def test_what_is_no_dataset_is_refused(file, name, message):
    refused(f"{file}:{name}", message)


def test_files_and_modules_that_are_missing_are_named(tmp_path):
    refused(f"{tmp_path / 'none.py'}:blobs", "dataset=.*none.py:blobs': no such file")
    refused("no_such_module:blobs", "dataset='no_such_module:blobs': there is no module")
    refused(f"{tmp_path / 'mine.py'}", "colon and the name")


def test_classes_without_training_images_are_reported_once(file):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(f"{file}:gaps")
    assert len(caught) == 1
    assert "dataset='gaps': no training images for 1 of the 4 classes: 3 (d)" in str(
        caught[0].message
    )
