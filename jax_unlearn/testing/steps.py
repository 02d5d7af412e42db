"""What a single step shows."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import Batch, Model
from jax_unlearn.engine.steps import run_keys
from jax_unlearn.testing.battery import Battery, floats, is_float
from jax_unlearn.validation import same_structure


def rows_of_an_epoch(b: Battery) -> None:
    """Every step of an epoch shows rows of the pool; -1 stands for padding."""
    pool = b.unlearner.pool(jax.random.key(0), b.problem)
    rows = np.asarray(b.unlearner.batch_indices(jax.random.key(1), 0, pool))
    b.require(
        rows.ndim == 2 and np.issubdtype(rows.dtype, np.integer),
        f"batch_indices gives {rows.dtype}{list(rows.shape)}: expected int32 [steps, batch]",
    )
    b.require(
        rows.min() >= -1 and rows.max() < len(pool.label),
        f"batch_indices names rows {rows.min()} to {rows.max()} of {len(pool.label)}",
    )
    b.require((rows >= 0).any(axis=1).all(), "batch_indices has a step that shows nothing")


def step_is_pure(b: Battery) -> None:
    """The same state and batch give the same bits, also to a step that is traced anew."""
    state, batch, info = b.first
    leaves = jax.tree.leaves(state)
    b.require(
        all(isinstance(leaf, jax.Array) for leaf in leaves), "its state holds what is no array"
    )
    after, reported = b.step(b.unlearner, state, batch, info)
    b.require_numbers(after, "after a step its state")
    b.require_numbers(reported, "what a step reports, ")
    again, _ = b.step(b.unlearner, state, batch, info)
    b.require_same(after, again, "a step of the same state and batch gives another state")
    anew, scalars = b.new_step()(b.unlearner, state, batch, info)
    traced = "a step that is traced anew"
    b.require_same(
        after, anew, f"{traced} gives another state; it depends on more than it is given"
    )
    b.require(set(reported) == set(scalars), f"{traced} reports other quantities")
    for name, value in reported.items():
        b.require(jnp.ndim(value) == 0, f"a step reports {name} of shape {jnp.shape(value)}")
        b.require_same(value, scalars[name], f"{traced} reports another {name}")


def state_keeps_its_types(b: Battery) -> None:
    """A step gives back the shapes and types that it took, whatever those of the weights."""
    narrow = jax.tree.map(
        lambda x: x.astype(jnp.bfloat16) if is_float(x) else x, b.problem.variables
    )
    problem = dataclasses.replace(b.problem, variables=narrow, initial=narrow)
    keys = run_keys(jax.random.key(7))
    for of, kind in ((b.problem, "float32"), (problem, "bfloat16")):
        # Narrow weights meet float32 images; what a step may mix is another check's.
        with jax.numpy_dtype_promotion("standard"):
            state = b.unlearner.init(keys.init, of)
            step = functools.partial(b.unlearner.step, of.model)
            after = jax.eval_shape(step, state, *b.first[1:])[0]
        b.require(
            same_structure(after, state),
            f"with {kind} weights a step changes the structure of the state",
        )
        pairs = zip(jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True)
        for (path, old), new in pairs:
            kinds = [(x.shape, str(x.dtype)) for x in (old, new)]
            b.require(
                kinds[0] == kinds[1],
                f"with {kind} weights a step changes {jax.tree_util.keystr(path)} of its state "
                f"from {kinds[0]} to {kinds[1]}; a compiled loop cannot carry that",
            )


def mixes_no_types(b: Battery) -> None:
    """A step promotes no type silently."""
    with jax.numpy_dtype_promotion("strict"):
        try:
            jax.eval_shape(functools.partial(b.unlearner.step, b.problem.model), *b.first)
        except jax.dtypes.TypePromotionError as error:
            told = " ".join(str(error).split())
            raise AssertionError(
                f"{b.name}: a step mixes types without saying so ({told})"
            ) from error


def lets_the_network_draw(b: Battery) -> None:
    """In train mode a step gives the network a key, as dropout needs one."""
    given = []

    def apply(
        variables: Any,
        images: jax.Array,
        *,
        train: bool,
        weight: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        given.append(not train or key is not None)
        return b.problem.model.apply(variables, images, train=train, weight=weight)

    model = Model(b.problem.model.init, apply, "drawing")
    jax.eval_shape(functools.partial(b.unlearner.step, model), *b.first)
    b.require(all(given), "a step shows a network with dropout a batch in train mode without a key")


def padding_changes_nothing(b: Battery) -> None:
    """Rows of weight 0 change neither the weights nor what a step reports."""
    state, batch, info = b.first
    garbage = np.random.default_rng(1).uniform(size=(6, *batch.image.shape[1:]))

    def padded(x: Any, with_: Any) -> jax.Array:
        x = np.asarray(x)
        more = np.broadcast_to(with_, (6, *x.shape[1:])).astype(x.dtype)
        return jnp.asarray(np.concatenate([x, more]))

    longer = Batch(
        padded(batch.image, garbage),
        padded(batch.label, 3),
        padded(batch.role, np.asarray(batch.role)[0]),
        padded(batch.weight, 0),
        jax.tree.map(lambda x: padded(x, 1), batch.extra),
    )
    new, scalars = b.step(b.unlearner, state, batch, info)
    other, reported = b.step(b.unlearner, state, longer, info)
    sentence = "rows of weight 0, which pad a batch, change the step"
    b.require_close(floats(new.variables), floats(other.variables), sentence, 1e-4, 1e-5)
    for name, value in scalars.items():
        b.require(np.isclose(reported[name], value, 1e-4, 1e-6), f"{sentence}'s {name}")
