"""Weights and the progress of a run on disk, through Orbax."""

import concurrent.futures
import contextlib
import json
import pathlib
import re
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from jax_unlearn.core import InputError, check_number
from jax_unlearn.engine.agreement import from_first_process, same_everywhere
from jax_unlearn.engine.checkpointing.folder import (
    FORMAT,
    check_seal,
    claim,
    locked,
    plain_errors,
    remove,
    seal,
)
from jax_unlearn.engine.checkpointing.host_copies import describe, digest, lay_out, to_host
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
            # A damaged file shows itself as an error of any kind.
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
        # So Orbax words whatever it cannot read, and arrays that do not fit on the device.
        if type(error) is not Exception or "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise InputError(_damaged(path, error)) from error


def _damaged(path: pathlib.Path, error: Exception) -> str:
    return (
        f"path={str(path)!r}: these weights are damaged ({_reason(error)}); delete the folder, and "
        "the run that made it makes it again"
    )


def _reason(error: Exception) -> str:
    # Orbax words what it cannot read at length; what TensorStore said is beneath.
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return sorted(tuple(leaf.shape) for leaf in jax.tree.leaves(tree))


class Checkpoints:
    """Snapshots of one run in one folder: the last ``keep`` and the best.

    A snapshot appears whole or not at all, and carries a digest of all it holds. In a run of
    several processes every process makes the same calls with the same state, which each must hold
    whole; process 0 alone reads, writes and holds the lock.

    Attributes:
      restored: step of the snapshot that was read last; None while there was none.

    Args:
      folder: where the snapshots lie; made if it does not exist.
      identity: what makes the run what it is (its settings, model and data), as JSON values; a
        folder of another identity is refused.
      keep: how many of the newest snapshots stay.
      best: name of the number that ``save`` is given as ``metric``; the snapshot in which it is
        largest stays too. None keeps no best.
      every_seconds: how often :meth:`due` asks for a snapshot.

    Raises:
      InputError: the folder belongs to another run, to another version of this format or to a
        process that still runs; it cannot be written; a number is out of range.
    """

    def __init__(
        self,
        folder: str | pathlib.Path,
        identity: Mapping[str, Any],
        *,
        keep: int = 2,
        best: str | None = None,
        every_seconds: float = 60.0,
    ):
        check_number("keep", keep, low=1, whole=True)
        check_number("every_seconds", every_seconds, low=0)
        self._folder = pathlib.Path(folder).absolute()
        self.best, self._keep, self._every = best, keep, every_seconds
        self._first = jax.process_index() == 0
        self._metrics: dict[str, float | None] = {}
        self._damaged: set[str] = set()
        self._pending: concurrent.futures.Future | None = None
        self._resources = contextlib.ExitStack()
        with same_everywhere():
            if self._first:
                self._open(json.loads(json.dumps(dict(identity))))
        self._last_save = time.monotonic()
        self.restored: int | None = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is None:
            self.close()
            return
        # Without the others, who may not come here; and what ended the block is told by its own
        # exception, which a failed save must not hide.
        try:
            with self._resources:
                self._finish()
        except InputError as failure:
            warnings.warn(str(failure), stacklevel=2)

    def due(self) -> bool:
        """Tell whether ``every_seconds`` have passed since the last save.

        With several processes the step_info of process 0 decides, and asking waits for all of them.
        """
        late = time.monotonic() - self._last_save >= self._every
        if jax.process_count() > 1:
            late = bool(multihost_utils.broadcast_one_to_all(np.asarray(late)))
        return late

    def save(
        self,
        step: int,
        tree: Any,
        meta: Mapping[str, Any],
        *,
        metric: float | None = None,
        wait: bool = False,
    ) -> None:
        """Store a snapshot; it is written while the caller goes on.

        The arrays are copied before the call returns, so the caller may donate them. Where the
        snapshot before is still being written, the call waits for it.

        Args:
          step: number of steps done; not less than in the snapshots that are there.
          tree: pytree of arrays and typed keys.
          meta: JSON values to keep beside the tree.
          metric: the number called ``best``; larger is better.
          wait: return only when the snapshot is on disk.

        Raises:
          InputError: the disk is full or refuses to be written, now or in the save before; the
            folder holds a later snapshot.
        """
        self._last_save = time.monotonic()
        with same_everywhere():
            if self._first:
                self._finish()
                self._start(step, tree, meta, metric)
                if wait:
                    self._finish()

    def restore(
        self,
        like: Any,
        *,
        best: bool = False,
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> tuple[Any, dict[str, Any]] | None:
        """Read the newest sound snapshot.

        Each damaged one that is passed over is named in a warning.

        Args:
          like: pytree of arrays with the structure, shapes and types of what was saved; the result
            is laid out as they are, on any number of devices.
          best: read the one with the largest metric instead.
          check: called with ``meta`` before the arrays are compared with ``like``; refuses by
            raising InputError. Process 0 alone calls it.

        Returns:
          The tree and ``meta``, bit for bit as they were saved; None where nothing was saved.

        Raises:
          InputError: snapshots exist but all are damaged, or they hold other arrays than ``like``.
        """
        record, arrays = None, []
        with same_everywhere():
            if self._first:
                self._finish()
                record, arrays = self._choose(best)
                if record is not None and check is not None:
                    check(record["meta"])
                self._check_structure(record, like)
        if jax.process_count() > 1:
            record, arrays = from_first_process(record, arrays if self._first else to_host(like)[1])
        if record is None:
            return None
        self.restored = record["step"]
        values = iter(arrays)
        return jax.tree.map(lambda x: lay_out(next(values), x), like), record["meta"]

    def close(self) -> None:
        """Wait for what is being written, then let others use the folder.

        Raises:
          InputError: the last save failed.
        """
        with same_everywhere(), self._resources:
            self._finish()

    def _open(self, identity: dict[str, Any]) -> None:
        with contextlib.ExitStack() as stack, plain_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(self._folder))
            claim(self._folder, identity, has_snapshots=bool(self._names()))
            self._clear_leftovers()
            self._writer = stack.enter_context(
                concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
            )
            # Process 0 alone: Orbax's barriers would meet the run's collectives in another order.
            alone = ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix="checkpoint"
            )
            handler = ocp.CompositeCheckpointHandler(
                composite_options=ocp.CompositeOptions(multiprocessing_options=alone)
            )
            self._orbax = stack.enter_context(
                contextlib.closing(ocp.Checkpointer(handler, multiprocessing_options=alone))
            )
            self._resources = stack.pop_all()

    def _start(self, step: int, tree: Any, meta: Mapping[str, Any], metric: float | None) -> None:
        names = self._names()
        there = [name for name in names if name not in self._damaged]
        if there and _order(there[-1])[0] > step:
            raise InputError(
                f"step={step}: {str(self._folder)!r} holds a checkpoint of step "
                f"{_order(there[-1])[0]}; restore from it first or name another folder"
            )
        leaves, arrays = to_host(tree)
        record = {
            "format": FORMAT,
            "step": int(step),
            "metric": None if metric is None or not np.isfinite(metric) else float(metric),
            # Through JSON now: the caller may go on appending to it.
            "meta": json.loads(json.dumps(dict(meta))),
            "leaves": leaves,
        }
        revisions = [_order(name)[1] for name in names if _order(name)[0] == step]
        name = f"{int(step)}.{max(revisions, default=-1) + 1}"
        self._pending = self._writer.submit(self._write, name, record, arrays)

    def _finish(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _names(self) -> list[str]:
        found = (path.name for path in self._folder.iterdir())
        return sorted((name for name in found if _order(name)), key=_order)

    def _write(self, name: str, record: dict[str, Any], arrays: list[np.ndarray]) -> None:
        try:
            with plain_errors(self._folder):
                for damaged in self._damaged:
                    remove(self._folder / damaged)
                self._damaged.clear()
                record["digest"] = digest(record, arrays)
                items = {"record": ocp.args.JsonSave(record)}
                # Orbax refuses arrays without elements, and a tree without arrays.
                stored = {str(i): x for i, x in enumerate(arrays) if x.size}
                if stored:
                    items["arrays"] = ocp.args.StandardSave(stored)
                self._orbax.save(self._folder / name, args=ocp.args.Composite(**items))
                seal(self._folder / name)
                self._metrics[name] = record["metric"]
                self._prune()
        except Exception:
            self._clear_leftovers()
            raise

    def _read(self, name: str) -> tuple[dict[str, Any], list[np.ndarray]]:
        check_seal(self._folder / name)
        record = self._record(name)
        stored = {}
        if any(0 not in shape for _, _, shape in record["leaves"]):
            items = ocp.args.Composite(arrays=ocp.args.StandardRestore())
            stored = self._orbax.restore(self._folder / name, args=items).arrays
        arrays = [
            stored[str(i)] if 0 not in shape else np.empty(shape, dtype)
            for i, (_, dtype, shape) in enumerate(record["leaves"])
        ]
        if record.pop("digest") != digest(record, arrays):
            raise ValueError("its contents do not match their digest")
        return record, arrays

    def _record(self, name: str) -> dict[str, Any]:
        items = ocp.args.Composite(record=ocp.args.JsonRestore())
        return self._orbax.restore(self._folder / name, args=items).record

    def _metric(self, name: str) -> float | None:
        if name not in self._metrics:
            try:
                with held():
                    self._metrics[name] = self._record(name)["metric"]
            # A damaged file shows itself as an error of any kind.
            except Exception:
                self._metrics[name] = None
        return self._metrics[name]

    def _by_metric(self, names: list[str]) -> list[str]:
        scored = [name for name in names if self._metric(name) is not None]
        return sorted(scored, key=self._metric)

    def _choose(self, best: bool) -> tuple[dict[str, Any] | None, list[np.ndarray]]:
        names = self._names()
        for name in reversed(self._by_metric(names) if best else names):
            try:
                with held():
                    return self._read(name)
            # A damaged file shows itself as an error of any kind.
            except Exception as error:
                warnings.warn(
                    f"folder={str(self._folder)!r}: checkpoint {name} is damaged and passed over "
                    f"({_reason(error)})",
                    stacklevel=4,
                )
                self._damaged.add(name)
        if names and not best:
            raise InputError(
                f"folder={str(self._folder)!r}: none of its {len(names)} checkpoints is sound; "
                "delete the folder to start anew"
            )
        return None, []

    def _check_structure(self, record: dict[str, Any] | None, like: Any) -> None:
        if record is None:
            return
        stored = {path: (dtype, *shape) for path, dtype, shape in record["leaves"]}
        expected = {path: (dtype, *shape) for path, dtype, shape in describe(like)}
        if stored != expected:
            paths = dict.fromkeys([*expected, *stored])
            wrong = [path for path in paths if stored.get(path) != expected.get(path)]
            first = wrong[0]
            raise InputError(
                f"folder={str(self._folder)!r}: its checkpoints hold other arrays, {len(wrong)} of "
                f"them, such as {first or 'the tree'}: {stored.get(first, 'none')} stored, "
                f"{expected.get(first, 'none')} expected; name another folder"
            )

    def _prune(self) -> None:
        names = self._names()
        kept = set(names[-self._keep :])
        if self.best is not None:
            kept.update(self._by_metric(names)[-1:])
        for name in set(names) - kept:
            remove(self._folder / name)
            self._metrics.pop(name, None)

    def _clear_leftovers(self) -> None:
        for pattern in ("*.orbax-checkpoint-tmp*", "*.removed"):
            for path in self._folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)


def _order(name: str) -> tuple[int, ...]:
    """Step and revision of a snapshot's folder name; empty for another name."""
    return tuple(map(int, name.split("."))) if re.fullmatch(r"\d+\.\d+", name) else ()
