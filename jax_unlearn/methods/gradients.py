"""What changes gradients between the backward pass and the learning rate, as optax has it."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jax_unlearn import functional


def widened(tree: Any) -> Any:
    """Half-precision leaves as float32: moments and updates are computed in float32 at least."""

    def widen(x: jax.Array) -> jax.Array:
        narrow = jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits < 32
        return x.astype(jnp.float32) if narrow else x

    return jax.tree.map(widen, tree)


def decay_towards_start(strength: jax.Array | float) -> optax.GradientTransformation:
    """Add the gradient of ``strength / 2 * ||theta - theta_start||^2``.

    It keeps a copy of the weights that it is initialised with.

    Args:
      strength: >= 0; may be traced.
    """

    def init(params: optax.Params) -> optax.Params:
        # Buffers of its own: the weights themselves are donated to the step.
        return jax.tree.map(lambda p: jnp.array(p, copy=True), params)

    def update(
        updates: optax.Updates, start: optax.Params, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.Params]:
        pulled = jax.tree.map(lambda g, p, s: g + strength * (p - s), updates, params, start)
        return pulled, start

    return optax.GradientTransformation(init, update)


def clip_to_norm(max_norm: jax.Array | float | None) -> optax.GradientTransformation:
    """Scale gradients by min(1, max_norm / (norm + 1e-6)), norm taken over all weights.

    The small number is PyTorch's, whose ``clip_grad_norm_`` official codes call.

    Args:
      max_norm: > 0; may be traced; None lets all pass.
    """
    if max_norm is None:
        return optax.identity()

    def update(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
        del params
        scale = jnp.minimum(1, max_norm / (optax.tree.norm(updates) + 1e-6))
        return jax.tree.map(lambda g: g * scale, updates)

    return optax.stateless(update)


def keep_where(mask: Any) -> optax.GradientTransformation:
    """Let what the mask marks pass, and make the rest zero.

    Args:
      mask: pytree of bool like the parameters.
    """

    def update(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
        del params
        # Selecting, not multiplying: inf * 0 would be NaN.
        return functional.where_mask(mask, updates, jax.tree.map(jnp.zeros_like, updates))

    return optax.stateless(update)
