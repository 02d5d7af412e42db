"""One-shot edits of a ResNet-18 need no more memory than its training does, as XLA plans it.

What they hold besides is as large as the weights; a data set goes through batch by batch, so its
size does not count.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn import functional
from jax_unlearn.engine import shapes
from jax_unlearn.functional.importances import rows_of_chunk
from jax_unlearn.methods.edit import EvalLoss
from jax_unlearn.sharding import Layout

pytestmark = pytest.mark.runs_long

BATCH = 128
"""Of training."""


@pytest.fixture(scope="module")
def network():
    return ju.make_model("resnet18", 10, (32, 32, 3))


@pytest.fixture(scope="module")
def training(network):
    """Bytes of a training step's temporary buffers."""
    rows = ju.Examples(
        np.zeros((BATCH, 32, 32, 3), np.uint8), np.zeros(BATCH, np.int32), np.arange(BATCH)
    )
    problem = ju.Problem(network, None, None, rows, num_classes=10, augment=None)
    found = shapes.run_shapes(ju.retrain(batch_size=BATCH), problem)
    return temporaries(shapes.lower_step(found, Layout(ju.make_mesh(1))))


def temporaries(lowered):
    return lowered.compile().memory_analysis().temp_size_in_bytes


PASSES = {
    "exact importance": (
        lambda loss, weights, rows: functional.exact_importance(loss, weights, rows),
        rows_of_chunk,
    ),
    "batch importance": (
        lambda loss, weights, rows: functional.batch_importance(loss, weights, rows, BATCH),
        lambda weights: BATCH,
    ),
    "product with the Hessian": (
        lambda loss, weights, rows: functional.hessian_vector_product(
            loss, weights, weights["params"], rows, len(rows[0])
        ),
        lambda weights: ju.influence().batch_size,
    ),
    "WoodFisher": (
        lambda loss, weights, rows: functional.woodfisher(
            loss, weights, weights["params"], rows, 100.0, chunk=len(rows[0])
        ),
        rows_of_chunk,
    ),
}


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_over_the_data_takes_no_more_than_a_training_step(name, network, training):
    fn, rows_of = PASSES[name]
    weights = jax.eval_shape(network.init, jax.random.key(0))
    count = rows_of(weights)
    rows = (
        jax.ShapeDtypeStruct((count, 32, 32, 3), jnp.float32),
        jax.ShapeDtypeStruct((count,), jnp.int32),
    )
    loss = EvalLoss(network, functional.cross_entropy)
    lowered = jax.jit(functools.partial(fn, loss)).lower(weights, rows)
    assert temporaries(lowered) <= training
