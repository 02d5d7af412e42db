"""Snapshots of a run on disk, through Orbax."""

import concurrent.futures
import contextlib
import json
import pathlib
import re
import shutil
import time
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
    first_cause,
    locked,
    plain_errors,
    remove,
    seal,
)
from jax_unlearn.engine.checkpointing.host_copies import describe, digest, lay_out, to_host
from jax_unlearn.engine.signals import held
from jax_unlearn.warn import warn_user


class Checkpoints:
    """The last ``keep`` snapshots of one run in one folder.

    A snapshot appears whole or not at all, and carries a digest of all it holds. In a run of
    several processes every process makes the same calls with the same state, which each must hold
    whole; process 0 alone reads, writes and holds the lock.

    Orbax writes and reads the arrays. Its CheckpointManager is not used: it cannot save a step
    again in place of a damaged one, seals nothing that a digest could be checked against, and its
    asynchronous saves meet in barriers of all processes, which the run's own collectives may hold
    up.

    Attributes:
      restored: step of the snapshot that was read last; None while there was none.

    Args:
      folder: where the snapshots lie; made if it does not exist.
      identity: what makes the run what it is (its settings, model and data), as JSON values; a
        folder of another identity is refused.
      keep: how many of the newest snapshots stay.
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
        every_seconds: float = 60.0,
    ):
        check_number("keep", keep, low=1, whole=True)
        check_number("every_seconds", every_seconds, low=0)
        self._folder = pathlib.Path(folder).absolute()
        self._keep, self._every = keep, every_seconds
        self._first = jax.process_index() == 0
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

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            self.close()
            return
        # Without the other processes, which may not come here. A failed save must not hide the
        # exception that ended the block.
        try:
            with self._resources:
                self._finish()
        except InputError as failure:
            warn_user(str(failure))

    def due(self) -> bool:
        """Tell whether ``every_seconds`` have passed since the last save.

        With several processes the clock of process 0 decides, and asking waits for all of them.
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
        wait: bool = False,
    ) -> None:
        """Store a snapshot; it is written while the caller goes on.

        The arrays are copied before the call returns, so the caller may donate them. Where the
        snapshot before is still being written, the call waits for it.

        Args:
          step: number of steps done; not less than in the snapshots that are there.
          tree: pytree of arrays and typed keys.
          meta: JSON values to keep beside the tree.
          wait: return only when the snapshot is on disk.

        Raises:
          InputError: the disk is full or refuses to be written, now or in the save before; the
            folder holds a later snapshot.
        """
        self._last_save = time.monotonic()
        with same_everywhere():
            if self._first:
                self._finish()
                self._start(step, tree, meta)
                if wait:
                    self._finish()

    def restore(
        self,
        like: Any,
        *,
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> tuple[Any, dict[str, Any]] | None:
        """Read the newest sound snapshot.

        Damaged ones are skipped, each with a warning.

        Args:
          like: pytree of arrays with the structure, shapes and types of what was saved; the result
            is laid out as they are, on any number of devices.
          check: called with ``meta`` before the arrays are compared with ``like``; refuses by
            raising InputError. Process 0 alone calls it.

        Returns:
          The tree and ``meta``, bit for bit as they were saved; None where nothing was saved.

        Raises:
          InputError: snapshots exist but all are damaged, or they hold other arrays than ``like``.
        """
        record: dict[str, Any] | None = None
        arrays: list[np.ndarray] = []
        with same_everywhere():
            if self._first:
                self._finish()
                record, arrays = self._newest_sound()
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

    def _start(self, step: int, tree: Any, meta: Mapping[str, Any]) -> None:
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
                self._prune()
        except Exception:
            self._clear_leftovers()
            raise

    def _read(self, name: str) -> tuple[dict[str, Any], list[np.ndarray]]:
        check_seal(self._folder / name)
        items = ocp.args.Composite(record=ocp.args.JsonRestore())
        record = self._orbax.restore(self._folder / name, args=items).record
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

    def _newest_sound(self) -> tuple[dict[str, Any] | None, list[np.ndarray]]:
        names = self._names()
        for name in reversed(names):
            try:
                with held():
                    return self._read(name)
            # Damage may show as any kind of error.
            except Exception as error:
                warn_user(
                    f"folder={str(self._folder)!r}: checkpoint {name} is damaged and skipped "
                    f"({first_cause(error)})"
                )
                self._damaged.add(name)
        if names:
            raise InputError(
                f"folder={str(self._folder)!r}: none of its {len(names)} checkpoints is sound; "
                "delete the folder to start again"
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
        for name in self._names()[: -self._keep]:
            remove(self._folder / name)

    def _clear_leftovers(self) -> None:
        for pattern in ("*.orbax-checkpoint-tmp*", "*.removed"):
            for path in self._folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)


def _order(name: str) -> tuple[int, ...]:
    """Step and revision of a snapshot's folder name; empty for another name."""
    return tuple(map(int, name.split("."))) if re.fullmatch(r"\d+\.\d+", name) else ()
