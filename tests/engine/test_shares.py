"""A pool split over devices: every row is seen as the method says, and no device asks another."""

import dataclasses
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.core import FORGET, RETAIN, InputError
from jax_unlearn.data.lazy import LazyImages
from jax_unlearn.engine import RunSpec, make_mesh, run_many, shapes
from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints
from jax_unlearn.engine.shares import Shares, deal
from jax_unlearn.engine.steps import run_keys
from jax_unlearn.methods.finetune import FineTune
from jax_unlearn.sharding import Layout

KEY = jax.random.key(3)
DEVICES = 4
FINETUNE = ju.finetune(batch_size=8, epochs=2, learning_rate=0.1)


def shares_of(method, problem, devices=DEVICES, key=KEY):
    keys = run_keys(key)
    pool = method.pool(keys.pool, problem)
    return pool, Shares(method, pool, keys, devices)


def in_pool(shares, epoch):
    """Rows of the pool in the order in which devices draw them, -1 where it is padding."""
    order = shares.order(epoch)
    parts = np.split(order, len(shares.rows), axis=1)
    own = [
        np.where(part < 0, -1, rows[part]) for part, rows in zip(parts, shares.rows, strict=True)
    ]
    return np.concatenate(own, axis=1)


@pytest.mark.parametrize("counts", [(37, 13), (8, 4), (3, 1)])
def test_rows_are_dealt_once_and_of_every_role_as_many_to_each_device(counts):
    role = np.repeat([RETAIN, FORGET], counts)
    rows, filler = deal(role, KEY, DEVICES)
    assert sorted(rows[~filler]) == list(range(len(role)))
    for each, count in zip((RETAIN, FORGET), counts, strict=True):
        assert (role[rows] == each).sum(axis=1).tolist() == [-(-count // DEVICES)] * DEVICES
    again, other = deal(role, KEY, DEVICES)[0], deal(role, jax.random.key(4), DEVICES)[0]
    np.testing.assert_array_equal(rows, again)
    assert (rows != other).any()


def test_an_epoch_shows_every_row_once_in_an_order_that_the_key_determines(problem):
    pool, shares = shares_of(FINETUNE, problem)
    first, second = (in_pool(shares, epoch) for epoch in (0, 1))
    for order in (first, second):
        # 37 rows: five batches of eight, as without shares.
        assert order.shape == (5, 8)
        assert sorted(order[order >= 0]) == list(range(len(pool.label)))
    assert (first != second).any()
    np.testing.assert_array_equal(first, in_pool(shares_of(FINETUNE, problem)[1], 0))
    assert (first != in_pool(shares_of(FINETUNE, problem, key=jax.random.key(4))[1], 0)).any()


def test_batches_of_one_role_stay_batches_of_one_role(problem):
    method = ju.scrub(batch_size=16, forget_batch_size=8, max_epochs=1)
    pool, shares = shares_of(method, problem)
    # Padding that stands for a row has that row's role.
    parts = np.split(shares.order(0), DEVICES, axis=1)
    rows = np.where(np.hstack(parts) < 0, ~np.hstack(parts), np.hstack(parts))
    own = np.repeat(np.arange(DEVICES), parts[0].shape[1])
    role = pool.role[shares.rows[own, rows]]
    real = in_pool(shares, 0) >= 0
    assert [set(r[w].tolist()) for r, w in zip(role, real, strict=True)] == [
        *[{FORGET}] * 2,
        *[{RETAIN}] * 3,
    ]
    assert role[:2, 0].tolist() == [FORGET] * 2
    assert sorted(in_pool(shares, 0)[real]) == list(range(50))


def test_pairs_stay_pairs(problem):
    pool, shares = shares_of(ju.neggrad_plus(batch_size=8), problem)
    order = in_pool(shares, 0)
    role = np.where(order < 0, -1, pool.role[order])
    assert set(role[:, 0::2].flat) <= {RETAIN, -1}
    assert set(role[:, 1::2].flat) <= {FORGET, -1}


class Replay(FineTune):
    """Shows given rows."""

    rows: tuple = ()

    def batch_indices(self, key, epoch, pool):
        return jnp.asarray(self.rows[epoch])


@pytest.mark.parametrize("loop", ["python", "scan"])
def test_devices_compute_what_one_computes_on_the_same_batches(problem, loop):
    shares = shares_of(FINETUNE, problem)[1]
    fields = {f.name: getattr(FINETUNE, f.name) for f in dataclasses.fields(FINETUNE)}
    rows = tuple(tuple(map(tuple, in_pool(shares, epoch).tolist())) for epoch in (0, 1))
    expected = ju.run(Replay(**fields, rows=rows), problem, KEY, mesh=make_mesh(1), loop="python")
    split = ju.run(FINETUNE, problem, KEY, mesh=make_mesh(DEVICES), loop=loop, placement="sharded")
    chex.assert_trees_all_close(
        *jax.device_get((split.variables, expected.variables)), rtol=1e-5, atol=1e-6
    )
    assert split.history[-1]["loss"] == pytest.approx(expected.history[-1]["loss"], rel=1e-4)


def test_models_side_by_side_have_shares_too(problem):
    specs = [RunSpec(FINETUNE, problem, jax.random.key(seed)) for seed in (3, 4)]
    together = run_many(specs, mesh=make_mesh(2, 2), placement="sharded")
    for spec, result in zip(specs, together, strict=True):
        alone = ju.run(*spec, mesh=make_mesh(2), placement="sharded")
        chex.assert_trees_all_close(
            *jax.device_get((result.variables, alone.variables)), rtol=1e-5, atol=1e-6
        )


EXCHANGES = r"(all-reduce|all-gather|all-to-all|reduce-scatter|collective-\w+)(?:-start)?\("


@pytest.mark.parametrize("program", ["draw", "scan"])
def test_no_step_moves_rows_between_devices(problem, program):
    layout = Layout(make_mesh(DEVICES), splits_pool=True)
    found = shapes.run_shapes(FINETUNE, problem)
    text = getattr(shapes, f"lower_{program}")(found, layout).compile().as_text()
    # The gradients' sum, and of a batch that is drawn nothing.
    assert set(re.findall(EXCHANGES, text)) == ({"all-reduce"} if program == "scan" else set())


def test_images_in_no_memory_are_read_a_share_at_a_time(problem):
    class Counted(LazyImages):
        def __init__(self, images):
            self.images, self.shape, self.most = images, images.shape, 0

        def read(self, rows):
            self.most = max(self.most, len(rows))
            return self.images[rows]

    images = Counted(problem.retain.image)
    lazy = dataclasses.replace(problem, retain=problem.retain._replace(image=images))
    images.most = 0
    found, expected = (
        ju.run(FINETUNE, given, KEY, mesh=make_mesh(DEVICES), placement="sharded").variables
        for given in (lazy, problem)
    )
    chex.assert_trees_all_equal(*jax.device_get((found, expected)))
    assert images.most == -(-37 // DEVICES)


def test_a_run_goes_on_with_the_shares_with_which_it_began_alone(problem, tmp_path):
    def run(devices, placement="sharded"):
        options = {"mesh": make_mesh(devices), "placement": placement}
        with Checkpoints(tmp_path / "run", {}, every_seconds=0) as checkpoints:
            ju.run(FINETUNE, problem, KEY, checkpoints=checkpoints, **options)

    run(4)
    with pytest.raises(InputError, match=r"batches is shares of 4 devices there and shares of 2"):
        run(2)
    with pytest.raises(InputError, match=r"batches is shares of 4 .* and of all rows here"):
        run(4, "device")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (ju.finetune(batch_size=10), r"^batch_size=10: placement='sharded' gives each of 4"),
        (ju.finetune(batch_size=40), r"has only 37 examples to show; use at most 36$"),
        (ju.l2ul(batch_size=8), r"^placement='sharded': L2UL has steps x rows .*: expected the"),
    ],
)
def test_batches_that_have_no_shares_are_refused(problem, method, message):
    with pytest.raises(InputError, match=message):
        ju.run(method, problem, KEY, mesh=make_mesh(DEVICES), placement="sharded")


def test_fewer_rows_than_devices_have_no_shares(problem):
    few = dataclasses.replace(problem, retain=jax.tree.map(lambda x: x[:3], problem.retain))
    with pytest.raises(InputError, match=r"only 3 examples to show; 4 devices cannot share them"):
        ju.run(ju.finetune(batch_size=4), few, KEY, mesh=make_mesh(DEVICES), placement="sharded")
