"""Whatever images, labels and ids TFDS stores: right values, or one line that names them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from jax_unlearn.core import InputError
from jax_unlearn.data import load, open_stream

pytest.importorskip("grain")
tfds = pytest.importorskip("tensorflow_datasets")

COUNT = 6
RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (COUNT, 4, 5, 4), np.uint8)
WIDE = RNG.integers(0, 65536, (COUNT, 4, 5), np.uint16)
FLOAT = RNG.random((COUNT, 4, 5, 1), np.float32)


def prepare(root, features, rows):
    """Prepare ``rows(split)`` in ``root/stored/1.0.0``; returns that folder."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "stored"
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                disable_shuffling=True,
            )

        def _split_generators(self, dl_manager):
            return {split: enumerate(rows(split)) for split in ("train", "test")}

        def _generate_examples(self):
            raise NotImplementedError

    builder = Builder(data_dir=root, file_format="array_record")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return root / "stored" / "1.0.0"


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file


def labels():
    return tfds.features.ClassLabel(names=["a", "b"])


def stored(root, image, pixels, **columns):
    """A dataset with the image feature and images, and columns (feature, values) of its own."""
    columns = {"label": (labels(), np.arange(COUNT) % 2), **columns}
    features = {"image": image} | {name: feature for name, (feature, _) in columns.items()}

    def rows(split):
        for k in range(COUNT):
            yield {"image": pixels(k)} | {name: part[k] for name, (_, part) in columns.items()}

    return prepare(root, features, rows)


def loaded(root, load):
    dataset = load("stored", root, root / "cache")
    return np.asarray(dataset.train.image), dataset


@pytest.fixture(params=[load, open_stream], ids=["load", "open_stream"])
def reading(request):
    return request.param


def refused(root, reading):
    with pytest.raises(InputError) as caught:
        loaded(root, reading)
    assert "\n" not in str(caught.value)
    assert not list((root / "cache").rglob("*image*"))
    return str(caught.value)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_each_number_of_channels_keep_them(tmp_path, channels, reading):
    feature = tfds.features.Image(shape=(4, 5, channels), encoding_format="png")
    stored(tmp_path, feature, lambda k: png(np.squeeze(RGBA[k, ..., :channels])))
    image, _ = loaded(tmp_path, reading)
    np.testing.assert_array_equal(image, RGBA[..., :channels])


@pytest.mark.parametrize("channels", [None, 0])
def test_images_of_an_unsaid_number_of_channels_have_that_of_their_files(
    tmp_path, channels, reading
):
    stored(
        tmp_path, tfds.features.Image(shape=(None, None, channels)), lambda k: png(RGBA[k, ..., 0])
    )
    image, _ = loaded(tmp_path, reading)
    np.testing.assert_array_equal(image, RGBA[..., :1])


def test_files_of_different_numbers_of_channels_are_refused_where_none_is_said(tmp_path, reading):
    feature = tfds.features.Image(shape=(None, None, None))
    stored(tmp_path, feature, lambda k: png(RGBA[k] if k % 2 else RGBA[k, ..., :3]))
    message = refused(tmp_path, reading)
    assert "2 different shapes: expected one, not [4, 5, 3] and [4, 5, 4]" in message


def test_arrays_of_bytes_are_taken_as_they_are(tmp_path, reading):
    stored(tmp_path, tfds.features.Tensor(shape=(4, 5, 4), dtype=np.uint8), lambda k: RGBA[k])
    image, _ = loaded(tmp_path, reading)
    np.testing.assert_array_equal(image, RGBA)


@pytest.mark.parametrize(
    ("shape", "pixels", "said"),
    [
        ((4, 5, 1), FLOAT, "float32 [4, 5, 1], 1 channel:"),
        ((4, 5, 3), FLOAT.repeat(3, -1).astype(np.float64), "float64 [4, 5, 3], 3 channels:"),
        ((4, 5, 1), WIDE[..., None].astype(np.int64) - 300, "int64 [4, 5, 1], 1 channel:"),
        ((4, 5, 1), WIDE[..., None] // 256, "uint16 [4, 5, 1], 1 channel:"),
        ((4, 5, 1), RGBA[..., :1] > 99, "bool [4, 5, 1], 1 channel:"),
        ((4, 5), RGBA[..., 0], "uint8 [4, 5]:"),
        ((1, 4, 5, 4), RGBA[:, None], "uint8 [1, 4, 5, 4]:"),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, shape, pixels, said, reading):
    feature = tfds.features.Tensor(shape=shape, dtype=pixels.dtype.type)
    stored(tmp_path, feature, lambda k: pixels[k])
    message = refused(tmp_path, reading)
    assert f"stores the image as Tensor of {said} expected uint8 [height, width, chann" in message


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_image_files_of_another_depth_are_refused(tmp_path, dtype, reading):
    feature = tfds.features.Image(shape=(4, 5, 1), dtype=np.uint16, encoding_format="png")
    folder = stored(tmp_path, feature, lambda k: png(WIDE[k]))
    # Only TensorFlow writes float images; they differ in what the features say.
    path = folder / "features.json"
    assert '"uint16"' in path.read_text()
    path.write_text(path.read_text().replace('"uint16"', f'"{dtype}"'))
    assert f"stores the image as Image of {dtype} [4, 5, 1], 1 channel:" in refused(
        tmp_path, reading
    )


def test_other_features_do_not_matter(tmp_path, reading):
    depth = tfds.features.Image(shape=(4, 5, 1), dtype=np.uint16, encoding_format="png")
    image = tfds.features.Tensor(shape=(4, 5, 4), dtype=np.uint8)
    files = [png(WIDE[k]).getvalue() for k in range(COUNT)]
    coarse = (tfds.features.Scalar(np.float32), np.ones(COUNT, np.float32))
    stored(tmp_path, image, lambda k: RGBA[k], depth=(depth, files), coarse_label=coarse)
    image, _ = loaded(tmp_path, reading)
    np.testing.assert_array_equal(image, RGBA)


def test_files_that_lie_about_their_channels_are_refused(tmp_path, reading):
    stored(tmp_path, tfds.features.Image(shape=(4, 5, 3)), lambda k: png(RGBA[k]))
    message = refused(tmp_path, reading)
    assert "images as uint8 with 3 channels, but one of them has transparent pixels" in message


def test_several_images_in_one_example_are_refused(tmp_path, reading):
    feature = tfds.features.Sequence(tfds.features.Image(shape=(4, 5, 4)))
    stored(tmp_path, feature, lambda k: [png(RGBA[k])])
    assert "stores the image as a Sequence feature" in refused(tmp_path, reading)


@pytest.mark.parametrize(
    ("feature", "values", "said"),
    [
        (tfds.features.Scalar(np.int64), np.arange(COUNT) % 2, "Scalar of int64 []"),
        (
            tfds.features.Sequence(tfds.features.ClassLabel(num_classes=2)),
            [[0], [0, 1]] * 3,
            "a Sequence feature",
        ),
        (
            tfds.features.Tensor(shape=(2,), dtype=np.float32),
            np.eye(2, dtype=np.float32)[np.arange(COUNT) % 2],
            "Tensor of float32 [2]",
        ),
    ],
)
def test_labels_that_are_no_class_are_refused(tmp_path, feature, values, said, reading):
    image = tfds.features.Image(shape=(4, 5, 4))
    stored(tmp_path, image, lambda k: png(RGBA[k]), label=(feature, values))
    assert f"stores the label as {said}: expected one ClassLabel" in refused(tmp_path, reading)


def test_hidden_labels_are_refused(tmp_path, reading):
    image = tfds.features.Image(shape=(4, 5, 4))
    stored(tmp_path, image, lambda k: png(RGBA[k]), label=(labels(), np.full(COUNT, -1)))
    with pytest.raises(InputError, match=r"labels reach from -1 to -1: .*not published"):
        loaded(tmp_path, reading)


IDS = {
    "whole": (tfds.features.Scalar(np.int64), np.arange(COUNT)[::-1] + 7),
    "text": (tfds.features.Text(), [f"img_{12 - k:03d}" for k in range(COUNT)]),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_are_whole_numbers_or_end_in_one_and_images_go_by_them(tmp_path, kind, reading):
    image = tfds.features.Image(shape=(4, 5, 4))
    stored(tmp_path, image, lambda k: png(RGBA[k]), id=IDS[kind])
    image, dataset = loaded(tmp_path, reading)
    np.testing.assert_array_equal(dataset.train.id, np.arange(7, 13))
    np.testing.assert_array_equal(image, RGBA[::-1])


@pytest.mark.parametrize(
    ("feature", "values", "said"),
    [
        (
            tfds.features.Scalar(np.float32),
            np.arange(COUNT) + np.float32(0.7),
            "stores the id as Scalar of float32 []: expected a whole number or a text",
        ),
        (
            tfds.features.Scalar(np.bool_),
            np.arange(COUNT) > 2,
            "stores the id as Scalar of bool []",
        ),
        (
            tfds.features.Tensor(shape=(2,), dtype=np.int64),
            np.arange(2 * COUNT).reshape(-1, 2),
            "stores the id as Tensor of int64 [2]",
        ),
        (
            tfds.features.Scalar(np.uint64),
            np.arange(COUNT, dtype=np.uint64) + np.uint64(2**63),
            "has the id 9223372036854775808: expected numbers below 2**63",
        ),
        (
            tfds.features.Text(),
            [f"img_{10**30 + k}" for k in range(COUNT)],
            "expected numbers below 2**63",
        ),
        (
            tfds.features.Text(),
            [f"{'ab'[k % 2]}/img_{k // 2}" for k in range(COUNT)],
            "has the ids 'a/img_0' and 'b/img_0', which end in the same number",
        ),
    ],
)
def test_other_ids_are_refused(tmp_path, feature, values, said, reading):
    image = tfds.features.Image(shape=(4, 5, 4))
    stored(tmp_path, image, lambda k: png(RGBA[k]), id=(feature, values))
    assert said in refused(tmp_path, reading)


def test_an_empty_split_is_refused(tmp_path, reading):
    folder = stored(tmp_path, tfds.features.Image(shape=(4, 5, 4)), lambda k: png(RGBA[k]))
    # TFDS writes none, other programs may.
    path = folder / "dataset_info.json"
    info = json.loads(path.read_text())
    info["splits"][1]["shardLengths"] = ["0"]
    path.write_text(json.dumps(info))
    with pytest.raises(InputError, match="no example in the split test: expected at least one"):
        loaded(tmp_path, reading)


def test_other_names_of_features_and_splits_are_refused(tmp_path, reading):
    features = {"picture": tfds.features.Image(shape=(4, 5, 4)), "label": labels()}
    prepare(tmp_path, features, lambda split: [{"picture": png(RGBA[0]), "label": 0}])
    message = refused(tmp_path, reading)
    assert "has the features label, picture and the splits test, train: expected the" in message
