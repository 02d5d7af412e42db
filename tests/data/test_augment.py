import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.data import draw_offsets
from jax_unlearn.data.augment import augment_flagged, crop_and_flip

KEY = jax.random.key(7)


def augment(key, images, flags, **settings):
    return augment_flagged(crop_and_flip(**settings), key, images, flags)


jitted = jax.jit(augment, static_argnames=("padding", "flip", "fill"))


def pad_slice_flip(images, flags, offsets, padding, fill):
    """Do image by image what augment does in one gather."""
    height, width = images.shape[1:3]
    mode = {"zero": "constant", "reflect": "reflect"}[fill]
    out = images.copy()
    for i in np.flatnonzero(flags):
        padded = np.pad(images[i], ((padding, padding), (padding, padding), (0, 0)), mode)
        row, column = int(offsets.row[i]), int(offsets.column[i])
        crop = padded[row : row + height, column : column + width]
        out[i] = crop[:, ::-1] if offsets.flip[i] else crop
    return out


def batch(count, *shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), np.uint8), rng.random(count) < 0.7


@pytest.mark.parametrize("fill", ["zero", "reflect"])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("shape", "padding"), [((32, 32, 3), 4), ((7, 5, 1), 2), ((8, 8, 1), 0), ((5, 9, 4), 3)]
)
def test_one_gather_equals_pad_slice_and_flip(shape, padding, flip, fill):
    images, flags = batch(16, *shape)
    offsets = draw_offsets(KEY, 16, padding=padding, flip=flip)
    expected = pad_slice_flip(images, flags, offsets, padding, fill)
    got = jitted(
        KEY, jnp.asarray(images), jnp.asarray(flags), padding=padding, flip=flip, fill=fill
    )
    assert got.dtype == jnp.uint8
    np.testing.assert_array_equal(got, expected)


def test_padding_wider_than_the_image_may_leave_nothing_but_zeros():
    images, flags = batch(64, 3, 3, 1)
    offsets = draw_offsets(KEY, 64, padding=5, flip=True)
    expected = pad_slice_flip(images, flags, offsets, 5, "zero")
    got = jitted(KEY, jnp.asarray(images), jnp.asarray(flags), padding=5, flip=True)
    np.testing.assert_array_equal(got, expected)
    assert (expected[flags] == 0).all((1, 2, 3)).any()


def test_jit_equals_no_jit():
    images, flags = map(jnp.asarray, batch(8, 6, 6, 3))
    np.testing.assert_array_equal(
        jitted(KEY, images, flags, padding=2, flip=True),
        augment(KEY, images, flags, padding=2, flip=True),
    )


@pytest.mark.parametrize("fill", ["zero", "reflect"])
def test_images_without_a_flag_come_back_bit_for_bit(fill):
    images, flags = batch(32, 8, 8, 3)
    got = jitted(KEY, jnp.asarray(images), jnp.asarray(flags), padding=3, flip=True, fill=fill)
    np.testing.assert_array_equal(np.asarray(got)[~flags], images[~flags])
    assert (np.asarray(got)[flags] != images[flags]).any((1, 2, 3)).mean() > 0.9


def test_no_padding_and_no_flip_change_nothing():
    images, _ = batch(4, 8, 8, 3)
    got = jitted(KEY, jnp.asarray(images), jnp.full(4, True), padding=0, flip=False)
    np.testing.assert_array_equal(got, images)


def test_offsets_are_uniform_and_flips_fair():
    offsets = draw_offsets(KEY, 90_000, padding=4, flip=True)
    for values in (offsets.row, offsets.column):
        counts = np.bincount(values, minlength=9)
        assert len(counts) == 9
        # Five standard deviations of Binomial(90000, 1/9).
        assert np.abs(counts - 10_000).max() < 5 * np.sqrt(90_000 * 8 / 81)
    assert abs(int(offsets.flip.sum()) - 45_000) < 5 * 150
    assert abs(np.corrcoef(offsets.row, offsets.column)[0, 1]) < 5 / 300


def test_nothing_is_flipped_unless_asked():
    assert not draw_offsets(KEY, 1000, padding=1, flip=False).flip.any()


def test_keys_give_different_crops():
    images = jnp.asarray(batch(16, 8, 8, 1)[0])
    flags = jnp.full(16, True)
    first, second = (jitted(jax.random.key(k), images, flags, padding=2, flip=True) for k in (0, 1))
    assert (first != second).any()


def test_a_sharded_batch_needs_no_communication():
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    images, flags = map(jnp.asarray, batch(8, 8, 8, 3))

    def crop(images, flags):
        return augment(KEY, images, flags, padding=2, flip=True)

    compiled = jax.jit(crop, in_shardings=(rows, rows), out_shardings=rows).lower(images, flags)
    assert "all-gather" not in compiled.compile().as_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": -1}, "padding=-1: expected a whole number >= 0"),
        ({"padding": 1.5}, "padding=1.5: expected a whole number"),
        ({"padding": 1, "fill": "edge"}, "fill='edge': expected one of reflect, zero"),
        ({"padding": 4, "fill": "reflect"}, "padding=4: expected less than the 4 x 6 pixels"),
    ],
)
def test_impossible_padding_is_refused(arguments, message):
    images, flags = map(jnp.asarray, batch(2, 4, 6, 1))
    with pytest.raises(InputError, match=message):
        augment(KEY, images, flags, flip=True, **arguments)
