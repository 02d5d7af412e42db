"""What only a GPU or TPU can show: `JAX_PLATFORMS=cuda python -m pytest -m accelerator`."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jax_unlearn as ju
from jax_unlearn.functional.sensitivity import DIFFERENTIATIONS

pytestmark = [
    pytest.mark.accelerator,
    pytest.mark.skipif(
        "jax.default_backend() == 'cpu'", reason="no accelerator: start with JAX_PLATFORMS=cuda"
    ),
]
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    model = ju.make_model("resnet8", 10, (32, 32, 3), width=8)
    examples = ju.Examples(
        rng.integers(0, 256, (600, 32, 32, 3), dtype=np.uint8),
        np.arange(600, dtype=np.int32) % 10,
        np.arange(600),
    )
    forget, retain = (
        ju.Examples(*(x[rows] for x in examples)) for rows in (slice(60), slice(60, None))
    )
    return ju.Problem(
        model=model,
        variables=model.init(jax.random.key(0)),
        forget=forget,
        retain=retain,
        num_classes=10,
    )


def test_hybrids_are_golden_to_the_bit():
    golden = np.load(GOLDEN / "natmu_mixing.npz")
    masks = ju.mixing_masks(32, 32, golden["delta"][0])
    forget, partners = golden["forget_32"], golden["retain_32"]
    hybrids = ju.mix(jnp.asarray(forget), jnp.asarray(partners.reshape(3, 4, 32, 32, 3)), masks)
    np.testing.assert_array_equal(np.asarray(hybrids).reshape(12, 32, 32, 3), golden["hybrid_32"])


def moved(problem, method, loop="auto"):
    """How far a run moves all weights, as one vector, and the vector in which it began."""
    # Matrix units round to fewer bits than float32, differently in differently fused programs.
    with jax.default_matmul_precision("highest"):
        after = ju.run(method, problem, jax.random.key(1), loop=loop).variables["params"]
    start = ravel_pytree(problem.variables["params"])[0]
    return np.asarray(ravel_pytree(after)[0] - start), np.asarray(start)


def assert_same_way(problem, *runs):
    """Compare runs by how far they went: nothing wrong hides behind the weights' own size."""
    (first, start), *others = (moved(problem, *run) for run in runs)
    assert np.linalg.norm(first) > 1e-3 * np.linalg.norm(start)
    for other, _ in others:
        assert np.linalg.norm(other - first) < 1e-2 * np.linalg.norm(first)


@pytest.mark.parametrize("name", ["finetune", "natmu", "salun", "mumis"])
def test_the_scanned_epoch_equals_the_python_loop(problem, name):
    method = ju.METHODS[name](batch_size=60)
    steps = {"max_steps": 5} if name == "mumis" else {"epochs": 1}
    method = dataclasses.replace(method, **steps)
    assert_same_way(problem, (method, "scan"), (method, "python"))


def test_both_ways_to_differentiate_mumis_agree(problem):
    runs = [ju.mumis(batch_size=60, max_steps=3, differentiate=way) for way in DIFFERENTIATIONS]
    assert_same_way(problem, *((run,) for run in runs))
