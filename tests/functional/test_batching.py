import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_unlearn.core import InputError
from jax_unlearn.functional import fold_batches, map_batches


@pytest.mark.parametrize("rows", [1, 6, 7, 12])
@pytest.mark.parametrize("as_jax", [True, False])
def test_mapping_batches_equals_one_call_on_all_rows(rows, as_jax):
    images = np.random.default_rng(0).random((rows, 2, 3), dtype=np.float32)
    scale = np.arange(rows, dtype=np.float32)
    arrays = tuple(map(jnp.asarray, (images, scale))) if as_jax else (images, scale)

    def fn(image, scale):
        return {"sum": image.sum(axis=(1, 2)) * scale, "image": image}

    results = map_batches(jax.jit(fn), arrays, 3)
    np.testing.assert_allclose(results["sum"], images.sum(axis=(1, 2)) * scale, rtol=1e-5)
    np.testing.assert_array_equal(results["image"], images)


@pytest.mark.parametrize("rows", [1, 6, 7])
def test_mapping_batches_is_traced_where_the_call_is(rows):
    values = np.arange(rows, dtype=np.float32)
    found = jax.jit(lambda scale: map_batches(lambda x: {"x": x * scale}, (values,), 3))(2.0)
    np.testing.assert_array_equal(found["x"], 2 * values)


def test_batches_of_one_length_compile_once():
    sizes = []

    @jax.jit
    def fn(x):
        sizes.append(x.shape[0])
        return x

    map_batches(fn, (np.arange(10.0, dtype=np.float32),), 4)
    assert sizes == [4]


def test_few_rows_make_a_small_batch():
    sizes = []
    map_batches(lambda x: sizes.append(len(x)) or x, (np.arange(3),), 1000)
    assert sizes == [3]


def test_folding_counts_every_row_once_and_padding_never():
    values = np.arange(1.0, 11.0, dtype=np.float32)

    @jax.jit
    def add(carry, x, weight):
        assert weight.dtype == jnp.float32
        return carry[0] + jnp.sum(weight * x), carry[1] + jnp.sum(weight)

    total, count = fold_batches(add, (jnp.float32(0), jnp.float32(0)), (values,), 4)
    assert (total, count) == (55, 10)


def test_padding_repeats_the_first_row():
    batches = []
    fold_batches(lambda _, x, w: batches.append((x, w)), None, (np.array([5, 6, 7]),), 2)
    np.testing.assert_array_equal(batches[1][0], [7, 5])
    np.testing.assert_array_equal(batches[1][1], [1, 0])


@pytest.mark.parametrize("loop", [map_batches, lambda f, a, b: fold_batches(f, None, a, b)])
def test_bad_batches_are_refused(loop):
    with pytest.raises(InputError, match=r"^batch_size=0: expected a whole number >= 1$"):
        loop(lambda *a: a, (np.arange(3),), 0)
    with pytest.raises(InputError, match=r"^arrays: lengths \[3, 2\]; expected"):
        loop(lambda *a: a, (np.arange(3), np.arange(2)), 2)
    with pytest.raises(InputError, match=r"^arrays: lengths \[0\]; expected"):
        loop(lambda *a: a, (np.zeros(0),), 2)
