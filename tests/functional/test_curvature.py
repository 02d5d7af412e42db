"""Hessian-vector products, conjugate gradients, and the released WoodFisher recursion."""

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jax_unlearn import functional, make_mesh

N, PIXELS, K = 9, 5, 3
RNG = np.random.default_rng(1)
IMAGES = RNG.random((N, PIXELS), np.float32)
LABELS = RNG.integers(0, K, N).astype(np.int32)
WEIGHTS = {
    "weight": jnp.asarray(RNG.normal(size=(PIXELS, K)), jnp.float32),
    "bias": jnp.asarray(RNG.normal(size=K), jnp.float32),
}
VECTOR = jax.tree.map(lambda x: jnp.asarray(RNG.normal(size=x.shape), jnp.float32), WEIGHTS)
FLAT, unravel = jax.flatten_util.ravel_pytree(WEIGHTS)


def loss(variables, images, labels):
    logits = images @ variables["weight"] + variables["bias"][None]
    return functional.cross_entropy(logits, labels)


def flat(tree):
    return np.asarray(jax.flatten_util.ravel_pytree(tree)[0])


def dense_hessian():
    return np.asarray(jax.hessian(lambda w: loss(unravel(w), IMAGES, LABELS).mean())(FLAT))


@pytest.mark.parametrize("batch_size", [2, 9])
def test_a_product_with_the_hessian_is_the_dense_one(batch_size):
    found = functional.hessian_vector_product(loss, WEIGHTS, VECTOR, (IMAGES, LABELS), batch_size)
    expected = dense_hessian() @ flat(VECTOR)
    np.testing.assert_allclose(flat(found), expected, rtol=1e-4, atol=1e-6)
    spread = functional.hessian_vector_product(
        *(loss, WEIGHTS, VECTOR, (IMAGES, LABELS), batch_size),
        sharding=NamedSharding(make_mesh(4), PartitionSpec("data")),
    )
    chex.assert_trees_all_close(spread, found, rtol=1e-4, atol=1e-6)


def test_conjugate_gradients_solve_what_is_solved_densely():
    def damped(vector):
        product = functional.hessian_vector_product(loss, WEIGHTS, vector, (IMAGES, LABELS), 4)
        return jax.tree.map(lambda p, v: p + 0.1 * v, product, vector)

    found = functional.conjugate_gradients(damped, VECTOR, max_steps=40, tolerance=1e-6)
    expected = np.linalg.solve(dense_hessian() + 0.1 * np.eye(FLAT.size), flat(VECTOR))
    np.testing.assert_allclose(flat(found.x), expected, rtol=1e-4, atol=1e-5)
    assert not found.indefinite
    assert found.residual <= 1e-6


def test_they_need_as_many_steps_as_there_are_distinct_eigenvalues():
    values = jnp.asarray([1.0, 1.0, 4.0, 4.0, 4.0])
    found = functional.conjugate_gradients(lambda x: values * x, jnp.ones(5), tolerance=1e-6)
    assert found.steps == 2
    np.testing.assert_allclose(found.x, 1 / values, rtol=1e-6)


def test_they_stop_at_a_direction_of_negative_curvature_and_keep_what_they_have():
    values = jnp.asarray([1.0, -1.0])
    first = functional.conjugate_gradients(lambda x: values * x, jnp.asarray([0.0, 1.0]))
    assert (first.steps, first.indefinite, first.residual) == (1, True, 1.0)
    np.testing.assert_array_equal(first.x, [0, 0])
    # Along the right-hand side the curvature is positive; along the next direction it is not.
    later = functional.conjugate_gradients(lambda x: values * x, jnp.asarray([2.0, 1.0]))
    assert (later.steps, later.indefinite) == (2, True)
    np.testing.assert_allclose(later.x, [10 / 3, 5 / 3], rtol=1e-6)


def test_of_nothing_they_make_nothing():
    found = functional.conjugate_gradients(lambda x: x, jnp.zeros(3))
    assert (found.steps, found.residual) == (0, 0.0)


def released_woodfisher(vector, gradients, count):
    """The recursion example by example, in float64."""
    k, o = vector.astype(np.float64), None
    for g in gradients.astype(np.float64):
        if o is None:
            o = g
            continue
        t = o @ g
        k = k - (k @ g) / (count + t) * o
        o = o - t / (count + t) * o
    return k


@pytest.mark.parametrize("chunk", [1, 4, 256])
def test_the_released_recursion_does_not_depend_on_the_chunk(chunk):
    found = functional.woodfisher(loss, WEIGHTS, VECTOR, (IMAGES, LABELS), 7.0, chunk=chunk)
    gradients = functional.per_example_gradients(loss, WEIGHTS, IMAGES, LABELS)
    rows = np.stack([flat(jax.tree.map(lambda g, i=i: g[i], gradients)) for i in range(N)])
    expected = released_woodfisher(flat(VECTOR), rows, 7.0)
    np.testing.assert_allclose(flat(found), expected, rtol=1e-4, atol=1e-6)
    # All that it changes lies along the first example's gradient.
    change = flat(found) - flat(VECTOR)
    along = change @ rows[0] / (rows[0] @ rows[0]) * rows[0]
    np.testing.assert_allclose(change, along, rtol=1e-3, atol=1e-6)
