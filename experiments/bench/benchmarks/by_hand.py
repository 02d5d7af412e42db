"""A training loop as one would write it for one network, to compare the engine with."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jax_unlearn as ju
from jax_unlearn.backend import platform_of, traced_for
from jax_unlearn.core import Batch, Pool, StepInfo
from jax_unlearn.data.augment import augment_flagged


class ByHand:
    """Training by hand: one program draws a batch and updates."""

    def __init__(self, recipe: ju.Unlearner, problem: ju.Problem, *, scanned: bool):
        init_key, pool_key, self._order_key, self._key = jax.random.split(jax.random.key(1), 4)
        self._recipe, self._scanned = recipe, scanned
        self._pool = jax.tree.map(jnp.asarray, recipe.pool(pool_key, problem))
        self._state = jax.tree.map(jnp.copy, recipe.init(init_key, problem))
        size, epochs = len(self._pool.label), recipe.num_epochs
        total = epochs * -(-size // recipe.batch_size)

        def update(state, number, pool: Pool, rows, key):
            augment_key, step_key = jax.random.split(jax.random.fold_in(key, number))
            taken = jax.tree.map(lambda x: x[jnp.maximum(rows, 0)], pool)
            image = augment_flagged(problem.augment, augment_key, taken.image, taken.augment)
            image = image.astype(jnp.float32) / 255.0
            batch = Batch(image, taken.label, taken.role, (rows >= 0).astype(jnp.float32))
            counts = (number, jnp.int32(total), jnp.int32(0), jnp.int32(epochs))
            step_info = StepInfo(*counts, step_key)
            state, info = recipe.step(problem.model, state, batch, step_info)
            return state, number + 1, info["loss"]

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, number, first, pool, rows, key):
            return update(state, number, pool, rows[number - first], key)

        @functools.partial(jax.jit, donate_argnums=0)
        def loop(state, number, pool, rows, key):
            def body(carry, rows):
                state, number = carry
                state, number, loss = update(state, number, pool, rows, key)
                return (state, number), loss

            (state, number), losses = jax.lax.scan(body, (state, number), rows)
            return state, number, losses

        self._step, self._loop = step, loop

    def epoch(self, number: int) -> float:
        """Make one pass over the data; return its mean loss."""
        # As the engine traces for its mesh: the same convolutions.
        with traced_for(platform_of(None)):
            return self._epoch(number)

    def _epoch(self, number: int) -> float:
        rows = self._recipe.batch_indices(self._order_key, number, self._pool)
        first = now = jax.device_put(np.int32(number * len(rows)))
        if self._scanned:
            self._state, _, losses = self._loop(self._state, now, self._pool, rows, self._key)
        else:
            losses = []
            for _ in range(len(rows)):
                self._state, now, loss = self._step(
                    self._state, now, first, self._pool, rows, self._key
                )
                losses.append(loss)
        return float(np.mean(jax.device_get(losses)))
