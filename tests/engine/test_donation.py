"""Donation: a step's old state is gone, so that weights and moments exist once and not twice."""

import jax
import numpy as np
import pytest

import jax_unlearn as ju
from jax_unlearn.engine import steps
from jax_unlearn.sharding import Layout

LAYOUTS = {
    "one_device": lambda: Layout(ju.make_mesh(1)),
    "four_devices": lambda: Layout(ju.make_mesh(4)),
    "two_models": lambda: Layout(ju.make_mesh(1, 2), stacked=True),
}
# One of each kind; the battery shows the same of every method.
KINDS = ("finetune", "neggrad_plus", "bad_teacher", "salun", "natmu", "mumis")
SIZES = {name: {"batch_size": 8} for name in KINDS}
SIZES["natmu"]["num"] = 2


def first_state(layout, name, problem):
    """A state, and a function that takes a step of it by either program."""
    count = layout.num_models
    method = ju.METHODS[name](**SIZES[name])
    keys = steps.run_keys(jax.random.key(0))
    pool = method.pool(keys.pool, problem)
    options = {"image_shape": pool.image.shape[1:], "augment": None, "layout": layout}
    pool = layout.shard([steps.flat_pool(pool)] * count)
    rows = layout.shard_rows([np.zeros((2, 8), np.int32)] * count, 1)
    step_info = ju.StepInfo(*map(np.int32, (0, 2, 0, 1)), keys.step)
    info = layout.shard([step_info] * count)
    first = layout.shard([np.int32(0)] * count)
    traced = layout.shard([jax.tree.map(np.float32, method)] * count)
    state = steps.copy(layout.shard([method.init(keys.init, problem)] * count))

    def take(program):
        if program == "scan":
            return steps.scan(traced, state, pool, rows, info, model=problem.model, **options)[0]
        batch, now, _ = steps.draw(pool, rows, first, info, **options)
        return steps.step(traced, state, batch, now, model=problem.model, layout=layout)[0]

    return state, take


def check(layout, name, program, problem):
    state, take = first_state(layout, name, problem)
    after = take(program)
    jax.block_until_ready(after)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(after))


@pytest.mark.parametrize("program", ["step", "scan"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_overwrite_the_state_on_every_layout(layout, program, problem):
    check(LAYOUTS[layout](), "finetune", program, problem)


@pytest.mark.adam
@pytest.mark.parametrize("name", KINDS)
def test_a_methods_steps_overwrite_its_state(name, problem):
    check(LAYOUTS["one_device"](), name, "step", problem)
