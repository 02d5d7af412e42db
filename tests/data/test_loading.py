import io
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from jax_unlearn.core import InputError
from jax_unlearn.data import load, loading, save_npz
from jax_unlearn.data.builders import SOURCES
from jax_unlearn.data.loading import cache_root, read_arrays, write_arrays

SIZES = {"train": 40, "test": 12}


def write_tfds(data_dir, given_name="cifar10", version="3.0.2", make_id=None, seed=0, side=None):
    """Prepare a dataset as others do: JPEG files, shuffled records, text ids or none."""
    import tensorflow_datasets as tfds

    rng = np.random.default_rng(seed)
    pixels = {s: rng.integers(0, 256, (n, 32, 32, 3), np.uint8) for s, n in SIZES.items()}
    files = {
        s: [jpeg(image[: side and side(k)]) for k, image in enumerate(pixels[s])] for s in SIZES
    }

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = given_name
        VERSION = tfds.core.Version(version)

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
            if make_id:
                features["id"] = tfds.features.Text()
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in SIZES}

        def _generate_examples(self, split):
            for k, file in enumerate(files[split]):
                example = {"image": io.BytesIO(file), "label": k * 3 % 10}
                yield k, example | ({"id": make_id(split, k)} if make_id else {})

    Builder(data_dir=data_dir, file_format="array_record").download_and_prepare()
    return {s: [np.asarray(Image.open(io.BytesIO(file))) for file in files[s]] for s in SIZES}


def jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def text_id(split, k):
    return f"{split}_{k:05d}"


def never(*_):
    raise AssertionError("read again")


def test_a_prepared_folder_with_jpeg_and_text_ids_is_read_in_the_order_of_its_ids(tmp_path):
    images = write_tfds(tmp_path, make_id=text_id)
    loaded = load("cifar10", tmp_path, tmp_path / "cache")
    for split, size in SIZES.items():
        examples = getattr(loaded, split)
        np.testing.assert_array_equal(examples.id, np.arange(size))
        np.testing.assert_array_equal(examples.image, np.stack(images[split]))
        np.testing.assert_array_equal(examples.label, np.arange(size) * 3 % 10)
    dtypes = [str(column.dtype) for column in loaded.train]
    assert dtypes == ["uint8", "int32", "int64"]


def test_any_prepared_dataset_with_images_and_labels_can_be_named(tmp_path):
    images = write_tfds(tmp_path, "my_own")
    loaded = load("my_own", tmp_path, tmp_path / "cache")
    np.testing.assert_array_equal(loaded.test.id, np.arange(12))
    # Without ids the records' own order counts; it is TFDS's shuffle.
    ours, theirs = (sorted(map(np.ndarray.tobytes, s)) for s in (loaded.test.image, images["test"]))
    assert ours == theirs


def test_the_second_start_reads_the_cache_and_needs_no_tfds(tmp_path, monkeypatch):
    write_tfds(tmp_path, make_id=text_id)
    first = load("cifar10", tmp_path, tmp_path / "cache")
    monkeypatch.setattr(loading, "read_split", never)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    second = load("cifar10", tmp_path, tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    assert second.class_names == first.class_names


def test_two_folders_with_the_same_name_and_version_do_not_share_a_cache(tmp_path):
    prints = []
    for seed in (0, 1):
        write_tfds(tmp_path / str(seed), make_id=text_id, seed=seed)
        prints.append(load("cifar10", tmp_path / str(seed), tmp_path / "cache").fingerprint)
    assert prints[0] != prints[1]


def test_a_folder_prepared_anew_is_read_anew(tmp_path):
    prints = []
    for seed in (0, 1):
        shutil.rmtree(tmp_path / "cifar10", ignore_errors=True)
        write_tfds(tmp_path, make_id=text_id, seed=seed)
        prints.append(load("cifar10", tmp_path, tmp_path / "cache").fingerprint)
    assert prints[0] != prints[1]


def test_the_newest_version_counts_by_number_not_by_letter(tmp_path):
    write_tfds(tmp_path, version="3.9.0", make_id=text_id, seed=0)
    newest = write_tfds(tmp_path, version="3.10.0", make_id=text_id, seed=1)
    loaded = load("cifar10", tmp_path, tmp_path / "cache")
    np.testing.assert_array_equal(loaded.train.image, np.stack(newest["train"]))


def test_a_damaged_cache_is_made_again(tmp_path):
    first = load("digits", cache_dir=tmp_path)
    images = next((tmp_path / "arrays").glob("digits-*-train/image.npy"))
    images.write_bytes(images.read_bytes()[:1000])
    assert load("digits", cache_dir=tmp_path).fingerprint == first.fingerprint
    images.unlink()
    assert load("digits", cache_dir=tmp_path).fingerprint == first.fingerprint
    assert images.exists()


def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_UNLEARN_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    assert cache_root(tmp_path / "there") == tmp_path / "there"
    load("digits")
    assert (tmp_path / "here" / "arrays").is_dir()


def test_arrays_appear_complete_or_not_at_all(tmp_path):
    class Unwritable:
        def __array__(self, *_, **__):
            raise OSError("disk full")

    folder = tmp_path / "arrays"
    with pytest.raises(OSError, match="disk full"):
        write_arrays(folder, {"a": np.arange(3), "b": Unwritable()})
    assert list(tmp_path.iterdir()) == []
    assert read_arrays(folder) is None


def test_who_writes_arrays_second_leaves_the_first(tmp_path):
    for value in (1, 2):
        write_arrays(tmp_path / "arrays", {"a": np.array([value])})
    np.testing.assert_array_equal(read_arrays(tmp_path / "arrays")["a"], [1])
    assert len(list(tmp_path.iterdir())) == 1


def test_pickled_arrays_are_never_read(tmp_path):
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "a.npy", np.array([{}], object), allow_pickle=True)
    assert read_arrays(tmp_path / "arrays") is None


def test_digits_load_whatever_the_data_folder_holds(tmp_path):
    (tmp_path / "data").mkdir()
    digits = load("digits", tmp_path / "data", tmp_path / "cache")
    assert digits.num_classes == 10
    assert list((tmp_path / "data").iterdir()) == []


def test_an_npz_is_loaded_by_its_path(tmp_path, dataset):
    save_npz(tmp_path / "own.npz", dataset)
    assert load(str(tmp_path / "own.npz")).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("file_format", ["tfrecord", None])
def test_tfrecord_is_refused_with_the_way_to_prepare_it_again(tmp_path, file_format):
    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    info = {"name": "cifar10", "version": "3.0.2"}
    info |= {"fileFormat": file_format} if file_format else {}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(InputError) as caught:
        load("cifar10", tmp_path, tmp_path / "cache")
    message = str(caught.value)
    assert "cifar10/3.0.2 is stored as tfrecord" in message
    assert "file_format='array_record').download_and_prepare()" in message
    assert "cifar-10-binary.tar.gz" in message
    assert "\n" not in message


def test_an_unknown_name_is_refused_with_the_near_ones(tmp_path):
    with pytest.raises(InputError, match="dataset='cifr10': did you mean cifar10 or"):
        load("cifr10", cache_dir=tmp_path)


def test_a_missing_data_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data_dir='.*none': no such folder.*check the path"):
        load("cifar10", tmp_path / "none", tmp_path / "cache")


@pytest.mark.parametrize("name", ["cifar10", "cifar20", "tiny_imagenet200"])
def test_a_foreign_data_folder_is_refused_with_the_archive_to_put_there(tmp_path, name):
    archive = SOURCES[loading.COARSE.get(name, name)].files
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=f"is not there: .*the archive {archive}; .*manual"):
        load(name, tmp_path, tmp_path / "cache")


def test_a_damaged_info_file_is_refused(tmp_path):
    folder = tmp_path / "cifar10" / "3.0.2"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(InputError, match=r"dataset_info.json cannot be read \(.*prepare"):
        load("cifar10", tmp_path, tmp_path / "cache")


def test_missing_records_are_refused(tmp_path):
    write_tfds(tmp_path, make_id=text_id)
    for records in tmp_path.rglob("*train.array_record*"):
        records.unlink()
    with pytest.raises(InputError, match=r"3.0.2 cannot be read \(.*expected whole record files"):
        load("cifar10", tmp_path, tmp_path / "cache")


def test_ids_without_a_number_are_refused(tmp_path):
    write_tfds(tmp_path, make_id=lambda split, k: "x" * (k + 1))
    with pytest.raises(InputError, match=r"has the id 'x+': expected a whole number"):
        load("cifar10", tmp_path, tmp_path / "cache")


def test_images_of_different_sizes_are_refused(tmp_path):
    write_tfds(tmp_path, side=lambda k: 16 + k % 2)
    with pytest.raises(InputError, match="images of 2 different shapes: expected one"):
        load("cifar10", tmp_path, tmp_path / "cache")


def test_coarse_labels_that_are_not_stored_are_refused(tmp_path):
    write_tfds(tmp_path, "cifar100", make_id=text_id)
    with pytest.raises(InputError, match=r"dataset='cifar20': .* stores no coarse_label"):
        load("cifar20", tmp_path, tmp_path / "cache")


def test_without_tfds_the_message_names_npz(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(
        InputError, match=r"tensorflow-datasets and array_record to be installed; or give an .npz"
    ):
        load("digits", cache_dir=tmp_path)
