"""Tiny ImageNet-200 from its zip; the official validation images are the test split."""

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data.builders.source import Archive, Content, Rows, Source


def read_tiny_imagenet(archive: Path) -> Content:
    """Read ``tiny-imagenet-200.zip``: JPEG files as they are, some of them grey.

    Classes are the WordNet ids in alphabetical order. Training ids count as torchvision's
    ImageFolder does: class by class, and inside a class by file name in alphabetical order
    (``n01443537_10`` comes before ``n01443537_2``). NatMU's published forget sets count class by
    class too; the order inside a class is not documented there. Test ids are the numbers in the
    names of the validation images.

    Source: Y. Le, X. Yang, "Tiny ImageNet Visual Recognition Challenge", 2015.

    Raises:
      InputError: if the archive is damaged or holds something else.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            return _read(zipped)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"archive={str(archive)!r}: cannot be read ({error}): expected the original "
            f"{TINY_IMAGENET200.files}; fetch it again"
        ) from error


def _read(zipped: zipfile.ZipFile) -> Content:
    root = "tiny-imagenet-200"
    wnids = sorted(zipped.read(f"{root}/wnids.txt").decode().split())
    number = {wnid: k for k, wnid in enumerate(wnids)}

    found = []
    for name in zipped.namelist():
        match = re.fullmatch(rf"{root}/train/(n\d+)/images/([^/]+\.JPEG)", name)
        if match:
            found.append((number[match[1]], match[2], name))
    found.sort()
    train = Rows(
        image=[zipped.read(name) for _, _, name in found],
        label=np.array([k for k, _, _ in found], np.int64),
        id=np.arange(len(found)),
    )

    lines = zipped.read(f"{root}/val/val_annotations.txt").decode().splitlines()
    annotations = sorted(
        (int(re.sub(r"\D", "", name)), number[wnid], name)
        for name, wnid in (line.split("\t")[:2] for line in lines if line.strip())
    )
    test = Rows(
        image=[zipped.read(f"{root}/val/images/{name}") for _, _, name in annotations],
        label=np.array([k for _, k, _ in annotations], np.int64),
        id=np.array([i for i, _, _ in annotations], np.int64),
    )
    if not found or not annotations:
        raise ValueError("no training images" if not found else "no validation images")
    return Content(train, test, _names(zipped.read(f"{root}/words.txt").decode(), wnids))


def _names(words: str, wnids: list[str]) -> tuple[str, ...]:
    """First synonym of each class; with the WordNet id where two classes share it."""
    synonyms = dict(line.split("\t", 1) for line in words.splitlines() if "\t" in line)
    first = [synonyms.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    return tuple(
        name if first.count(name) == 1 else f"{name} ({wnid})"
        for name, wnid in zip(first, wnids, strict=True)
    )


TINY_IMAGENET200 = Source(
    name="tiny_imagenet200",
    version="1.0.0",
    description="Tiny ImageNet, 64x64, colour, 200 classes; test = official validation images. "
    "Ids follow torchvision's ImageFolder.",
    homepage="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    image_shape=(64, 64, 3),
    read=read_tiny_imagenet,
    archives=(Archive("tiny-imagenet-200.zip"),),
    encoded=True,
)
