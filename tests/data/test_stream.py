"""A streamed dataset is the dataset in memory, read later."""

import shutil
import sys
import threading
import time

import chex
import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import InputError
from jax_unlearn.data import by_class, load, random, split, subset
from jax_unlearn.data.prepared import prepared_folder
from jax_unlearn.data.stream import READERS, Records, open_stream
from jax_unlearn.engine import make_mesh

pytest.importorskip("grain")
KEY = jax.random.key(4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def both(cache):
    """Digits, prepared by our builder: in memory and streamed."""
    return load("digits", cache_dir=cache), open_stream("digits", cache_dir=cache)


def assert_equal(memory, streamed):
    for a, b in ((memory.train, streamed.train), (memory.test, streamed.test)):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, np.asarray(y))


def test_everything_about_it_is_equal(both):
    memory, streamed = both
    assert_equal(memory, streamed)
    assert streamed.fingerprint == memory.fingerprint
    assert (streamed.name, streamed.class_names) == (memory.name, memory.class_names)
    assert not isinstance(streamed.train.image, np.ndarray)


def test_requests_and_subsets_are_equal(both):
    requests = []
    for dataset in both:
        small = subset(dataset, train_size=200, test_size=50)
        requests.append([by_class(dataset, 3), random(small, count=20)])
        chosen = split(small, requests[-1][1])
        assert [len(part.image) for part in chosen] == [20, 180]
        requests[-1].extend(np.asarray(part.image).tobytes() for part in chosen)
    for memory, streamed in zip(*requests, strict=True):
        if isinstance(memory, bytes):
            assert memory == streamed
        else:
            assert memory.hash == streamed.hash
            np.testing.assert_array_equal(memory.ids, streamed.ids)


def test_the_fingerprint_is_computed_once(both, cache, monkeypatch):
    assert both[1].fingerprint
    monkeypatch.setattr(Records, "read", None)
    monkeypatch.setattr(Records, "batches", None)
    again = open_stream("digits", cache_dir=cache)
    assert again.fingerprint == both[1].fingerprint
    with pytest.raises(TypeError):
        _ = subset(again, train_size=100).fingerprint


def problem_of(dataset):
    def init(key):
        return {"weight": 0.1 * jax.random.normal(key, (64, 10))}

    def apply(variables, images, *, train):
        del train
        return images.reshape(-1, 64) @ variables["weight"], variables

    small = subset(dataset, train_size=150)
    forget, retain = split(small, random(small, count=15))
    model = ju.Model(init, apply, "linear")
    variables = model.init(jax.random.key(0))
    return ju.Problem(
        model, variables, forget, retain, 10, variables, augment=ju.crop_and_flip(padding=1)
    )


@pytest.mark.parametrize("name", ["finetune", "neggrad_plus", "bad_teacher", "natmu"])
@pytest.mark.parametrize("placement", ["device", "host"])
@pytest.mark.adam
def test_a_run_gives_the_same_bit_for_bit(name, placement, both):
    method = ju.METHODS[name](epochs=2, batch_size=20)
    memory, streamed = (
        ju.run(method, problem_of(dataset), KEY, mesh=make_mesh(1), loop="python", placement=place)
        for dataset, place in zip(both, ("device", placement), strict=True)
    )
    chex.assert_trees_all_equal(memory.variables, streamed.variables)
    assert memory.history == streamed.history


def test_predictions_are_equal(both):
    predictions = []
    for dataset in both:
        problem = problem_of(dataset)
        small = subset(dataset, test_size=30)
        predictions.append(
            ju.predict(
                problem.model,
                problem.variables,
                forget=problem.forget,
                retain=problem.retain,
                test=small.test,
                test_forgotten=np.zeros(30, bool),
            )
        )
    chex.assert_trees_all_equal(*predictions)


def test_batches_are_read_ahead_in_the_order_asked_for(both, monkeypatch):
    images = both[1].train.image
    rows = [np.random.default_rng(k).integers(0, len(images), 5) for k in range(40)]
    reads, original = [], Records.read

    def read(self, rows):
        reads.append(len(rows))
        return original(self, rows)

    monkeypatch.setattr(Records, "read", read)
    before = threading.active_count()
    stream = images.batches(rows)
    expected = both[0].train.image
    for k in range(3):
        np.testing.assert_array_equal(next(stream), expected[rows[k]])
    time.sleep(0.3)
    assert 3 < len(reads) <= 3 + 2 * READERS
    stream.close()
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.filterwarnings("ignore:.*no training images for 70 of the 100 classes")
def test_cifar_archives_stream_in_the_order_of_their_ids(cifar100_archive, tmp_path):
    where = (cifar100_archive.data_dir, tmp_path / "cache")
    for name in ("cifar100", "cifar20"):
        memory, streamed = load(name, *where), open_stream(name, *where)
        assert_equal(memory, streamed)
        assert streamed.fingerprint == memory.fingerprint
        assert streamed.fine_names == memory.fine_names


def test_images_that_are_files_are_decoded(tiny_imagenet_archive, tmp_path):
    where = (tiny_imagenet_archive.data_dir, tmp_path / "cache")
    assert_equal(load("tiny_imagenet200", *where), open_stream("tiny_imagenet200", *where))


def test_damaged_records_are_named_when_they_are_read(both, cache, tmp_path):
    whole = prepared_folder("digits", None, cache, download=False)
    data_dir = tmp_path / "data"
    folder = data_dir / "digits" / whole.name
    shutil.copytree(whole, folder)
    streamed = open_stream("digits", data_dir, cache)
    for path in folder.glob("*train*array_record*"):
        content = bytearray(path.read_bytes())
        content[: len(content) * 2 // 3] = bytes(len(content) * 2 // 3)
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"^data_dir: .* cannot be read \(.*\): expected whole"):
        np.asarray(Records(folder, "train", "").view(np.arange(50)))
    with pytest.raises(InputError, match=r"^data_dir: .* cannot be read \(.*\): expected whole"):
        list(streamed.train.image.batches([np.arange(1297)]))


def test_images_of_different_sizes_are_refused(both, monkeypatch):
    del both
    records = Records.__new__(Records)
    records.shape, records._folder = (2, 8, 8, 1), "folder"
    monkeypatch.setattr(Records, "_read", lambda self, rows: np.zeros((1, 9, 8, 1), np.uint8))
    with pytest.raises(InputError, match="holds images of 2 different shapes: expected one"):
        records.read(np.array([1]))


def test_an_npz_cannot_be_streamed(tmp_path):
    with pytest.raises(InputError, match=r"an \.npz cannot be streamed: .* or load it whole"):
        open_stream(tmp_path / "own.npz")


def test_a_machine_without_grain_is_told_so(monkeypatch, cache):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r"^dataset: cannot be streamed here \(.*\): expected gra"):
        open_stream("digits", cache_dir=cache)
