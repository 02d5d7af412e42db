"""Images that are not in memory behave as the array that they stand for."""

import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.data import take
from jax_unlearn.data.lazy import Joined, LazyImages, batches


class Noted(LazyImages):
    """An array behind the interface, which notes what is read."""

    def __init__(self, images):
        self.images, self.shape, self.asked = images, images.shape, []
        self.identity = "noted"

    def read(self, rows):
        self.asked.append(rows.tolist())
        return self.images[rows]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 2, 1), np.uint8)


INDICES = [
    np.array([3, 3, -1, 0]),
    np.array([[1, 2], [19, -20]]),
    np.array([], int),
    np.arange(20) % 3 == 0,
    slice(2, 18, 5),
    slice(15, 40),
    slice(None),
    4,
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_gives_what_the_array_gives(index, images):
    for lazy in (
        Noted(images),
        Noted(images[::-1]).view(np.arange(19, -1, -1)),
        Joined([Noted(images[:7]), images[7:11], Noted(images[11:])]),
    ):
        np.testing.assert_array_equal(lazy[index], images[index])
        assert lazy[index].dtype == np.uint8


def test_its_attributes_are_the_arrays(images):
    lazy = Joined([Noted(images[:7]), images[7:]])
    assert (lazy.shape, lazy.ndim, lazy.dtype, len(lazy)) == (images.shape, 4, np.uint8, 20)
    np.testing.assert_array_equal(np.asarray(lazy), images)
    np.testing.assert_array_equal(np.asarray(lazy, np.float32), images.astype(np.float32))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (np.array([20]), "positions 20 to 20 of 20 images"),
        (np.array([-21, 0]), "positions -21 to 0 of 20 images"),
        (np.ones(3, bool), r"mask \[3\]: expected one bool for 20 images"),
        (np.array([0.5]), "index of float64: expected positions, a mask or a slice"),
    ],
)
def test_a_wrong_index_is_an_index_error(index, message, images):
    with pytest.raises(IndexError, match=message):
        Noted(images)[index]


def test_an_array_without_a_copy_is_refused(images):
    with pytest.raises(ValueError, match="always copied"):
        Noted(images).__array__(copy=False)


def test_views_of_views_read_only_what_is_asked_for(images):
    lazy = Noted(images)
    view = lazy.view(np.arange(20) % 2 == 1).view(np.array([4, 0, 2]))
    assert view.shape == (3, 3, 2, 1)
    assert lazy.asked == []
    np.testing.assert_array_equal(view[np.array([0, 2])], images[[9, 5]])
    assert lazy.asked == [[9, 5]]


def test_a_views_identity_tells_its_rows(images):
    lazy = Noted(images)
    names = [lazy.view(rows).identity for rows in (np.arange(3), np.arange(4), np.arange(3)[::-1])]
    assert len({*names, lazy.identity}) == 4
    assert lazy.view(np.arange(3)).identity == names[0]
    assert Joined([lazy, lazy]).view(np.arange(3)).identity == ""


def test_taking_examples_reads_nothing(images):
    lazy = Noted(images)
    examples = ju.Examples(lazy, np.arange(20, dtype=np.int32), np.arange(20) + 100)
    some = take(take(examples, np.arange(20) >= 10), np.array([1, 5]))
    assert lazy.asked == []
    np.testing.assert_array_equal(some.id, [111, 115])
    np.testing.assert_array_equal(some.image[:], images[[11, 15]])


def test_pools_are_joined_unread(images):
    lazy = Noted(images)
    kept = ju.Examples(lazy, np.zeros(20, np.int32), np.arange(20))
    other = kept._replace(image=255 - images)
    pool = ju.concatenate_pools(
        ju.pool_rows(kept, ju.RETAIN, augment=True), ju.pool_rows(other, ju.FORGET, augment=False)
    )
    assert lazy.asked == []
    assert (len(pool.image), len(pool.label), pool.role.sum()) == (40, 40, 20)
    np.testing.assert_array_equal(pool.image[:], np.concatenate([images, 255 - images]))


def test_numpy_joins_images_and_tells_their_shape_unread(images):
    lazy = Noted(images)
    for parts in ([lazy, images], (images, lazy), [jnp.asarray(images), lazy]):
        joined = np.concatenate(parts)
        assert isinstance(joined, LazyImages)
        assert np.shape(joined) == joined.shape == (40, 3, 2, 1)
        assert lazy.asked == []
        np.testing.assert_array_equal(joined[15:25], np.concatenate([images, images])[15:25])
        lazy.asked.clear()


def test_numpys_other_functions_give_what_they_give_of_the_array(images):
    lazy = Noted(images)
    np.testing.assert_array_equal(np.mean(lazy, axis=0), images.mean(axis=0))
    np.testing.assert_array_equal(np.stack([images, lazy]), np.stack([images, images]))
    np.testing.assert_array_equal(
        np.concatenate([lazy, lazy], axis=2), np.concatenate([images, images], axis=2)
    )


def test_batches_are_those_that_indexing_gives(images):
    rows = [np.array([19, 0, 7]), np.array([8, 8]), np.array([], int), np.array([6])]
    parts = [Noted(images[:7]), images[7:11], Noted(images[11:]).view(np.arange(9))]
    for source in (images, Noted(images), Joined(parts)):
        for batch, wanted in zip(batches(source, rows), rows, strict=True):
            np.testing.assert_array_equal(batch, images[wanted])
