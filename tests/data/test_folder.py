"""A folder of images with a sub-folder for each class, as a data set."""

import dataclasses
import os
import pathlib
import re
import shutil
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image

from jax_unlearn.core import InputError
from jax_unlearn.data import ImageOptions, by_class, load, load_folder, open_stream
from jax_unlearn.data import encoded as encoded_module
from jax_unlearn.data.image_files import fit_square

RNG = np.random.default_rng(0)


def write(path, pixels=None, size=(6, 5), kind=""):
    """Write an image file; colours at random where no pixels are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (*size, 3), np.uint8) if pixels is None else pixels
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, kind or None)
    return np.asarray(image)


@pytest.fixture
def flat(tmp_path):
    """Ten images of cats and five of dogs, and their pixels in order."""
    root = tmp_path / "pets"
    cats = [write(root / "cat" / f"{k}.png") for k in range(10)]
    dogs = [write(root / "dog" / f"{k}.png") for k in range(5)]
    return root, np.stack(cats + dogs)


@pytest.fixture
def divided(tmp_path):
    """A folder with train and test, of two classes with three and two images each."""
    root = tmp_path / "pets"
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            for k in range(count):
                write(root / split / name / f"{k}.png")
    return root


def refused(root, *parts, **options):
    with pytest.raises(InputError) as caught:
        load_folder(root, ImageOptions(**options))
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    return message


def test_classes_files_and_ids_are_in_the_order_of_torchvisions_image_folder(tmp_path):
    """By class, then by the folder inside it, then by name: digits are letters, capitals first."""
    root = tmp_path / "pets"
    paths = ["Zebra/b.png", "Zebra/a.png", "ant/10.png", "ant/2.png", "ant/B.png", "ant/sub/1.png"]
    pixels = {path: write(root / "train" / path) for path in paths}
    for name in ("Zebra", "ant"):
        write(root / "test" / name / "a.png")
    found = load_folder(root)
    assert (found.name, found.class_names) == ("pets", ("Zebra", "ant"))
    order = ["Zebra/a.png", "Zebra/b.png", "ant/10.png", "ant/2.png", "ant/B.png", "ant/sub/1.png"]
    np.testing.assert_array_equal(found.train.image, np.stack([pixels[path] for path in order]))
    np.testing.assert_array_equal(found.train.label, [0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(found.train.id, range(6))
    np.testing.assert_array_equal(found.test.label, [0, 1])


def test_jpeg_and_png_come_out_as_pillow_decodes_them(tmp_path):
    pixels = RNG.integers(0, 256, (6, 5, 3), np.uint8)
    for split in ("train", "test"):
        write(tmp_path / split / "jpeg" / "a.jpg", pixels)
        write(tmp_path / split / "png" / "a.png", pixels)
    found = load_folder(tmp_path).train.image
    jpeg = np.asarray(Image.open(tmp_path / "train" / "jpeg" / "a.jpg"))
    np.testing.assert_array_equal(found, [jpeg, pixels])


def test_without_a_test_split_images_are_drawn_class_by_class_and_keep_their_ids(flat):
    root, pixels = flat
    found = load_folder(root, ImageOptions(test_share=0.2))
    assert np.bincount(found.test.label).tolist() == [2, 1]
    assert sorted([*found.train.id, *found.test.id]) == list(range(15))
    for split in (found.train, found.test):
        np.testing.assert_array_equal(split.image, pixels[split.id])
        np.testing.assert_array_equal(split.label, split.id >= 10)
    again, other = (load_folder(root, ImageOptions(split_seed=seed)).test.id for seed in (0, 1))
    np.testing.assert_array_equal(again, found.test.id)
    assert not np.array_equal(other, found.test.id)


def test_val_is_the_test_split_and_beside_test_it_is_held_out(divided):
    tests = load_folder(divided).test.image
    (divided / "test").rename(divided / "val")
    found = load_folder(divided)
    np.testing.assert_array_equal(found.test.image, tests)
    assert found.validation is None
    for name in ("cat", "dog"):
        write(divided / "Testing" / name / "a.png")
    found = load_folder(divided)
    np.testing.assert_array_equal(found.validation.image, tests)
    assert not np.intersect1d(found.validation.id, found.train.id).size
    assert len(found.test.label) == 2


def test_a_train_folder_alone_gives_the_test_images_too(flat):
    root, _ = flat
    expected = load_folder(root)
    for name in ("cat", "dog"):
        (root / "train").mkdir(exist_ok=True)
        (root / name).rename(root / "train" / name)
    assert load_folder(root).fingerprint == expected.fingerprint


def test_a_class_may_be_called_train(tmp_path):
    for name in ("car", "train"):
        for k in range(5):
            write(tmp_path / name / f"{k}.png")
    assert load_folder(tmp_path).class_names == ("car", "train")


def test_a_class_can_be_asked_for_by_the_name_of_its_folder(divided):
    request = by_class(load_folder(divided), "dog")
    assert request.classes == (1,)
    np.testing.assert_array_equal(request.ids, [3, 4, 5])


def test_hidden_files_and_what_systems_leave_are_passed_over(divided):
    before = load_folder(divided).fingerprint
    for name in (".DS_Store", "._0.png", "Thumbs.db", "desktop.ini"):
        (divided / "train" / "cat" / name).write_bytes(b"x")
        (divided / "train" / name).write_bytes(b"x")
    (divided / "train" / ".cache").mkdir()
    (divided / "__MACOSX").mkdir()
    (divided / "README.md").write_text("About these images")
    assert load_folder(divided).fingerprint == before


def test_grey_files_give_one_channel_without_a_word(tmp_path):
    for name in ("cat", "dog"):
        for split in ("train", "test"):
            write(tmp_path / split / name / "a.png", RNG.integers(0, 256, (6, 5), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_folder(tmp_path).train.image.shape == (2, 6, 5, 1)


def test_kinds_of_pixels_that_are_converted_are_counted(divided):
    grey = write(divided / "train" / "cat" / "0.png", RNG.integers(0, 256, (6, 5), np.uint8))
    palette = Image.fromarray(RNG.integers(0, 256, (6, 5, 3), np.uint8)).quantize(8)
    write(divided / "train" / "cat" / "1.png", palette)
    opaque = np.dstack([RNG.integers(0, 256, (6, 5, 3), np.uint8), np.full((6, 5), 255, np.uint8)])
    write(divided / "test" / "dog" / "0.png", opaque)
    message = (
        "of 10 images 1 grey, 1 palette and 1 colour with opacity are converted to colour "
        r"\(3 channels\)"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        found = load_folder(divided)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(found.train.image[0], np.dstack([grey] * 3))
    np.testing.assert_array_equal(found.train.image[1], np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(found.test.image[2], opaque[..., :3])


def test_transparent_pixels_are_kept_or_refused_never_dropped(divided):
    glass = RNG.integers(0, 255, (6, 5, 4), np.uint8)
    write(divided / "train" / "cat" / "0.png", glass)
    with pytest.warns(UserWarning, match="1 colour with opacity"):
        refused(divided, "1 of 6 files", "transparent pixels: train/cat/0.png", "channels=4")
    with pytest.warns(UserWarning, match="9 colour are converted"):
        found = load_folder(divided, ImageOptions(channels=4))
    np.testing.assert_array_equal(found.train.image[0], glass)
    assert (found.train.image[1, ..., 3] == 255).all()


def test_colours_are_not_made_grey(divided):
    with pytest.warns(UserWarning, match="converted to grey"):
        refused(divided, "6 of 6 files", "colours: ", "and 3 more", "channels=3", channels=1)


def test_the_middle_of_the_longer_side_is_kept():
    """Where the shorter side needs no resizing, nothing but a cut is left."""
    pixels = RNG.integers(0, 256, (4, 10, 3), np.uint8)
    np.testing.assert_array_equal(fit_square(pixels, 4), pixels[:, 3:7])
    np.testing.assert_array_equal(fit_square(pixels.transpose(1, 0, 2), 4)[:, 0], pixels[0, 3:7])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_even_image_is_even_at_any_size(channels):
    pixels = np.broadcast_to(np.uint8([50, 100, 150, 200][4 - channels :]), (7, 9, channels))
    fitted = fit_square(np.ascontiguousarray(pixels), 5)
    assert fitted.shape == (5, 5, channels)
    assert np.abs(fitted.astype(int) - pixels[0, 0]).max() <= 1


def test_images_of_different_sizes_are_refused_or_resized_as_asked(divided):
    small = divided / "train" / "dog" / "1.png"
    write(small, size=(3, 4))
    refused(
        divided,
        "2 different sizes, from 3 x 4 (such as train/dog/1.png) to 6 x 5 (train/cat/0.png)",
        "pass image_size=N",
    )
    found = load_folder(divided, ImageOptions(image_size=4))
    assert found.train.image.shape == (6, 4, 4, 3)
    np.testing.assert_array_equal(
        found.train.image[4], fit_square(np.asarray(Image.open(small)), 4)
    )


@pytest.mark.parametrize("options", [{}, {"image_size": 4, "channels": 4}])
@pytest.mark.filterwarnings("ignore:.* are converted")
def test_streamed_images_are_those_in_memory(divided, tmp_path, options):
    whole = load_folder(divided, ImageOptions(**options))
    cache = tmp_path / "cache"
    streamed = open_stream(str(divided), None, cache, options=ImageOptions(**options))
    assert not isinstance(streamed.train.image, np.ndarray)
    rows = [np.array(rows) for rows in ([4, 0], [1], [2, 2, 5], *[[k % 6] for k in range(20)])]
    for batch, images in zip(rows, streamed.train.image.batches(rows), strict=True):
        np.testing.assert_array_equal(images, whole.train.image[batch])
    assert streamed.fingerprint == whole.fingerprint


def test_a_stream_knows_that_a_file_has_changed(divided, tmp_path):
    first, second = (open_stream(str(divided), None, tmp_path / "cache") for _ in range(2))
    assert first.train.image.identity == second.train.image.identity != ""
    write(divided / "train" / "cat" / "0.png")
    os.utime(divided / "train" / "cat" / "0.png", ns=(1, 1))
    third = open_stream(str(divided), None, tmp_path / "cache")
    assert third.train.image.identity != first.train.image.identity
    assert third.fingerprint == load_folder(divided).fingerprint


def test_a_stream_that_is_left_early_ends_its_threads(divided, tmp_path):
    images = open_stream(str(divided), None, tmp_path / "cache").train.image
    before = set(threading.enumerate())
    stream = images.batches([np.array([k % 6]) for k in range(100)])
    next(stream)
    assert set(threading.enumerate()) > before
    stream.close()
    assert set(threading.enumerate()) <= before


def test_unusable_files_are_all_counted_and_named_by_what_is_wrong(divided):
    cat = divided / "train" / "cat"
    (cat / "notes.txt").write_text("not an image")
    (cat / "empty.png").touch()
    (cat / "gone.png").symlink_to("nowhere")
    (cat / "itself").symlink_to("itself")
    os.mkfifo(cat / "pipe")
    message = refused(divided, "5 of 15 files cannot be used", "no image: train/cat/notes.txt")
    assert "empty: train/cat/empty.png" in message
    assert "no such file or directory: train/cat/gone.png" in message
    assert "too many levels of symbolic links: train/cat/itself" in message
    assert "no regular file: train/cat/pipe" in message
    assert message.endswith("mend or remove them")


def test_files_that_are_cut_off_are_all_counted(divided):
    for name in ("cat", "dog"):
        path = divided / "train" / name / "0.png"
        write(path, size=(60, 50))
        path.write_bytes(path.read_bytes()[:4000])
    message = refused(divided, "2 of 6 files cannot be used", "train/cat/0.png", image_size=4)
    assert message.count("truncated") == 1


def no_class_folders(root):
    for split in ("train", "test"):
        shutil.rmtree(root / split)
        write(root / split / "a.png")


def nothing(root):
    shutil.rmtree(root)
    root.mkdir()


def one_class(root):
    for split in ("train", "test"):
        shutil.rmtree(root / split / "dog")


def an_empty_class(root):
    (root / "train" / "fish").mkdir()
    (root / "test" / "fish").mkdir()


def a_class_in_test_alone(root):
    write(root / "test" / "fish" / "a.png")


def a_class_in_train_alone(root):
    write(root / "train" / "fish" / "a.png")


def names_by_case(root):
    write(root / "train" / "Cat" / "a.png")
    write(root / "test" / "Cat" / "a.png")


def names_by_case_over_splits(root):
    (root / "test" / "cat").rename(root / "test" / "Cat")


def names_by_composition(root):
    for split, name in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        write(root / split / name / "a.png")


def a_loop(root):
    (root / "train" / "cat" / "again").symlink_to(root / "train")


def an_image_outside(root):
    write(root / "train" / "a.JPG")


def two_test_folders(root):
    write(root / "Test" / "cat" / "a.png")


def no_train(root):
    (root / "train").rename(root / "pictures")


def a_flat_test(root):
    (root / "test").rename(root / "val")
    write(root / "test" / "a.png")


def classes_beside_splits(root):
    write(root / "fish" / "a.png")


def a_name_that_cannot_be_printed(root):
    write(root / "train" / os.fsdecode(b"f\xff") / "a.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_class_folders, "test and train hold images and no class folders: expected"),
        (nothing, "has no class folders: expected a folder for each class"),
        (one_class, "has one class, cat: expected at least two"),
        (an_empty_class, "fish holds no images: expected at least one in each; add some or remove"),
        (a_class_in_test_alone, "test has the class fish, which train lacks: expected the same"),
        (a_class_in_train_alone, "train has the class fish, which test lacks: expected the same"),
        (names_by_case, "train/Cat and .*train/cat differ only in case .*rename one"),
        (names_by_case_over_splits, "test/Cat and .*train/cat differ only in case"),
        (names_by_composition, "differ only in case or in how letters are composed"),
        (a_loop, "train/cat/again is a link to a folder around it: .*remove the link"),
        (an_image_outside, r"1 image outside class folders \(a.JPG\)"),
        (two_test_folders, "Test and test are both folders of test images"),
        (no_train, "has test and no train: expected a folder train"),
        (a_flat_test, "test has no class folders: expected one for each class"),
        (classes_beside_splits, "images in fish beside those in train"),
        (a_name_that_cannot_be_printed, r"'f\\udcff' has a name that cannot be printed"),
    ],
)
def test_a_folder_that_cannot_be_right_is_refused_in_one_line(divided, spoil, message):
    spoil(divided)
    assert re.search(message, refused(divided, f"dataset={str(divided)!r}: "))


def test_linked_folders_and_files_are_followed(divided, tmp_path):
    expected = load_folder(divided).fingerprint
    (divided / "train" / "cat").rename(tmp_path / "elsewhere")
    (divided / "train" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "0.png").rename(tmp_path / "moved.png")
    (tmp_path / "elsewhere" / "0.png").symlink_to(tmp_path / "moved.png")
    assert load_folder(divided).fingerprint == expected


def test_a_draw_that_leaves_a_class_without_images_is_refused(flat):
    root, _ = flat
    write(root / "fish" / "a.png")
    refused(root, "test_share=0.2 of its 16 images leaves the class fish without images")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": -1}, "image_size=-1: expected a whole number >= 0"),
        ({"channels": 5}, "channels='5': expected one of 0, 1, 2, 3, 4"),
        ({"test_share": 0.0}, "test_share=0.0: expected a number > 0"),
        ({"test_share": 1.0}, "test_share=1: expected less than 1"),
        ({"columns": ("image", "label")}, "columns=('image', 'label'): "),
    ],
)
def test_options_out_of_range_are_refused(divided, options, message):
    refused(divided, message, **options)


def test_more_than_the_memory_holds_is_refused_with_what_to_do(divided, monkeypatch):
    monkeypatch.setattr(encoded_module.os, "sysconf", lambda name: 10)
    refused(divided, "6 images [6, 5, 3] take", "placement stream", "image_size")
    assert open_stream(str(divided)).train.image.shape == (6, 6, 5, 3)


def test_a_folder_is_found_by_path_by_name_and_in_the_data_folder(divided, monkeypatch, tmp_path):
    expected = load_folder(divided).fingerprint
    monkeypatch.chdir(tmp_path)
    for name in (str(divided), "./pets", "pets", "pets/"):
        assert load(name).fingerprint == expected
    monkeypatch.chdir("/")
    assert load("pets", tmp_path).fingerprint == expected
    with pytest.raises(InputError, match=r"data_dir='.*': .*/pets is a path of its own: .*drop it"):
        load(str(divided), tmp_path)


def test_a_known_name_is_no_folder(divided, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    divided.rename(tmp_path / "digits")
    assert load("digits", None, tmp_path / "cache").train.image.shape[1:] == (8, 8, 1)
    assert load("./digits").train.image.shape[1:] == (6, 5, 3)


def test_what_tfds_prepared_is_no_folder_of_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    with pytest.raises(InputError, match="is a folder: expected a name such as cifar10"):
        load("./mnist")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no such folder: expected a folder with a folder of images for each class"),
        ("~nobody_here/pets", "no such folder"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        load(name)


def test_a_data_set_of_one_shape_takes_no_size(tmp_path):
    with pytest.raises(InputError, match=r"image_size=32: digits comes with its own: .*out"):
        load("digits", None, tmp_path, options=ImageOptions(image_size=32))


def test_a_folder_that_may_not_be_read_is_refused(divided):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (divided / "train" / "cat").chmod(0)
    try:
        refused(divided, "cannot be read (permission denied)")
    finally:
        (divided / "train" / "cat").chmod(0o755)


def test_options_are_the_same_words_in_settings():
    """Every option is a setting of the commands."""
    from experiments.shared.original import Data

    defaults = {field.name: field.default for field in dataclasses.fields(Data)}
    for field in dataclasses.fields(ImageOptions):
        assert defaults[field.name] == field.default


def test_nothing_is_written_beside_the_images(divided):
    before = sorted(pathlib.Path(divided).rglob("*"))
    load_folder(divided)
    assert sorted(pathlib.Path(divided).rglob("*")) == before


def test_images_are_never_in_memory_twice(tmp_path):
    """Not even where test images are drawn from among them."""
    for k in range(40):
        write(tmp_path / "pets" / ["cat", "dog"][k % 2] / f"{k}.png", size=(96, 96))
    load_folder(tmp_path / "pets")
    tracemalloc.start()
    try:
        found = load_folder(tmp_path / "pets")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.7 * (found.train.image.nbytes + found.test.image.nbytes)
