"""The weights of one model on disk, through Orbax."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from jax_unlearn.core import InputError
from jax_unlearn.engine.agreement import same_everywhere
from jax_unlearn.engine.checkpointing.folder import check_seal, first_cause, plain_errors, seal
from jax_unlearn.engine.signals import held


def save_weights(path: str | pathlib.Path, variables: Any) -> None:
    """Write a pytree of arrays to a new folder; the folder appears whole or not at all.

    It carries digests of its files. Several processes make the same call.

    Args:
      path: the folder; one that exists is replaced.
      variables: pytree of arrays.

    Raises:
      InputError: the disk is full or refuses to be written.
    """
    path = pathlib.Path(path).absolute()
    with held():
        with plain_errors(path), ocp.StandardCheckpointer() as checkpointer:
            # Wrapped: Orbax refuses a bare array as the tree.
            checkpointer.save(path, {"variables": variables}, force=True)
        with same_everywhere(), plain_errors(path):
            if jax.process_index() == 0:
                seal(path)


def load_weights(path: str | pathlib.Path, like: Any) -> Any:
    """Read what :func:`save_weights` wrote, on any number of devices.

    Several processes make the same call. A folder without digests is read as it is.

    Args:
      path: the folder.
      like: pytree of arrays with the same structure, shapes and types, such as fresh weights; the
        result is laid out as they are.

    Raises:
      InputError: there is no such folder, it is damaged, or it holds something else.
    """
    path = pathlib.Path(path).absolute()
    with same_everywhere():
        if not path.is_dir():
            raise InputError(f"path={str(path)!r}: no such folder; expected one with saved weights")
        if jax.process_index() == 0:
            try:
                check_seal(path)
            # Damage may show as any kind of error.
            except Exception as error:
                raise InputError(_damaged(path, error)) from error
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None)),
        like,
    )
    try:
        with held(), ocp.StandardCheckpointer() as checkpointer:
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
    except Exception as error:
        # Orbax raises this for whatever it cannot read, and for arrays too large for the device.
        if type(error) is not Exception or "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise InputError(_damaged(path, error)) from error


def _damaged(path: pathlib.Path, error: Exception) -> str:
    return (
        f"path={str(path)!r}: these weights are damaged ({first_cause(error)}); delete "
        "the folder, and start the run that made it again"
    )


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return sorted(tuple(leaf.shape) for leaf in jax.tree.leaves(tree))
