"""Arrays on devices and back, with one process or with several."""

from typing import Any

import jax
import numpy as np


def put(x: Any, sharding: jax.sharding.Sharding | None) -> jax.Array:
    """Lay an array out on devices; every process calls it with the same array.

    Args:
      x: array or scalar; one that lies on devices of several processes must be replicated there.
      sharding: the placement; None is the default device.
    """
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if isinstance(x, jax.Array):
        if not x.is_fully_addressable:
            return jax.device_put(x, sharding)
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(x), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    x = np.asarray(x)
    # Not device_put: it would have the processes compare their arrays at every call.
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def to_host(x: Any) -> np.ndarray:
    """Read an array back, also one that is spread over the devices of several processes."""
    if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(x, tiled=True)
