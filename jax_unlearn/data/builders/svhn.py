"""SVHN's cropped digits from their original Matlab files."""

from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.data.builders.source import Archive, Content, Rows, Source

SIDE, CHANNELS, DIGITS = 32, 3, 10
HOMEPAGE = "http://ufldl.stanford.edu/housenumbers/"


def read_svhn(train: Path, test: Path) -> Content:
    """Read ``train_32x32.mat`` and ``test_32x32.mat``; ids are positions in them.

    The files call the digit 0 class 10; here a label is its digit. The 531,131 easier images of
    ``extra_32x32.mat`` are not part of the training split.

    Source: Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng, "Reading Digits in Natural
    Images with Unsupervised Feature Learning", NIPS Workshop on Deep Learning and Unsupervised
    Feature Learning, 2011.

    Raises:
      InputError: if a file is damaged or holds something else.
    """
    return Content(_rows(train), _rows(test), tuple(map(str, range(DIGITS))))


def _rows(file: Path) -> Rows:
    pixels, labels = _arrays(file)
    count = labels.size
    if pixels.dtype != np.uint8 or pixels.shape != (SIDE, SIDE, CHANNELS, count) or not count:
        raise _foreign(file, f"X is {pixels.dtype} {list(pixels.shape)} and y has {count} labels")
    if labels.dtype.kind not in "iu" or labels.min() < 1 or labels.max() > DIGITS:
        raise _foreign(file, f"labels reach from {labels.min()} to {labels.max()}")
    image = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    return Rows(image, labels.reshape(-1).astype(np.int64) % DIGITS, np.arange(count))


def _arrays(file: Path) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    try:
        found: dict[str, Any] = loadmat(file, variable_names=("X", "y"))
    except Exception as error:  # a damaged file fails in whatever part of the reader meets it
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"archive={str(file)!r}: cannot be read ({said}): expected the original .mat; fetch it "
            "again"
        ) from error
    if not {"X", "y"} <= set(found):
        raise _foreign(file, "it has no X and y")
    return np.asarray(found["X"]), np.asarray(found["y"])


def _foreign(file: Path, found: str) -> InputError:
    return InputError(
        f"archive={str(file)!r}: {found}: expected uint8 X [{SIDE}, {SIDE}, {CHANNELS}, N] and "
        f"whole numbers y from 1 to {DIGITS}, 10 for the digit 0; fetch the cropped digits "
        f"(Format 2) from {HOMEPAGE}"
    )


SVHN = Source(
    name="svhn",
    version="1.0.0",
    description="SVHN, cropped digits, 32x32, colour, 10 classes; a label is its digit. Ids are "
    "positions in the original files.",
    homepage=HOMEPAGE,
    image_shape=(SIDE, SIDE, CHANNELS),
    read=read_svhn,
    archives=(
        Archive(
            "train_32x32.mat",
            f"{HOMEPAGE}train_32x32.mat",
            182040794,
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        ),
        Archive(
            "test_32x32.mat",
            f"{HOMEPAGE}test_32x32.mat",
            64275384,
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        ),
    ),
)
