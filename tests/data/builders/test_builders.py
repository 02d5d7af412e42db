import dataclasses
import hashlib
import http.server
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import load
from jax_unlearn.data.builders import SOURCES, Archive
from jax_unlearn.data.builders.cifar import read_cifar10, read_cifar100
from jax_unlearn.data.builders.prepare import prepare
from jax_unlearn.data.builders.tiny_imagenet import read_tiny_imagenet


def assert_holds(dataset, archive):
    """Whether a loaded dataset is what went into the archive, in its order."""
    for split in ("train", "test"):
        examples = getattr(dataset, split)
        np.testing.assert_array_equal(examples.image, getattr(archive, f"{split}_image"))
        np.testing.assert_array_equal(examples.label, getattr(archive, f"{split}_label"))
        np.testing.assert_array_equal(examples.id, np.arange(len(examples.id)))


def test_digits_are_1297_and_500_of_scikit_learns_own_in_their_order(tmp_path):
    from sklearn.datasets import load_digits

    digits = load("digits", cache_dir=tmp_path)
    assert digits.train.image.shape == (1297, 8, 8, 1)
    assert digits.test.image.shape == (500, 8, 8, 1)
    original = load_digits()
    ids = np.concatenate([digits.train.id, digits.test.id])
    np.testing.assert_array_equal(np.sort(ids), np.arange(1797))
    images = np.concatenate([digits.train.image, digits.test.image])[..., 0]
    np.testing.assert_array_equal(images, np.rint(original.images[ids] * 255 / 16))
    labels = np.concatenate([digits.train.label, digits.test.label])
    np.testing.assert_array_equal(labels, original.target[ids])
    assert images.max() == 255


def test_digits_are_split_class_by_class_and_always_the_same_way(tmp_path):
    digits = load("digits", cache_dir=tmp_path)
    sizes = np.bincount(digits.train.label) + np.bincount(digits.test.label)
    share = np.bincount(digits.test.label) / sizes
    assert np.abs(share - 500 / 1797).max() < 1 / sizes.min()
    np.testing.assert_array_equal(digits.test.id[:5], [1, 2, 3, 11, 13])


def test_cifar10_comes_out_as_it_went_into_the_binary_archive(cifar10_archive, tmp_path):
    loaded = load("cifar10", cifar10_archive.data_dir, tmp_path / "cache")
    assert_holds(loaded, cifar10_archive)
    assert loaded.class_names == tuple(f"kind{k}" for k in range(10))
    assert loaded.train_fine is None
    assert not list(tmp_path.rglob("outside.bin"))


@pytest.mark.filterwarnings("ignore:.*no training images for 70 of the 100 classes")
def test_cifar100_has_fine_labels_and_cifar20_coarse_ones_with_fine_beneath(
    cifar100_archive, tmp_path
):
    fine = load("cifar100", cifar100_archive.data_dir, tmp_path / "cache")
    assert_holds(fine, cifar100_archive)
    assert (fine.num_classes, fine.class_names[69]) == (100, "fine69")
    coarse = load("cifar20", cifar100_archive.data_dir, tmp_path / "cache")
    assert (coarse.num_classes, coarse.class_names[19]) == (20, "coarse19")
    np.testing.assert_array_equal(coarse.train.image, fine.train.image)
    np.testing.assert_array_equal(coarse.train.label, cifar100_archive.train_coarse)
    np.testing.assert_array_equal(coarse.test.label, cifar100_archive.test_coarse)
    np.testing.assert_array_equal(coarse.train_fine, fine.train.label)
    np.testing.assert_array_equal(coarse.test_fine, fine.test.label)
    assert coarse.fine_names == fine.class_names


def test_tiny_imagenet_counts_classes_and_files_in_alphabetical_order(
    tiny_imagenet_archive, tmp_path
):
    loaded = load("tiny_imagenet200", tiny_imagenet_archive.data_dir, tmp_path / "cache")
    assert_holds(loaded, tiny_imagenet_archive)
    assert loaded.train.image.shape == (12, 64, 64, 3)
    assert loaded.class_names == ("crane (n01)", "goldfish", "crane (n03)")


def test_grey_images_of_tiny_imagenet_have_three_equal_channels(tiny_imagenet_archive, tmp_path):
    loaded = load("tiny_imagenet200", tiny_imagenet_archive.data_dir, tmp_path / "cache")
    grey = (loaded.train.image == loaded.train.image[..., :1]).all((1, 2, 3))
    np.testing.assert_array_equal(np.flatnonzero(grey), [2, 6, 10])


def test_tfds_itself_reads_what_was_prepared(cifar100_archive):
    import tensorflow_datasets as tfds

    source = SOURCES["cifar100"]
    folder = prepare(source, cifar100_archive.data_dir, [cifar100_archive.path])
    assert folder == cifar100_archive.data_dir / "cifar100" / source.version
    builder = tfds.builder_from_directory(folder)
    first = builder.as_data_source(split="train")[0]
    np.testing.assert_array_equal(first["image"], cifar100_archive.train_image[0])
    assert (first["id"], first["label"]) == (0, cifar100_archive.train_label[0])
    assert builder.info.features["coarse_label"].names[3] == "coarse3"
    assert not list(cifar100_archive.data_dir.glob(".unfinished-*"))


def test_preparing_twice_gives_the_same_folder(cifar10_archive):
    first, second = (
        prepare(SOURCES["cifar10"], cifar10_archive.data_dir, [cifar10_archive.path])
        for _ in range(2)
    )
    assert first == second


def test_a_truncated_archive_is_refused_and_leaves_nothing(cifar10_archive, tmp_path):
    whole = cifar10_archive.path.read_bytes()
    cifar10_archive.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"archive='.*tar.gz': cannot be read \(.*fetch it again"):
        load("cifar10", cifar10_archive.data_dir, tmp_path / "cache")
    assert not list(cifar10_archive.data_dir.rglob("dataset_info.json"))
    assert not list(cifar10_archive.data_dir.glob(".unfinished-*"))


@pytest.mark.parametrize("read", [read_cifar10, read_cifar100])
def test_another_archive_under_the_name_is_refused(tmp_path, read):
    path = tmp_path / "archive.tar.gz"
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(InputError, match="fetch the binary version, not the Python or Matlab one"):
        read(path)


def write_cifar10(path, record_bytes, names=b"a\nb\n"):
    files = {"data_batch_1.bin": record_bytes, "test_batch.bin": bytes(3073)}
    with tarfile.open(path, "w:gz") as tar:
        for name, data in (*files.items(), ("batches.meta.txt", names)):
            (path.parent / name).write_bytes(data)
            tar.add(path.parent / name, f"cifar-10-batches-bin/{name}")


@pytest.mark.parametrize(
    ("record_bytes", "message"),
    [
        (bytes(3072), "3072 bytes of records: expected a multiple of 3073"),
        (b"", "0 bytes of records: expected a multiple of 3073"),
        (bytes([2]) + bytes(3072), "label 2 found: expected 0 to 1"),
    ],
)
def test_records_that_do_not_fit_are_refused(tmp_path, record_bytes, message):
    write_cifar10(tmp_path / "a.tar.gz", record_bytes)
    with pytest.raises(InputError, match=message):
        read_cifar10(tmp_path / "a.tar.gz")


@pytest.mark.parametrize(
    ("dropped", "message"),
    [
        ("wnids.txt", "no item named 'tiny-imagenet-200/wnids.txt'"),
        ("val/images/val_1.JPEG", "no item named 'tiny-imagenet-200/val/images/val_1.JPEG'"),
        ("train/", "no training images"),
    ],
)
def test_a_zip_without_a_needed_file_is_refused(tiny_imagenet_archive, tmp_path, dropped, message):
    path = tmp_path / "part.zip"
    with zipfile.ZipFile(tiny_imagenet_archive.path) as whole, zipfile.ZipFile(path, "w") as part:
        for name in whole.namelist():
            if not name.startswith(f"tiny-imagenet-200/{dropped}"):
                part.writestr(name, whole.read(name))
    with pytest.raises(InputError, match=message):
        read_tiny_imagenet(path)


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"expected the original tiny-imagenet-200\.zip"):
        read_tiny_imagenet(tmp_path / "a.zip")


def test_a_folder_that_cannot_be_written_is_refused(cifar10_archive):
    (cifar10_archive.data_dir / "cifar10").write_text("a file in the way")
    with pytest.raises(InputError, match="cifar10 cannot be written there"):
        prepare(SOURCES["cifar10"], cifar10_archive.data_dir, [cifar10_archive.path])


@pytest.fixture
def served(cifar10_archive, monkeypatch):
    """CIFAR-10's source with a local address and the checksum of the tiny archive."""
    data = cifar10_archive.path.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path.endswith(".tar.gz") else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    archive = Archive(
        "cifar-10-binary.tar.gz",
        f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz",
        len(data),
        hashlib.sha256(data).hexdigest(),
    )
    yield dataclasses.replace(SOURCES["cifar10"], archives=(archive,))
    server.shutdown()
    server.server_close()


def test_an_archive_is_downloaded_when_the_user_asks(
    served, cifar10_archive, tmp_path, monkeypatch
):
    monkeypatch.setitem(SOURCES, "cifar10", served)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="pass download=True"):
        load("cifar10", empty, tmp_path / "cache")
    assert_holds(load("cifar10", empty, tmp_path / "cache", download=True), cifar10_archive)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"sha256": "0" * 64}, "wrong checksum"), ({"url": "/missing"}, "HTTP code: 404")],
)
def test_a_download_that_is_not_the_official_file_is_refused(served, tmp_path, changes, message):
    (archive,) = served.archives
    if "url" in changes:
        changes = {"url": archive.url.rsplit("/", 1)[0] + changes["url"]}
    changed = dataclasses.replace(served, archives=(archive._replace(**changes),))
    with pytest.raises(InputError, match=message) as caught:
        prepare(changed, tmp_path / "new")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("dataset_info.json"))
