"""Importances: chunked and vectorised, they equal a loop over examples."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jax_unlearn import functional, make_mesh
from jax_unlearn.core import InputError
from jax_unlearn.functional.importances import rows_of_chunk

N, PIXELS, K = 11, 6, 4
RNG = np.random.default_rng(0)
IMAGES = RNG.random((N, PIXELS))
LABELS = RNG.integers(0, K, N).astype(np.int32)
VARIABLES = {
    "params": {
        "first": RNG.normal(size=(PIXELS, 5)),
        "second": RNG.normal(size=(5, K)),
    },
    "batch_stats": {"mean": np.full(5, 0.1)},
}


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def logits(variables, images, *_):
    hidden = images @ variables["params"]["first"] - variables["batch_stats"]["mean"][None]
    return jnp.tanh(hidden) @ variables["params"]["second"]


def loss(variables, images, labels):
    return functional.cross_entropy(logits(variables, images), labels)


def gradient_of(rows, labels=LABELS):
    """Gradient of the mean loss of some rows."""
    rows = np.atleast_1d(rows)

    def mean(params):
        return loss({**VARIABLES, "params": params}, IMAGES[rows], jnp.asarray(labels)[rows]).mean()

    return jax.grad(mean)(VARIABLES["params"])


def mean_of(trees):
    return jax.tree.map(lambda *leaves: np.mean(np.stack(leaves), axis=0), *trees)


def sharding(devices):
    return NamedSharding(make_mesh(devices), PartitionSpec("data"))


@pytest.mark.parametrize("measure", [jnp.square, jnp.abs])
@pytest.mark.parametrize("chunk_bytes", [1, 1000, 2**30])
def test_the_exact_importance_equals_a_loop_over_examples(chunk_bytes, measure):
    found = functional.exact_importance(
        loss, VARIABLES, (IMAGES, LABELS), measure=measure, chunk_bytes=chunk_bytes
    )
    expected = mean_of([jax.tree.map(measure, gradient_of(i)) for i in range(N)])
    chex.assert_trees_all_close(found, expected, rtol=1e-9)


def test_the_batch_importance_takes_a_batchs_mean_gradient_and_a_short_batch_for_a_full_one():
    found = functional.batch_importance(loss, VARIABLES, (IMAGES, LABELS), 4)
    rows = [np.arange(0, 4), np.arange(4, 8), np.arange(8, 11)]
    expected = mean_of([jax.tree.map(jnp.square, gradient_of(part)) for part in rows])
    chex.assert_trees_all_close(found, expected, rtol=1e-9)


def test_batches_of_one_are_exact():
    batches = functional.batch_importance(loss, VARIABLES, (IMAGES, LABELS), 1)
    exact = functional.exact_importance(loss, VARIABLES, (IMAGES, LABELS))
    chex.assert_trees_all_close(batches, exact, rtol=1e-9)


def test_the_fisher_information_weighs_each_classs_gradient_by_its_probability():
    found = functional.fisher_information(logits, VARIABLES, (IMAGES,), K)
    chance = np.asarray(jax.nn.softmax(logits(VARIABLES, IMAGES)))
    of_classes = [
        mean_of(
            [
                jax.tree.map(
                    lambda g, p=chance[i, c]: p * g**2, gradient_of(i, np.full(N, c, np.int32))
                )
                for i in range(N)
            ]
        )
        for c in range(K)
    ]
    expected = jax.tree.map(lambda *parts: np.sum(np.stack(parts), axis=0), *of_classes)
    chex.assert_trees_all_close(found, expected, rtol=1e-9)
    batches = functional.fisher_information(logits, VARIABLES, (IMAGES,), K, batch_size=1)
    chex.assert_trees_all_close(batches, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "of",
    [
        functools.partial(functional.exact_importance, loss, VARIABLES, (IMAGES, LABELS)),
        functools.partial(functional.batch_importance, loss, VARIABLES, (IMAGES, LABELS), 5),
        functools.partial(functional.fisher_information, logits, VARIABLES, (IMAGES,), K),
        functools.partial(functional.mean_gradient, loss, VARIABLES, (IMAGES, LABELS), 5),
    ],
    ids=["exact", "batch", "fisher", "mean gradient"],
)
def test_on_several_devices_they_are_the_same(of):
    chex.assert_trees_all_close(of(sharding=sharding(4)), of(), rtol=1e-9)


def test_the_mean_gradient_is_that_of_the_mean_loss():
    found = functional.mean_gradient(loss, VARIABLES, (IMAGES, LABELS), 4)
    chex.assert_trees_all_close(found, gradient_of(np.arange(N)), rtol=1e-9)


def test_a_chunk_is_bounded_by_memory_and_holds_an_example_at_least():
    one = (PIXELS * 5 + 5 * K) * 8
    assert rows_of_chunk(VARIABLES, 3 * one) == 3
    assert rows_of_chunk(VARIABLES, one - 1) == 1
    assert rows_of_chunk(VARIABLES) == 256
    with pytest.raises(InputError, match=r"^chunk_bytes=0: "):
        rows_of_chunk(VARIABLES, 0)


def test_compiled_a_chunk_takes_no_more_than_it_may():
    weights = {"weight": jax.ShapeDtypeStruct((256, 512), jnp.float32)}
    may = 8 * 2**20
    rows = rows_of_chunk(weights, may)
    assert rows == 16

    def loss(variables, images):
        return functional.squared_norm(jnp.tanh(images @ variables["weight"]))

    def one_chunk(variables, images):
        return functional.exact_importance(loss, variables, (images,), chunk_bytes=may)

    images = jax.ShapeDtypeStruct((rows, 256), jnp.float32)
    analysis = jax.jit(one_chunk).lower(weights, images).compile().memory_analysis()
    assert analysis.temp_size_in_bytes < 1.1 * may


def test_half_precision_weights_have_importances_in_float32():
    narrow = jax.tree.map(lambda x: x.astype(jnp.bfloat16), VARIABLES)
    images = IMAGES.astype(jnp.bfloat16)
    found = functional.exact_importance(loss, narrow, (images, LABELS))
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}


def test_dampening_shrinks_what_is_chosen_and_keeps_the_bits_of_the_rest():
    weights = {"a": jnp.asarray([1.0, -2.0, 3.0, 0.3]), "b": jnp.asarray([[1e-20]])}
    whole = {"a": jnp.asarray([1.0, 1.0, 1.0, 0.0]), "b": jnp.asarray([[1.0]])}
    forget = {"a": jnp.asarray([2.0, 8.0, 1.9, 0.0]), "b": jnp.asarray([[1.0]])}
    found = functional.dampen(weights, whole, forget, 2.0, 3.0)
    np.testing.assert_array_equal(found["a"], np.asarray([1.0, -2.0 * 3 / 8, 3.0, 0.3]))
    np.testing.assert_array_equal(found["b"], weights["b"])
    # Never enlarged, whatever the strength.
    strong = functional.dampen(weights, whole, forget, 1.0, 100.0)
    chex.assert_trees_all_equal(strong, weights)


def test_a_ratio_of_nothing_to_nothing_is_one():
    scores, others = {"x": jnp.asarray([0.0, 1.0, 2.0])}, {"x": jnp.asarray([0.0, 2.0, 2.0])}
    assert functional.ratio_mask(scores, others, 1.0)["x"].tolist() == [True, False, True]


def test_focal_weights_are_inverse_powers_without_a_gradient():
    losses, weights = jnp.asarray([4.0, 0.25, 9.0]), jnp.asarray([1.0, 1.0, 0.0])
    found = functional.focal_weights(losses, weights, 0.5)
    np.testing.assert_allclose(found, [0.5, 2.0, 0.0], rtol=1e-6)
    slope = jax.grad(lambda x: functional.focal_weights(x, weights, 0.5).sum())(losses)
    assert slope.tolist() == [0, 0, 0]
