"""A bank of models trained side by side: what it holds is not trained again."""

import contextlib
import dataclasses
import functools
import hashlib
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jax_unlearn.bank.data import DataDescription, Labelled
from jax_unlearn.bank.record import Record
from jax_unlearn.bank.store import Bank
from jax_unlearn.bank.together import from_leader, records_of
from jax_unlearn.core import InputError, Model, Unlearner
from jax_unlearn.engine.callbacks import ReportEntries
from jax_unlearn.engine.loop import run, run_many
from jax_unlearn.engine.run_spec import Options, Result, RunSpec, group_alike
from jax_unlearn.hyperparameters import describe
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.sharding import make_mesh

RECIPE_VERSION = 1
"""Version of the code that training goes through; part of every address. To be raised when that
code begins to train other models from the same settings; a golden test says so."""

OnEntry = Callable[[Mapping[str, Any], int, Mapping[str, float]], None]
"""Called with what determines a model, the number of an entry of its history, and the entry."""

ORDINARY = Options()

POLL = 0.2
"""Seconds between two looks at models that other processes are training."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One model that a bank shall hold.

    Attributes:
      ingredients: what determines it, see :func:`jax_unlearn.bank.record.address_of`.
      job: builds the run that trains it; called only when it is missing.
      remarks: what is kept beside what came of it; part of no address, and added to a model that
        is there already.
    """

    ingredients: Mapping[str, Any]
    job: Callable[[], RunSpec]
    remarks: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def describe_data(dataset: Any) -> DataDescription:
    """Description of a :class:`jax_unlearn.data.Dataset` for a bank."""
    return DataDescription(
        dataset.name,
        dataset.fingerprint,
        dataset.num_classes,
        Labelled(dataset.train.id, dataset.train.label),
        Labelled(dataset.evaluated.id, dataset.evaluated.label),
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
    options: Options = ORDINARY,
    on_done: Callable[[int, int], None] | None = None,
    on_stored: Callable[[Record], None] | None = None,
    on_resumed: Callable[[int, int], None] | None = None,
    on_entry: OnEntry | None = None,
    keep_weights: bool = True,
    checkpoint_seconds: float = 60.0,
    **changes: Any,
) -> list[Record]:
    """Train the models that a bank lacks, as many at a time as the mesh has places.

    Several processes may fill one bank, also with the same members: each model is trained by one of
    them, and all wait until every member is there. A process that was killed loses at most the
    work since its last checkpoint; another that starts goes on, given a mesh of as many places.

    Processes that work as one (:func:`jax_unlearn.engine.distributed.initialize`) all make the same
    call: they share each model's batches, one model after the other, and process 0 alone reads and
    writes the bank.

    Args:
      bank: the bank.
      members: what it shall hold.
      model: the network.
      images: training and test images uint8 [N, H, W, C] and [T, H, W, C], in the bank's order.
      options: how runs are made. Places on the mesh's axis ``model`` train one model each; without
        a mesh each of this process's devices has a model of its own. What ``watch`` returns joins
        the history in the record of each model that is trained now; it changes neither models nor
        addresses. Checkpoints are the bank's own.
      on_done: called with the number of members there and asked for.
      on_stored: called with the record of each model that this process has trained.
      on_resumed: called with the number of steps done and planned of models that are taken up
        again, at their first step, or when they are done where none was left.
      on_entry: called with what determines a model under way, the number of an entry of its history
        and the entry, after each epoch.
      keep_weights: whether the weights of models trained now are stored.
      checkpoint_seconds: time between two checkpoints of models under way.
      **changes: fields of :class:`jax_unlearn.engine.Options` by name, in place of those of
        ``options``.

    Returns:
      The records, in the order of the members.

    Raises:
      InputError: retraining collapsed, or the bank cannot be written to.
      Interrupted: after a signal; what was under way has been saved.
    """
    options = dataclasses.replace(options, **changes)
    mesh = options.mesh
    if mesh is None:
        devices = jax.local_devices() if jax.process_count() == 1 else jax.devices()
        mesh = make_mesh(1, len(devices), devices=devices)
    options = dataclasses.replace(options, mesh=mesh)
    places = mesh.shape["model"] if jax.process_count() == 1 else 1
    by_address = {bank.address(member.ingredients): member for member in members}

    def store(member: Member, spec: RunSpec, result: Result) -> None:
        outcome = _outcome(member, spec, result)
        weights = jax.device_get(result.variables) if keep_weights else None
        logits = predict_logits(model, result.variables, np.concatenate(images))
        train, test = logits[: len(images[0])], logits[len(images[0]) :]
        made_of = member.ingredients
        stored = from_leader(lambda: bank.store(made_of, outcome, weights, train, test).address)
        if on_stored is not None:
            on_stored(*records_of(bank, [stored]))

    missing = from_leader(lambda: [a for a in by_address if not bank.sound(a)])
    there = {a: m for a, m in by_address.items() if a not in missing}
    from_leader(functools.partial(_remark, bank, there))
    while missing:
        with contextlib.ExitStack() as claims:
            group = from_leader(functools.partial(_claim, bank, missing, places, claims))
            if group:
                chosen = [by_address[address] for address in group]
                specs = [member.job() for member in chosen]
                for alike in group_alike(specs):
                    some = [chosen[index] for index in alike], [specs[index] for index in alike]
                    own = _followed(options, some[0], on_entry)
                    with _train(bank, *some, checkpoint_seconds, own, on_resumed) as results:
                        for member, spec, result in zip(*some, results, strict=True):
                            store(member, spec, result)
        missing = from_leader(functools.partial(_lacking, bank, missing))
        if on_done is not None:
            on_done(len(by_address) - len(missing), len(by_address))
        if missing and not group:
            time.sleep(POLL)
    # Not all records of the bank: one that is damaged is a matter of those who ask for it.
    return records_of(bank, [bank.address(member.ingredients) for member in members])


def _followed(options: Options, members: Sequence[Member], on_entry: OnEntry | None) -> Options:
    """Options with which each entry of the members' histories is told."""
    if on_entry is None:
        return options

    def tell(place: int, number: int, entry: Mapping[str, float]) -> None:
        on_entry(members[place].ingredients, number, entry)

    return dataclasses.replace(options, callbacks=[*options.callbacks, ReportEntries(tell)])


def _remark(bank: Bank, members: Mapping[str, Member]) -> None:
    """Add what has become known since, such as that a search found nothing that forgets."""
    for address, member in members.items():
        bank.remark(address, member.remarks)


def _lacking(bank: Bank, addresses: Sequence[str]) -> list[str]:
    return [address for address in addresses if not bank.has(address)]


def _claim(
    bank: Bank, missing: Sequence[str], places: int, claims: contextlib.ExitStack
) -> list[str]:
    """Claim models to train now, at most as many as there are places."""
    group: list[str] = []
    for address in missing:
        mine = claims.enter_context(bank.claim(address))
        # Another process may have stored it since; what is damaged is trained again.
        if mine and not bank.sound(address):
            if bank.has(address):
                warnings.warn(
                    f"bank {str(bank.path)!r}: model {address} is damaged; it is trained again",
                    stacklevel=2,
                )
            bank.discard(address)
            group.append(address)
        if len(group) == places:
            break
    return group


@contextlib.contextmanager
def _train(
    bank: Bank,
    members: Sequence[Member],
    specs: Sequence[RunSpec],
    seconds: float,
    options: Options,
    on_resumed: Callable[[int, int], None] | None,
) -> Iterator[list[Result]]:
    """Train members of one structure side by side; checkpoints go when the block is done."""
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

    addresses = [bank.address(member.ingredients) for member in members]
    # The same members come together again when this is started again. What began unwatched does not
    # go on watched: its history would lack the first epochs.
    marked = ["watched"] if options.watch is not None else []
    name = hashlib.sha256("".join([*addresses, *marked]).encode()).hexdigest()[:32]
    folder = bank.path / "unfinished" / name
    with Checkpoints(folder, {"models": addresses}, every_seconds=seconds) as checkpoints:
        told = False

        def report(done: int, planned: int) -> None:
            nonlocal told
            if checkpoints.restored is not None and not told and on_resumed is not None:
                on_resumed(checkpoints.restored, planned)
            told = True
            if options.on_step is not None:
                options.on_step(done, planned)

        own = dataclasses.replace(options, checkpoints=checkpoints, on_step=report)
        if jax.process_count() == 1:
            results = run_many(specs, options=own)
        else:
            # A model's batches are spread over the devices of all processes.
            results = [run(*specs[0], options=own)]
        if not told and checkpoints.restored is not None:
            # All steps had been taken: none was left to be told of.
            report(checkpoints.restored, checkpoints.restored)
    yield results
    if jax.process_index() == 0:
        # Renamed first: half a folder of checkpoints would be refused for ever.
        gone = folder.with_name(f"{name}.removed")
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _outcome(member: Member, spec: RunSpec, result: Result) -> dict[str, Any]:
    """What came of a training, as JSON values.

    Raises:
      InputError: the training of an original or an oracle collapsed.
    """
    made_of = member.ingredients
    if result.status == "collapsed" and made_of["kind"] != "unlearned":
        raise InputError(
            f"learning_rate={made_of['recipe'].get('arguments', {}).get('learning_rate')}: "
            f"training of the {made_of['kind']} of seed {made_of['seed']} collapsed, its loss or "
            "weights are no longer finite; lower the rate"
        )
    outcome: dict[str, Any] = {"status": result.status, "steps": result.steps, **member.remarks}
    note = spec.unlearner.note(result.status, spec.problem)
    if note:
        outcome["note"] = note
    times = {name: getattr(result, name) for name in ("run_seconds", "compile_seconds")}
    return outcome | times | {"history": result.history}
