"""One-shot edits of a ResNet-18 need no more memory than its training does, as XLA plans it.

What they hold besides is as large as the weights; a data set goes through batch by batch, so its
size does not count.
"""

import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.engine import shapes
from jax_unlearn.engine.passes import list_passes
from jax_unlearn.sharding import Layout

# XLA plans the same memory however much LLVM optimises.
pytestmark = pytest.mark.any_compiler

BATCH = 128
"""Of training."""


def few(count):
    images = np.zeros((count, 32, 32, 3), np.uint8)
    return ju.Examples(images, np.zeros(count, np.int32), np.arange(count))


@pytest.fixture(scope="module")
def network():
    return ju.make_model("resnet18", 10, (32, 32, 3))


@pytest.fixture(scope="module")
def training(network):
    """Bytes of a training step's temporary buffers."""
    problem = ju.Problem(network, None, None, few(BATCH), num_classes=10, augment=None)
    found = shapes.run_shapes(ju.retrain(batch_size=BATCH), problem)
    return temporaries(shapes.lower_step(found, Layout(ju.make_mesh(1))))


def temporaries(lowered):
    return lowered.compile().memory_analysis().temp_size_in_bytes


# By edit its largest pass, and how much that may take of what a training step takes.
LARGEST = {
    "ssd": (ju.ssd(), "_add_examples", 1.0),
    # A gradient of as many rows: beside it lie weights and a sum, as weights and momentum do there.
    "ssd, batches": (ju.ssd(importance="batch"), "_add_batch", 1.005),
    "influence": (ju.influence(max_steps=1), "_add_product", 1.0),
    "influence, WoodFisher": (ju.influence(solver="woodfisher"), "_take_in", 1.0),
}


@pytest.mark.parametrize("name", LARGEST)
def test_a_pass_over_the_data_takes_no_more_than_a_training_step(name, network, training):
    edit, largest, share = LARGEST[name]
    rows = few(16)
    variables = network.init(jax.random.key(0))
    problem = ju.Problem(network, variables, rows, rows, num_classes=10, augment=None)
    passes = {one.name: one for one in list_passes(edit, problem, Layout(ju.make_mesh(1)))}
    found = passes[largest]
    assert temporaries(found.lower(found.batch)) <= share * training
