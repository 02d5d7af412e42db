"""Penultimate features of any network that ends in a linear layer, whatever its code."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import InputError, Model, Variables, split_variables, to_unit, with_params

LINEAR_TOLERANCE = 1e-3


def penultimate_features(
    model: Model, variables: Variables, images: np.ndarray, *, batch_size: int = 256
) -> np.ndarray:
    """Return the inputs of a network's last linear layer, in eval mode, un-augmented.

    The derivative of a logit by the weights that lead to it is the layer's input, so no access to
    the inside of the network is needed. The layer is found as the parameter [D, K] for which
    logits - features @ weights is the same for all examples. Costs one forward pass.

    Args:
      model: the network.
      variables: its weights.
      images: uint8 [N, H, W, C], N >= 2.
      batch_size: images at a time; a batch takes batch_size * D * K numbers of memory.

    Returns:
      float32 [N, D] on the host.

    Raises:
      InputError: if there are fewer than two images, or the network does not end in a linear
        layer with weights [D, K].
    """
    if len(images) < 2:
        raise InputError(f"images={len(images)}: expected at least two; pass more")
    index = _last_layer(model, variables, images[:batch_size])
    parts = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        # Every batch is padded to one size, so that one program serves all.
        short = min(batch_size, len(images)) - len(batch)
        padded = np.pad(batch, ((0, short),) + ((0, 0),) * (batch.ndim - 1))
        parts.append(np.asarray(_inputs_of(model, variables, padded, index))[: len(batch)])
    return np.concatenate(parts)


def _last_layer(model: Model, variables: Variables, images: np.ndarray) -> int:
    """Return the position of the last layer's weights among the parameters."""
    leaves = jax.tree.leaves(split_variables(variables)[0])
    logits = np.asarray(_logits(model, variables, images), np.float64)
    for index in reversed(range(len(leaves))):
        if jnp.ndim(leaves[index]) != 2 or leaves[index].shape[1] != logits.shape[1]:
            continue
        features = np.asarray(_inputs_of(model, variables, images, index), np.float64)
        rest = logits - features @ np.asarray(leaves[index], np.float64)
        if np.ptp(rest, axis=0).max() <= LINEAR_TOLERANCE * max(1.0, np.abs(logits).max()):
            return index
    raise InputError(
        f"model={model.name}: expected a network that ends in a linear layer with weights "
        f"[D, {logits.shape[1]}]; compute its features yourself"
    )


@functools.partial(jax.jit, static_argnames="model")
def _logits(model: Model, variables: Variables, images: jax.Array) -> jax.Array:
    return model.logits(variables, to_unit(images))


@functools.partial(jax.jit, static_argnames=("model", "index"))
def _inputs_of(model: Model, variables: Variables, images: jax.Array, index: int) -> jax.Array:
    leaves, treedef = jax.tree.flatten(split_variables(variables)[0])

    def first_logit(weights: jax.Array, image: jax.Array) -> jax.Array:
        changed = [*leaves[:index], weights, *leaves[index + 1 :]]
        changed = with_params(variables, jax.tree.unflatten(treedef, changed))
        return model.logits(changed, to_unit(image[None]))[0, 0]

    return jax.vmap(jax.grad(first_logit), (None, 0))(leaves[index], images)[:, :, 0]
