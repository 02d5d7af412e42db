"""Copies of a pytree's arrays on the host, and the way back to the devices."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def describe(tree: Any) -> list[list[Any]]:
    """Path, type and shape of every leaf, as JSON gives them back."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [
        [
            jax.tree_util.keystr(path),
            str(x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype),
            list(np.shape(x)),
        ]
        for path, x in leaves
    ]


def to_host(tree: Any) -> tuple[list[list[Any]], list[np.ndarray]]:
    """Describe the leaves and copy their values, so that no later donation reaches them."""
    values = [jax.random.key_data(x) if _is_key(x) else x for x in jax.tree.leaves(tree)]
    for x in values:
        if isinstance(x, jax.Array):
            x.copy_to_host_async()
    return describe(tree), [np.array(x) for x in values]


def lay_out(value: np.ndarray, like: Any) -> Any:
    """Turn a host copy into what ``like`` is: a number, a NumPy array, a JAX array, or keys."""
    if isinstance(like, bool | int | float):
        return value.item()
    if not isinstance(like, jax.Array):
        return value
    # By callback: device_put would compare the value across processes.
    placed = jax.make_array_from_callback(value.shape, like.sharding, lambda index: value[index])
    return (
        jax.random.wrap_key_data(placed, impl=jax.random.key_impl(like))
        if _is_key(like)
        else placed
    )


def digest(record: Mapping[str, Any], arrays: list[np.ndarray]) -> str:
    """Digest of a JSON value and of the types, shapes and bytes of arrays."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for x in arrays:
        digest.update(f"{x.dtype} {x.shape}".encode())
        digest.update(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
