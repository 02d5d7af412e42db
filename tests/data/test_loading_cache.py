"""A cache that cannot be written costs time and one warning, never the run."""

import resource
import shutil
import warnings

import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import load, loading, open_stream
from jax_unlearn.data.loading import cache_root

pytest.importorskip("grain")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A cache in which digits are prepared, and the digits."""
    folder = tmp_path_factory.mktemp("good")
    return folder, load("digits", cache_dir=folder)


@pytest.fixture(params=["file", "below a file", "full disk"])
def bad(request, tmp_path):
    """A cache that cannot be written, whoever the user is."""
    (tmp_path / "file").touch()
    if request.param != "full disk":
        yield tmp_path / "file" / ("x" if request.param == "below a file" else "")
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on file sizes fails a write half-way, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        yield tmp_path / "full"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def with_one_warning(read, bad):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = read()
    said = [str(w.message) for w in caught if "cache_dir" in str(w.message)]
    assert len(said) == 1, said
    assert said[0].startswith(f"cache_dir={str(bad)!r}: cannot be written (")
    assert "set $JAX_UNLEARN_CACHE to one" in said[0]
    assert "\n" not in said[0]
    return result


@pytest.mark.parametrize("read", [load, open_stream])
def test_digits_come_without_a_cache(good, bad, read):
    digits = with_one_warning(lambda: read("digits", cache_dir=bad), bad)
    assert digits.fingerprint == good[1].fingerprint
    assert digits.class_names == good[1].class_names
    for ours, theirs in zip((*digits.train, *digits.test), (*good[1].train, *good[1].test)):  # noqa: B905
        np.testing.assert_array_equal(np.asarray(ours), theirs)
        assert ours.dtype == theirs.dtype


@pytest.mark.parametrize("read", [load, open_stream])
def test_prepared_data_come_without_a_cache_and_their_fingerprint_too(good, bad, read):
    def use():
        dataset = read("digits", good[0] / "tfds", bad)
        return dataset.fingerprint

    assert with_one_warning(use, bad) == good[1].fingerprint
    if bad.is_dir():
        # Nothing half-written is left.
        assert not [path for path in bad.rglob("*") if path.name.startswith(".")]


def test_a_cache_that_fails_later_is_reported_then(good, tmp_path):
    streamed = open_stream("digits", good[0] / "tfds", tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").touch()
    found = with_one_warning(lambda: streamed.fingerprint, tmp_path / "cache")
    assert found == good[1].fingerprint


def test_an_archive_that_cannot_be_prepared_names_the_folder(cifar10_archive, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^cache_dir='.*': cifar10 is not there"):
        load("cifar10", cache_dir=tmp_path / "file")
    # The folder belongs to the archive, so it is the one to blame.
    (cifar10_archive.data_dir / "cifar10").touch()
    with pytest.raises(InputError, match=r"^data_dir='.*': cifar10 cannot be written there"):
        load("cifar10", cifar10_archive.data_dir, tmp_path / "cache")


def test_the_environment_is_read_like_the_argument(good, bad, monkeypatch):
    monkeypatch.setenv("JAX_UNLEARN_CACHE", str(bad))
    assert with_one_warning(lambda: load("digits"), bad).fingerprint == good[1].fingerprint


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("JAX_UNLEARN_CACHE", raising=False)
    monkeypatch.setattr(loading.Path, "home", no_home)
    assert cache_root().name.startswith("jax_unlearn-")
    with pytest.raises(InputError, match="cache_dir='~nobody-here/x': expected a folder"):
        cache_root("~nobody-here/x")


def test_an_unreadable_cache_is_made_again(tmp_path):
    first = load("digits", cache_dir=tmp_path)
    label = next((tmp_path / "arrays").glob("digits-*-train/label.npy"))
    # A header that asks for more memory than there is.
    content = label.read_bytes()
    assert b"(1297,), }" in content
    label.write_bytes(content.replace(b"(1297,), }            ", b"(9" + b"9" * 15 + b",), }"))
    assert len(label.read_bytes()) == len(content)
    assert load("digits", cache_dir=tmp_path).fingerprint == first.fingerprint
