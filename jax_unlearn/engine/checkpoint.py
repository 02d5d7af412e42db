"""Weights on disk, through Orbax."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from jax_unlearn.core import InputError


def save_weights(path: str | pathlib.Path, variables: Any) -> None:
    """Write a pytree of arrays to a new folder; the folder appears whole or not at all.

    Args:
      path: the folder; one that exists is replaced.
      variables: pytree of arrays.
    """
    with ocp.StandardCheckpointer() as checkpointer:
        # Wrapped: Orbax refuses a bare array as the tree.
        checkpointer.save(pathlib.Path(path).absolute(), {"variables": variables}, force=True)


def load_weights(path: str | pathlib.Path, like: Any) -> Any:
    """Read what :func:`save_weights` wrote, on any number of devices.

    Args:
      path: the folder.
      like: pytree of arrays with the same structure, shapes and types, such as fresh weights; the
        result is laid out as they are.

    Raises:
      InputError: there is no such folder, or it holds something else.
    """
    path = pathlib.Path(path).absolute()
    if not path.is_dir():
        raise InputError(f"path={str(path)!r}: no such folder; expected one with saved weights")
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None)),
        like,
    )
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            stored = checkpointer.metadata(path).item_metadata
            # Orbax finds a wrong shape only amid its reads, and leaves their complaints behind.
            if stored is None or _shapes(stored.tree) != _shapes(abstract):
                raise ValueError("other arrays are stored there")
            return checkpointer.restore(path, {"variables": abstract})["variables"]
    except (ValueError, KeyError, FileNotFoundError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            f"path={str(path)!r}: not the weights of this network ({reason}); train again or name "
            "the folder of a run with the same network"
        ) from error


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return sorted(tuple(leaf.shape) for leaf in jax.tree.leaves(tree))
