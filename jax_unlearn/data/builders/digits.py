"""Handwritten digits: 1797 real 8x8 images that scikit-learn carries along; no network needed."""

import numpy as np

from jax_unlearn.data.builders.source import Content, Rows, Source
from jax_unlearn.data.dataset import stratified_rows

TEST_SIZE = 500


def read_digits() -> Content:
    """Read scikit-learn's digits and split them into 1297 training and 500 test images.

    Pixels 0..16 are scaled to 0..255 and rounded. The split is class-stratified and always the
    same; an image's id is its position in scikit-learn's order.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    image = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    label = digits.target.astype(np.int64)
    test = np.zeros(len(label), bool)
    test[stratified_rows(label, TEST_SIZE, seed=0)] = True
    train_rows, test_rows = (
        Rows(image[rows], label[rows], id=np.flatnonzero(rows)) for rows in (~test, test)
    )
    return Content(train_rows, test_rows, tuple(map(str, range(10))))


DIGITS = Source(
    name="digits",
    version="1.0.0",
    description="Handwritten digits, 8x8, grey: 1297 training and 500 test images. Ids are "
    "positions in scikit-learn's copy.",
    homepage="https://archive.ics.uci.edu/dataset/80",
    image_shape=(8, 8, 1),
    read=read_digits,
)
