"""A prepared dataset is found by TFDS's conventions, or the path that works is named."""

import json

import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import prepared
from jax_unlearn.data.prepared import Wanted, parse_name, plain_name, prepared_folder


def make(root, place, format="array_record", **info):
    """The folder of a version, ``name/version`` or ``name/config/version``, without records."""
    folder = root / place
    folder.mkdir(parents=True)
    name, *config, version = place.split("/")
    info = {"name": name, "version": version, "configName": "".join(config)} | info
    info |= {"fileFormat": format} if format else {}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def find(name, data_dir):
    return prepared_folder(name, data_dir, data_dir / "cache", download=False)


def refused(name, data_dir):
    with pytest.raises(InputError) as caught:
        find(name, data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mnist", Wanted("mnist")),
        ("mnist:3.0.1", Wanted("mnist", "", "3.0.1")),
        ("mnist/3.0.1", Wanted("mnist", "", "3.0.1")),
        ("mnist:3.*.*", Wanted("mnist", "", "3.*.*")),
        ("imagenet_v2/top-images", Wanted("imagenet_v2", "top-images")),
        ("c4/en.no:2.3.1", Wanted("c4", "en.no", "2.3.1")),
        ("c4/en.no/2.3.1", Wanted("c4", "en.no", "2.3.1")),
        ("cifar20", Wanted("cifar100")),
    ],
)
def test_a_name_has_a_config_and_a_version(name, wanted):
    assert parse_name(name) == wanted


@pytest.mark.parametrize(
    "name",
    ["", "/data/mnist", "../mnist", "a/b/c", "mnist:", "mnist:3", "mnist:x", "x.npy:3", "a/.."],
)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InputError, match=r"expected a name such as cifar10, NAME/CONFIG or NAME:1"):
        parse_name(name)


def test_a_path_is_refused_as_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.npy").touch()
    for name in ("images.npy", str(tmp_path / "images.npy")):
        assert "is a file: expected a name such as cifar10" in refused(name, tmp_path)
    assert "is a folder: expected a name such as cifar10" in refused(str(tmp_path), tmp_path)


def test_a_version_is_no_part_of_what_a_dataset_is_called():
    assert plain_name("cifar10:3.0.2") == plain_name("cifar10/3.0.2") == "cifar10"
    assert plain_name("c4/en:2.3.1") == "c4/en"


def test_versions_are_chosen_by_number_and_pattern(tmp_path):
    for version in ("1.9.0", "1.10.0", "2.0.0"):
        make(tmp_path, f"mine/{version}")
    (tmp_path / "mine" / "3.0.0.incompleteABC").mkdir()
    assert find("mine", tmp_path).name == "2.0.0"
    assert find("mine:1.*.*", tmp_path).name == "1.10.0"
    assert find("mine:1.9.0", tmp_path).name == "1.9.0"
    message = refused("mine:4.0.0", tmp_path)
    assert "no such version: expected one of mine:1.9.0, mine:1.10.0, mine:2.0.0" in message


def test_configs_are_found_by_name_and_a_single_one_without(tmp_path):
    small = make(tmp_path, "mine/small/1.0.0")
    assert find("mine/small", tmp_path) == small
    assert find("mine/small:1.0.0", tmp_path) == small
    assert find("mine", tmp_path) == small
    assert find("mine:1.0.0", tmp_path) == small
    assert "no such version: expected one of mine:1.0.0" in refused("mine:2.0.0", tmp_path)
    large = make(tmp_path, "mine/large/1.0.0")
    assert "several configs: expected one of mine/large, mine/small" in refused("mine", tmp_path)
    assert find("mine/large", tmp_path) == large
    assert "did you mean mine/small or mine/large?" in refused("mine/smal", tmp_path)
    plain = make(tmp_path, "mine/0.1.0")
    assert find("mine", tmp_path) == plain


@pytest.mark.parametrize("place", ["", "mine", "mine/1.0.0"])
def test_the_folder_may_be_that_of_the_dataset_or_of_a_version(tmp_path, place):
    folder = make(tmp_path, "mine/1.0.0")
    assert find("mine", tmp_path / place) == folder
    assert find("mine:1.0.0", tmp_path / place) == folder
    assert "no such version" in refused("mine:1.0.1", tmp_path / place)


def test_a_version_s_own_folder_is_taken_though_there_is_a_newer_one(tmp_path):
    folder = make(tmp_path, "mine/1.0.0")
    make(tmp_path, "mine/2.0.0")
    assert find("mine", folder) == folder


@pytest.mark.parametrize("place", ["mine", "mine/small", "mine/small/1.0.0"])
@pytest.mark.parametrize("name", ["mine", "mine/small"])
def test_the_folder_may_be_that_of_a_config(tmp_path, place, name):
    folder = make(tmp_path, "mine/small/1.0.0")
    assert find(name, tmp_path / place) == folder


def test_folders_count_by_their_names_and_by_what_tfds_wrote(tmp_path):
    copied = make(tmp_path / "copy", "renamed/1.0.0", name="mine")
    assert find("renamed", copied.parent) == find("mine", copied.parent) == copied
    assert "dataset='other'" in refused("other", copied.parent)


def test_built_in_names_are_found_in_their_own_folder_too(tmp_path):
    folder = make(tmp_path, "cifar100/3.0.2")
    for place in (tmp_path, folder.parent, folder):
        assert find("cifar20", place) == find("cifar100", place) == folder


@pytest.mark.parametrize("name", ["mine", "cifar10"])
def test_a_folder_beside_above_or_below_is_named(tmp_path, name):
    make(tmp_path / "tensorflow_datasets", f"{name}/1.0.0")
    other = make(tmp_path / "tensorflow_datasets", "other/1.0.0")
    for place in (tmp_path, other.parent, other):
        message = refused(name, place)
        assert f"pass data_dir={str(tmp_path / 'tensorflow_datasets')!r}" in message


def test_an_unknown_name_is_refused_with_names_and_configs(tmp_path):
    make(tmp_path, "mine/small/1.0.0")
    make(tmp_path, "other/1.0.0")
    message = refused("minee", tmp_path)
    assert "mine/small" in message
    assert "other" in message
    assert "did you mean cifar10 or" in refused("cifar10/small", tmp_path)
    assert "expected cifar20 alone or cifar20:1.0.0" in refused("cifar20:9.0.0", tmp_path)


@pytest.mark.parametrize("format", ["tfrecord", "riegeli", None])
def test_the_newest_version_is_not_passed_over(tmp_path, format):
    older = make(tmp_path, "mine/1.9.0")
    newest = make(tmp_path, "mine/1.10.0", format)
    message = refused("mine", tmp_path)
    assert f"mine/1.10.0 is stored as {format or 'tfrecord'}, which only TensorFlow" in message
    assert "ask for mine:1.9.0, which is; or prepare it again" in message
    assert find("mine:1.9.0", tmp_path) == older
    assert "mine/1.10.0 is stored as" in refused("mine", newest)


def test_a_version_stored_in_both_formats_is_readable(tmp_path):
    folder = make(tmp_path, "mine/1.0.0", "tfrecord", alternativeFileFormats=["array_record"])
    assert find("mine", tmp_path) == folder


def test_ours_is_taken_where_tfds_s_own_version_is_not_readable(tmp_path):
    ours = make(tmp_path, "cifar10/1.0.0")
    make(tmp_path, "cifar10/3.0.2", "tfrecord")
    assert find("cifar10", tmp_path) == ours


@pytest.mark.parametrize("content", ["{", "[]", "3", "[" * 100_000])
def test_a_damaged_info_file_is_named(tmp_path, content):
    (make(tmp_path, "mine/1.0.0") / "dataset_info.json").write_text(content)
    assert "dataset_info.json cannot be read (" in refused("mine", tmp_path)


def test_a_home_that_does_not_exist_is_no_folder(tmp_path):
    with pytest.raises(InputError, match="data_dir='~nobody-here/data': no such folder"):
        prepared_folder("mine", "~nobody-here/data", tmp_path, download=False)


def test_large_folders_are_listed_for_an_error_only(tmp_path, monkeypatch):
    make(tmp_path, "mine/1.0.0")
    monkeypatch.setattr(prepared, "_folders", None)
    assert find("mine", tmp_path).name == "1.0.0"
