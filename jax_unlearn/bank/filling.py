"""A bank of models trained side by side: what it holds is not trained again."""

import contextlib
import dataclasses
import functools
import hashlib
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jax_unlearn.bank.data import DataDescription, Labelled
from jax_unlearn.bank.record import Record
from jax_unlearn.bank.store import Bank
from jax_unlearn.core import InputError, Model, Unlearner, Variables
from jax_unlearn.engine.loop import run_many
from jax_unlearn.engine.run_spec import Result, RunSpec, group_alike
from jax_unlearn.hyperparameters import describe
from jax_unlearn.lazy import concatenate_images
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.sharding import make_mesh

RECIPE_VERSION = 1
"""Version of the code that training goes through; part of every address. To be raised when that
code begins to train other models from the same settings; a golden test says so."""

POLL = 0.2
"""Seconds between two looks at models that other processes are training."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One model that a bank shall hold.

    Attributes:
      ingredients: what determines it, see :func:`jax_unlearn.bank.record.address_of`.
      job: builds the run that trains it; called only when it is missing.
    """

    ingredients: Mapping[str, Any]
    job: Callable[[], RunSpec]


def describe_data(dataset: Any) -> DataDescription:
    """Description of a :class:`jax_unlearn.data.Dataset` for a bank."""
    return DataDescription(
        dataset.name,
        dataset.fingerprint,
        dataset.num_classes,
        Labelled(dataset.train.id, dataset.train.label),
        Labelled(dataset.test.id, dataset.test.label),
    )


def describe_method(unlearner: Unlearner) -> dict[str, Any]:
    """A method and all its hyperparameters as JSON values."""
    arguments = {
        field.name: _plain(getattr(unlearner, field.name))
        for field in dataclasses.fields(unlearner)
    }
    return {"name": type(unlearner).__name__, "arguments": arguments}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return np.asarray(value).tolist()
    return describe(value) if callable(value) else value


def fill(
    bank: Bank,
    members: Sequence[Member],
    model: Model,
    images: tuple[np.ndarray, np.ndarray],
    *,
    mesh: Mesh | None = None,
    loop: str = "auto",
    watch: Callable[[Variables], dict[str, float]] | None = None,
    on_done: Callable[[int, int], None] | None = None,
    interrupted: Callable[[], int | None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> list[Record]:
    """Train the models that a bank lacks, as many at a time as the mesh has places.

    Several processes may fill one bank, also with the same members: each model is trained by one of
    them, and all wait until every member is there. A process that was killed loses at most the
    work since its last checkpoint; another that starts goes on, given a mesh of as many places.

    Args:
      bank: the bank.
      members: what it shall hold.
      model: the network.
      images: training and test images uint8 [N, H, W, C] and [T, H, W, C], in the bank's order.
      mesh: places on its axis ``model`` train one model each; None gives each of this process's
        devices to a model of its own.
      loop: see :func:`jax_unlearn.engine.run`.
      watch: see :func:`jax_unlearn.engine.run`; what it returns joins the history in the record of
        each model that is trained now. It changes neither models nor addresses.
      on_done: called with the number of members there and asked for.
      interrupted: see :func:`jax_unlearn.engine.run`.
      checkpoint_seconds: time between two checkpoints of models under way.

    Returns:
      The records, in the order of the members.

    Raises:
      InputError: retraining collapsed, or the bank cannot be written to.
      Interrupted: after a signal; what was under way has been saved.
    """
    if mesh is None:
        devices = jax.local_devices()
        mesh = make_mesh(1, len(devices), devices=devices)
    places = mesh.shape["model"]
    by_address = {bank.address(member.ingredients): member for member in members}
    missing = [address for address in by_address if not bank.sound(address)]
    while missing:
        with contextlib.ExitStack() as claims:
            group: list[str] = []
            for address in missing:
                mine = claims.enter_context(bank.claim(address))
                # Another process may have stored it since; what is damaged is trained again.
                if mine and not bank.sound(address):
                    if bank.has(address):
                        warnings.warn(
                            f"bank {str(bank.path)!r}: model {address} is damaged; it is trained "
                            "again",
                            stacklevel=2,
                        )
                    bank.discard(address)
                    group.append(address)
                if len(group) == places:
                    break
            if group:
                chosen = [by_address[address] for address in group]
                jobs = [member.job() for member in chosen]
                for alike in group_alike(jobs):
                    _train(
                        bank,
                        [chosen[index] for index in alike],
                        [jobs[index] for index in alike],
                        mesh=mesh,
                        loop=loop,
                        watch=watch,
                        interrupted=interrupted,
                        seconds=checkpoint_seconds,
                        store=functools.partial(_store, bank, model=model, images=images),
                    )
        missing = [address for address in missing if not bank.has(address)]
        if on_done is not None:
            on_done(len(by_address) - len(missing), len(by_address))
        if missing and not group:
            time.sleep(POLL)
    # Not all records of the bank: one that is damaged is a matter of those who ask for it.
    return [bank.record(bank.address(member.ingredients)) for member in members]


def _train(
    bank: Bank,
    members: Sequence[Member],
    jobs: Sequence[RunSpec],
    *,
    mesh: Mesh,
    loop: str,
    watch: Callable[[Variables], dict[str, float]] | None,
    interrupted: Callable[[], int | None] | None,
    seconds: float,
    store: Callable[[Member, Result], None],
) -> None:
    """Train members of one structure side by side and store them."""
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

    addresses = [bank.address(member.ingredients) for member in members]
    # The same members come together again when this is started again. What began unwatched does not
    # go on watched: its history would lack the first epochs.
    marked = ["watched"] if watch is not None else []
    name = hashlib.sha256("".join([*addresses, *marked]).encode()).hexdigest()[:32]
    folder = bank.path / "unfinished" / name
    with Checkpoints(folder, {"models": addresses}, every_seconds=seconds) as checkpoints:
        outcomes = run_many(
            jobs,
            mesh=mesh,
            loop=loop,
            watch=watch,
            checkpoints=checkpoints,
            interrupted=interrupted,
        )
    for member, outcome in zip(members, outcomes, strict=True):
        store(member, outcome)
    # Renamed first: half a folder of checkpoints would be refused for ever.
    gone = folder.with_name(f"{name}.removed")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _store(
    bank: Bank,
    member: Member,
    outcome: Result,
    *,
    model: Model,
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    ingredients = member.ingredients
    if outcome.status == "collapsed" and ingredients["kind"] != "unlearned":
        raise InputError(
            f"learning_rate={ingredients['recipe'].get('arguments', {}).get('learning_rate')}: "
            f"training of the {ingredients['kind']} of seed {ingredients['seed']} collapsed, its "
            "loss or weights are no longer finite; lower the rate"
        )
    both = predict_logits(model, outcome.variables, concatenate_images(images))
    record = {name: getattr(outcome, name) for name in ("status", "steps")}
    record |= {name: getattr(outcome, name) for name in ("run_seconds", "compile_seconds")}
    record["history"] = outcome.history
    bank.store(
        ingredients,
        record,
        jax.device_get(outcome.variables),
        both[: len(images[0])],
        both[len(images[0]) :],
    )
