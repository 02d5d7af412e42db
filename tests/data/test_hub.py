"""Data sets that Hugging Face's datasets reads, from parquet files that are written here."""

import io
import pathlib
import socket

import numpy as np
import pytest
from PIL import Image

from jax_unlearn.core import InputError
from jax_unlearn.data import ImageOptions, load, open_stream
from jax_unlearn.data.hub import Place, parse_hub_name
from jax_unlearn.user_code import is_reference

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (10, 6, 5, 3), np.uint8)
LABELS = [0, 1, 1, 0, 1, 0, 0, 1, 1, 0]


def file_of(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return {"bytes": file.getvalue(), "path": None}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The package, without a network and with its caches in a folder of the test's."""
    package = pytest.importorskip("datasets")
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_UNLEARN_CACHE", str(folder))

        def connect(*_):
            raise AssertionError("nobody asked for the network")

        patch.setattr(socket.socket, "connect", connect)
        package.disable_progress_bars()
        yield package
        package.enable_progress_bars()


@pytest.fixture
def make(datasets):
    """Make a table of images and of other columns."""

    def table(rows=slice(0, 10), images=None, names=("cat", "dog"), **columns):
        given = {"img": images or [file_of(pixels) for pixels in PIXELS[rows]]}
        features = {"img": datasets.Image()}
        if not columns:
            given["animal"] = LABELS[rows]
            features["animal"] = datasets.ClassLabel(names=list(names))
        made = datasets.Dataset.from_dict(given, features=datasets.Features(features))
        for name, values in columns.items():
            made = made.add_column(name, values)
        return made

    return table


@pytest.fixture
def folder(make, tmp_path):
    """A folder as repositories have them: a parquet file for each split."""
    make(slice(0, 6)).to_parquet(tmp_path / "animals" / "train-00000-of-00001.parquet")
    make(slice(6, 10)).to_parquet(tmp_path / "animals" / "test-00000-of-00001.parquet")
    return tmp_path / "animals"


def refused(name, *parts, read=load, **options):
    with pytest.raises(InputError) as caught:
        read(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def assert_holds(found):
    assert found.class_names == ("cat", "dog")
    for split, rows in (("train", slice(0, 6)), ("test", slice(6, 10))):
        examples = getattr(found, split)
        np.testing.assert_array_equal(examples.image, PIXELS[rows])
        np.testing.assert_array_equal(examples.label, LABELS[rows])
        np.testing.assert_array_equal(examples.id, np.arange(rows.stop - rows.start))


def test_a_folder_of_parquet_files_comes_out_as_it_went_in(folder):
    found = load(f"hf:{folder}")
    assert found.name == "animals"
    assert_holds(found)


def test_streamed_images_are_those_in_memory(folder, tmp_path):
    whole, streamed = load(f"hf:{folder}"), open_stream(f"hf:{folder}")
    assert not isinstance(streamed.train.image, np.ndarray)
    assert_holds(streamed)
    assert streamed.fingerprint == whole.fingerprint
    assert streamed.train.image.identity != streamed.test.image.identity != ""


def test_what_save_to_disk_wrote_is_read(datasets, make, tmp_path):
    both = datasets.DatasetDict(train=make(slice(0, 6)), test=make(slice(6, 10)))
    both.save_to_disk(tmp_path / "saved")
    assert_holds(load(f"hf:{tmp_path / 'saved'}"))
    # Rows in another order than the table's, as after a shuffle or a train_test_split.
    both["train"].select([4, 0, 3, 1]).save_to_disk(tmp_path / "some")
    some = load(f"hf:{tmp_path / 'some'}", options=ImageOptions(test_share=0.5))
    np.testing.assert_array_equal(some.train.image, PIXELS[[4, 0, 3, 1]][some.train.id])


def test_one_file_is_split_by_seed(make, tmp_path):
    make().to_parquet(tmp_path / "all.parquet")
    found = load(f"hf:{tmp_path / 'all.parquet'}", options=ImageOptions(test_share=0.4))
    assert np.bincount(found.test.label).tolist() == [2, 2]
    np.testing.assert_array_equal(found.test.image, PIXELS[found.test.id])


def test_validation_is_held_out_beside_test_and_else_tested_on(folder, make):
    make(slice(0, 2)).to_parquet(folder / "validation.parquet")
    assert len(load(f"hf:{folder}").validation.label) == 2
    (folder / "test-00000-of-00001.parquet").unlink()
    found = load(f"hf:{folder}")
    assert (len(found.test.label), found.validation) == (2, None)


def test_images_are_resized_as_asked(folder):
    found = load(f"hf:{folder}", options=ImageOptions(image_size=4))
    assert found.train.image.shape == (6, 4, 4, 3)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["dog", "ant", "cat", "ant", "cat", "dog"], ("ant", "cat", "dog")),
        ([3, 1, 2, 1, 2, 3], ("1", "2", "3")),
    ],
)
def test_labels_without_a_type_are_their_sorted_values(make, tmp_path, values, names):
    make(slice(0, 6), label=values).to_parquet(tmp_path / "all.parquet")
    options = ImageOptions(test_share=0.5)
    found = load(f"hf:{tmp_path / 'all.parquet'}", options=options)
    assert found.class_names == names
    for split in (found.train, found.test):
        assert [names[k] for k in split.label] == [str(values[k]) for k in split.id]


def test_columns_are_named_where_types_do_not_tell(make, tmp_path):
    table = make(slice(0, 6), fine=[0, 1] * 3, coarse=["b", "a"] * 3)
    table.to_parquet(tmp_path / "all.parquet")
    name = f"hf:{tmp_path / 'all.parquet'}"
    refused(name, "has no label column among img, fine, coarse", "pass columns=IMAGE LABEL")
    found = load(name, options=ImageOptions(columns=("img", "coarse"), test_share=0.5))
    assert found.class_names == ("a", "b")
    wrong = ImageOptions(columns=("image", "fine"))
    refused(name, "columns='image': did you mean img?", options=wrong)
    wrong = ImageOptions(columns=("fine", "coarse"))
    refused(name, "the column fine holds", "expected images", options=wrong)


def test_several_label_columns_are_not_chosen_among(datasets, make, tmp_path):
    both = make().add_column("kind", LABELS).cast_column("kind", datasets.ClassLabel(2))
    both.to_parquet(tmp_path / "all.parquet")
    refused(f"hf:{tmp_path / 'all.parquet'}", "several label columns, animal, kind")


def test_unusable_images_are_counted_and_named_by_row(make, tmp_path):
    images = [file_of(pixels) for pixels in PIXELS]
    images[3] = None
    images[7] = {"bytes": b"not an image", "path": None}
    images[8] = {"bytes": None, "path": str(tmp_path / "beside.png")}
    (tmp_path / "beside.png").touch()
    make(images=images).save_to_disk(tmp_path / "saved")
    refused(
        f"hf:{tmp_path / 'saved'}",
        "3 of 10 files cannot be used (no image stored: train row 3; no image: train row 7",
        "empty: train row 8",
    )


def test_a_label_that_is_missing_or_new_is_refused(folder, make, tmp_path):
    make(slice(0, 6), label=["a", "b", None, "a", "b", "a"]).to_parquet(tmp_path / "all.parquet")
    refused(f"hf:{tmp_path / 'all.parquet'}", "1 row of 6 without label, row 2 the first")
    for split, values in (("train", ["a", "b", "a"]), ("test", ["a", "c", "b"])):
        make(slice(0, 3), label=values).to_parquet(tmp_path / "new" / f"{split}.parquet")
    refused(f"hf:{tmp_path / 'new'}", "test has label c, which train lacks")


def test_splits_without_a_train_are_refused(datasets, make, tmp_path):
    both = datasets.DatasetDict(test=make(slice(0, 6)), extra=make(slice(6, 10)))
    both.save_to_disk(tmp_path / "saved")
    refused(f"hf:{tmp_path / 'saved'}", "has the splits test, extra: expected train")


def test_the_network_is_used_only_where_that_is_asked_for(folder, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(repository, *, repo_type, revision, local_files_only):
        asked.append((repository, repo_type, revision, local_files_only))
        if local_files_only:
            raise FileNotFoundError("never fetched")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    refused("hf:some/animals@v2", "some/animals has not been fetched", "pass download=True")
    found = load("hf:some/animals@v2", download=True)
    assert found.name == "animals"
    assert_holds(found)
    expected = ("some/animals", "dataset", "v2")
    assert asked == [(*expected, True), (*expected, False)]


def test_what_cannot_be_read_is_refused_in_one_line(datasets, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    refused(f"hf:{tmp_path / 'a.parquet'}", "cannot be read (", "try that in Python")
    (tmp_path / "a.csv").write_text("image,label\n")
    refused(f"hf:{tmp_path / 'a.csv'}", "is a file of another kind: expected a .parquet")
    refused("hf:digits", "data_dir='/': hf:digits is found by its name", data_dir="/")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("hf:mnist", Place(None, "mnist")),
        ("hf:ylecun/mnist", Place(None, "ylecun/mnist")),
        ("hf:some/one:en", Place(None, "some/one", "", "en")),
        (
            "hf:some/one@refs/convert/parquet:en",
            Place(None, "some/one", "refs/convert/parquet", "en"),
        ),
        ("hf:/", Place(pathlib.Path("/"))),
        ("hf:/:en", Place(pathlib.Path("/"), config="en")),
    ],
)
def test_a_name_is_of_a_repository_or_a_path(name, place):
    assert parse_hub_name(name) == place
    assert not is_reference(name)


@pytest.mark.parametrize("name", ["hf:", "hf:./nowhere", "hf:a/b/c", "hf:x.parquet", "hf:a b"])
def test_what_is_neither_a_repository_nor_a_path_is_refused(name):
    with pytest.raises(InputError, match="no such file or folder, and no name of a repository"):
        parse_hub_name(name)
