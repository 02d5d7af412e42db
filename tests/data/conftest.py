"""Tiny archives in the true formats, and a dataset in memory."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from jax_unlearn.core import Examples
from jax_unlearn.data import Dataset


class Archive(NamedTuple):
    """An archive as a user would place it, and what is in it, in the original order."""

    data_dir: Path
    path: Path
    train_image: np.ndarray
    train_label: np.ndarray
    test_image: np.ndarray
    test_label: np.ndarray
    train_coarse: np.ndarray | None = None
    test_coarse: np.ndarray | None = None


def write_tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def records(image, *labels):
    """Label bytes, then the red, green and blue planes, for each image."""
    planes = image.transpose(0, 3, 1, 2).reshape(len(image), -1)
    return np.concatenate([*(np.uint8(part)[:, None] for part in labels), planes], axis=1).tobytes()


def images(rng, count, side):
    return rng.integers(0, 256, (count, side, side, 3), np.uint8)


@pytest.fixture
def cifar10_archive(tmp_path):
    rng = np.random.default_rng(0)
    train, test = images(rng, 22, 32), images(rng, 10, 32)
    train_label, test_label = np.arange(22) * 3 % 10, np.arange(10)
    names = [f"kind{k}" for k in range(10)]
    batches = {
        f"cifar-10-batches-bin/data_batch_{k + 1}.bin": records(train[rows], train_label[rows])
        for k, rows in enumerate(np.split(np.arange(22), 11))
    }
    path = tmp_path / "data" / "downloads" / "manual" / "cifar-10-binary.tar.gz"
    write_tar(
        path,
        {
            # The original archive does not hold its batches in order either.
            **dict(sorted(batches.items(), reverse=True)),
            "cifar-10-batches-bin/readme.html": b"<html>",
            "../../outside.bin": b"never written",
            "cifar-10-batches-bin/test_batch.bin": records(test, test_label),
            "cifar-10-batches-bin/batches.meta.txt": ("\n".join(names) + "\n\n").encode(),
        },
    )
    return Archive(tmp_path / "data", path, train, train_label, test, test_label)


@pytest.fixture
def cifar100_archive(tmp_path):
    rng = np.random.default_rng(1)
    train, test = images(rng, 30, 32), images(rng, 20, 32)
    fine = [np.arange(30) * 7 % 100, np.arange(20) * 5 % 100]
    coarse = [part // 5 for part in fine]
    path = tmp_path / "data" / "downloads" / "manual" / "cifar-100-binary.tar.gz"
    root = "cifar-100-binary"
    write_tar(
        path,
        {
            f"{root}/train.bin": records(train, coarse[0], fine[0]),
            f"{root}/test.bin": records(test, coarse[1], fine[1]),
            f"{root}/fine_label_names.txt": "".join(f"fine{k}\n" for k in range(100)).encode(),
            f"{root}/coarse_label_names.txt": "".join(f"coarse{k}\n" for k in range(20)).encode(),
        },
    )
    return Archive(tmp_path / "data", path, train, fine[0], test, fine[1], *coarse)


def jpeg(image):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG")
    return file.getvalue()


def decoded(file):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


@pytest.fixture
def tiny_imagenet_archive(tmp_path):
    rng = np.random.default_rng(2)
    wnids = ["n03", "n01", "n02"]
    files, train, labels = {}, [], []
    for label, wnid in enumerate(sorted(wnids)):
        for number in (0, 1, 10, 2):
            image = images(rng, 1, 64)[0]
            # Some of the real images are grey.
            file = jpeg(image[..., 0] if number == 10 else image)
            files[f"tiny-imagenet-200/train/{wnid}/images/{wnid}_{number}.JPEG"] = file
            train.append(decoded(file))
            labels.append(label)
        files[f"tiny-imagenet-200/train/{wnid}/{wnid}_boxes.txt"] = b"0\t0\t0\t63\t63\n"
    test_label, annotations, test = [2, 0, 1, 0], [], []
    for number, label in enumerate(test_label):
        file = jpeg(images(rng, 1, 64)[0])
        files[f"tiny-imagenet-200/val/images/val_{number}.JPEG"] = file
        annotations.append(f"val_{number}.JPEG\t{sorted(wnids)[label]}\t0\t0\t62\t62\n")
        test.append(decoded(file))
    files["tiny-imagenet-200/val/val_annotations.txt"] = "".join(reversed(annotations)).encode()
    files["tiny-imagenet-200/wnids.txt"] = "\n".join(wnids).encode()
    files["tiny-imagenet-200/words.txt"] = b"n01\tcrane\nn02\tgoldfish, Carassius\nn03\tcrane\n"
    files["tiny-imagenet-200/test/images/test_0.JPEG"] = jpeg(images(rng, 1, 64)[0])
    path = tmp_path / "data" / "tiny-imagenet-200.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as zipped:
        for name in sorted(files, reverse=True):
            zipped.writestr(name, files[name])
    return Archive(
        tmp_path / "data",
        path,
        np.stack(train),
        np.array(labels),
        np.stack(test),
        np.array(test_label),
    )


@pytest.fixture
def dataset():
    """Sixty training images of 3 classes and 6 fine classes; ids run backwards from 559."""
    rng = np.random.default_rng(3)
    fine = [np.arange(count, dtype=np.int32) % 6 for count in (60, 12)]
    splits = [
        Examples(
            rng.integers(0, 256, (len(part), 5, 4, 1), np.uint8),
            part // 2,
            np.arange(first, first - len(part), -1),
        )
        for part, first in zip(fine, (559, 11), strict=True)
    ]
    return Dataset(
        "toy", *splits, 3, ("air", "earth", "water"), *fine, tuple(f"fine{k}" for k in range(6))
    )
