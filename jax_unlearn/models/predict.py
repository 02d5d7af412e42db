"""A model's outputs on many images, batch by batch."""

import functools

import jax
import numpy as np

from jax_unlearn.backend import platform_of, traced_for
from jax_unlearn.core import Model, Variables, to_unit
from jax_unlearn.sharding import batch_sharding, shard, to_host

BATCH_SIZE = 256
"""Images at a time where nothing else is said."""


@functools.partial(jax.jit, static_argnames="model")
def batch_logits(model: Model, variables: Variables, images: jax.Array) -> jax.Array:
    """Logits float32 [B, K] of images uint8 [B, H, W, C] in eval mode."""
    return model.logits(variables, to_unit(images))


def predict_logits(
    model: Model,
    variables: Variables,
    images: jax.Array | np.ndarray,
    *,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Logits of un-augmented images in eval mode.

    Args:
      model: the network.
      variables: its weights; where a mesh holds them, batches are sharded over its ``data`` axis.
      images: uint8 [N, H, W, C].
      batch_size: images at a time; every batch is padded to it, so that one program serves all.

    Returns:
      float32 [N, K] on the host.
    """
    sharding = batch_sharding(variables)
    shards = sharding.mesh.shape["data"] if sharding else 1
    batch_size = -(-batch_size // shards) * shards
    parts = []
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size])
        short = batch_size - len(batch)
        batch = np.pad(batch, ((0, short),) + ((0, 0),) * (batch.ndim - 1))
        with traced_for(platform_of(sharding)):
            parts.append((batch_logits(model, variables, shard(batch, sharding)), short))
    # Only now wait for the device: every batch above is already under way.
    return np.concatenate([to_host(out)[: batch_size - short] for out, short in parts])
