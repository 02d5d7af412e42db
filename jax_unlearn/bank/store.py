"""A bank of models on disk: each stored once, under an address that says how it was made.

Layout of a bank::

    bank.json             {"format": 2, "data": {"name", "fingerprint", "num_classes"}}
    data.npz              train_id int64 [N], train_label int32 [N], test_id [T], test_label [T]
    requests/<hash>.npz   forget_id int64 [F], test_forgotten bool [T], text
    focus/<hash>.npz      measure text, split text, id int64 [M], label int32 [M]: on what a
                          measure of the request's own is taken; missing where there is none
    changed/<name>/       a bank like this one, of the data that a request has changed
    models/<address>/     record.json, weights.safetensors (missing where none were to be kept),
                          outputs.npz (train_logits float32 [N, K], test_logits float32 [T, K])
    inside/<hash>/<address>.npz   what a model holds inside, of the request's examples; may be
                          missing, see :mod:`jax_unlearn.bank.probes`
    locks/                who is at work; empty files

Whatever is written appears whole or not at all, any number of processes may read and write at
once, and what is read is compared with the digests that were stored with it.
"""

import contextlib
import io
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jax_unlearn.bank.data import LOCKS, DataDescription, Labelled, open_data
from jax_unlearn.bank.files import (
    npz_bytes,
    partial_path,
    read_npz,
    remove_partials,
    sha256,
)
from jax_unlearn.bank.record import KINDS, Record, address_of, digest
from jax_unlearn.core import InputError, Outputs, Predictions, Variables, check_choice
from jax_unlearn.data.focus import Focus
from jax_unlearn.files import locked, write_whole
from jax_unlearn.models.safetensors_io import load_safetensors, save_safetensors
from jax_unlearn.wording import counted

WEIGHTS, OUTPUTS = "weights.safetensors", "outputs.npz"
FILES = (WEIGHTS, OUTPUTS)


class Bank:
    """Trained models of one dataset and what they predict; made by :func:`open_bank`.

    Attributes:
      path: the bank's folder.
      data: the dataset that all models share.
    """

    def __init__(self, path: Path, data: DataDescription):
        self.path = path
        self.data = data

    @property
    def train(self) -> Labelled:
        """Ids and labels of the training examples, [N]."""
        return self.data.train

    @property
    def test(self) -> Labelled:
        """Ids and labels of the test examples, [T]."""
        return self.data.test

    def address(self, ingredients: Mapping[str, Any]) -> str:
        """Address of a model of this bank, see :func:`address_of`.

        Raises:
          InputError: as :func:`address_of`, and for ingredients of another dataset.
        """
        address = address_of(ingredients)
        if ingredients["data"] != self.data.fingerprint:
            raise InputError(
                f"ingredients: data={ingredients['data']!r}: expected "
                f"{self.data.fingerprint!r}, the data of bank {str(self.path)!r}"
            )
        return address

    def has(self, address: str) -> bool:
        """Whether a model is stored there, sound or damaged."""
        return self._folder(address).is_dir()

    def sound(self, address: str) -> bool:
        """Whether a model is stored there and every byte of it is what was written."""
        try:
            record, digests = self._read_record(address)
            for name in FILES:
                if name in digests or name != WEIGHTS:
                    self._check_file(record.address, name, digests)
        except InputError:
            return False
        return True

    def has_weights(self, model: Record | str) -> bool:
        """Whether a model was stored with its weights.

        Raises:
          InputError: there is no such model, or its record is damaged.
        """
        return WEIGHTS in self._read_record(model)[1]

    def discard(self, address: str) -> None:
        """Remove a model, such as a damaged one, so that it can be trained and stored again.

        Hold the claim meanwhile: another process may just have put a sound one in its place.
        """
        with self._writing(f"model {address}"):
            partial = partial_path(self.path)
            with contextlib.suppress(FileNotFoundError):
                # First out of sight as a whole, so that nobody sees half a model.
                self._folder(address).rename(partial)
                shutil.rmtree(partial)

    def addresses(self) -> list[str]:
        """Addresses of the models stored, sound or damaged, in their own order."""
        names = (path.name for path in self.path.glob("models/*"))
        return sorted(name for name in names if re.fullmatch("[0-9a-f]{32}", name))

    def record(self, address: str) -> Record:
        """Record of a model.

        Raises:
          InputError: there is no such model, or its record is damaged.
        """
        return self._read_record(address)[0]

    def run_seconds(self, record: Record) -> float:
        """Time of a model's steps; NaN where it is not known.

        In a sequence it is that of all steps: they all had to be taken to come to this model.
        """
        seconds = float(record.outcome.get("run_seconds", math.nan))
        before = record.ingredients["original"]
        if before is None or not self.has(before):
            return seconds
        begun = self.record(before)
        if begun.ingredients["kind"] != "unlearned":
            return seconds
        return seconds + self.run_seconds(begun)

    def records(self, kind: str | None = None, request: str | None = None) -> list[Record]:
        """Records of the models stored, in the order of kind, seed and address.

        Args:
          kind: only models of this kind.
          request: only models made for the request of this hash.

        Raises:
          InputError: for an unknown kind or a damaged record.
        """
        if kind is not None:
            check_choice("kind", kind, KINDS)
        found = [self.record(address) for address in self.addresses()]
        chosen = (
            record
            for record in found
            if kind in (None, record.ingredients["kind"])
            and request in (None, record.ingredients["request"])
        )
        return sorted(
            chosen, key=lambda r: (r.ingredients["kind"], r.ingredients["seed"], r.address)
        )

    def outputs(self, model: Record | str) -> tuple[Outputs, Outputs]:
        """Logits, labels and ids of the training and of the test examples.

        Args:
          model: a record or an address.

        Raises:
          InputError: there is no such model, or it is damaged.
        """
        record, digests = self._read_record(model)
        raw = self._check_file(record.address, OUTPUTS, digests)
        source = f"model={record.address}"
        train, test = read_npz(io.BytesIO(raw), ("train_logits", "test_logits"), source)
        return (
            Outputs(train, self.train.label, self.train.id),
            Outputs(test, self.test.label, self.test.id),
        )

    def weights(self, model: Record | str, like: Variables) -> Variables:
        """Weights of a model.

        Args:
          model: a record or an address.
          like: variables with the same structure, shapes and types, such as fresh weights.

        Raises:
          InputError: there is no such model, it is damaged, it was stored without weights, or it
            is another network's.
        """
        record, digests = self._read_record(model)
        if WEIGHTS not in digests:
            raise self._without_weights(record)
        self._check_file(record.address, WEIGHTS, digests)
        return load_safetensors(self._folder(record.address) / WEIGHTS, like)

    def weights_file(self, model: Record | str) -> bytes:
        """The ``.safetensors`` file of a model's weights.

        Raises:
          InputError: there is no such model, it is damaged, or it was stored without weights.
        """
        record, digests = self._read_record(model)
        if WEIGHTS not in digests:
            raise self._without_weights(record)
        return self._check_file(record.address, WEIGHTS, digests)

    def predictions(self, model: Record | str, request: str) -> Predictions:
        """A model's outputs, split by a forget request, whatever the model was trained on.

        Args:
          model: a record or an address.
          request: hash of a request that was added.

        Raises:
          InputError: there is no such model or request, or one is damaged.
        """
        forget_id, test_forgotten, _ = self._read_request(request)
        focus = self._read_focus(request)
        train, test = self.outputs(model)
        forget = np.isin(train.id, forget_id)
        looked_at = {} if focus is None else {focus.measure: _focused(focus, train, test)}
        # The bank has them among its test examples, of which the audit's other measures know none.
        probe = focus is not None and focus.split == "probe"
        kept = ~np.isin(test.id, focus.id) if focus is not None and probe else np.s_[:]
        return Predictions(
            Outputs(*(column[forget] for column in train)),
            Outputs(*(column[~forget] for column in train)),
            Outputs(*(column[kept] for column in test)),
            test_forgotten[kept],
            looked_at,
        )

    def add_request(
        self,
        request: str,
        forget_id: np.ndarray,
        test_forgotten: np.ndarray,
        text: str,
        focus: Focus | None = None,
    ) -> None:
        """Keep a forget request; one that is there already stays, and so does its text.

        Args:
          request: its hash, hex digits.
          forget_id: integers [F], distinct training ids, not all of them.
          test_forgotten: bool [T], test examples of what is forgotten as a whole, not all of them;
            those that a change of the data adds to be looked at may be left out at the end.
          text: the request as a person writes it, ``class:3``.
          focus: on what a measure of the request's own is taken.

        Raises:
          InputError: for ids that are not of the training set, a malformed mask, or when other ids
            or another mask are stored under this hash.
        """
        path = self._request_path(request)
        forget_id = np.sort(np.asarray(forget_id))
        test_forgotten = np.asarray(test_forgotten)
        if focus is not None and focus.split == "probe":
            added = np.zeros(len(self.test.id) - len(test_forgotten), bool)
            test_forgotten = np.concatenate([test_forgotten, added])
        self._check_request(forget_id, test_forgotten)
        with self._writing(f"request {request}"), locked(self._lock("bank")):
            if path.is_file():
                old_id, old_forgotten, _ = self._read_request(request)
                if not (
                    np.array_equal(old_id, forget_id)
                    and np.array_equal(old_forgotten, test_forgotten)
                ):
                    raise InputError(
                        f"request={request!r}: bank {str(self.path)!r} has other ids or another "
                        "mask under this hash; use another bank"
                    )
                return
            arrays = {
                "forget_id": forget_id.astype(np.int64),
                "test_forgotten": test_forgotten,
                "text": np.array(text),
            }
            if focus is not None:
                # First: a request that is there is whole.
                content = npz_bytes({key: np.asarray(v) for key, v in focus._asdict().items()})
                write_whole(self._focus_path(request), content, partial=partial_path(self.path))
            write_whole(path, npz_bytes(arrays), partial=partial_path(self.path))

    def requests(self) -> dict[str, str]:
        """Text of every request by its hash, in the order of the hashes."""
        hashes = sorted(path.stem for path in self.path.glob("requests/*.npz"))
        return {request: str(self._read_request(request)[2]) for request in hashes}

    @contextlib.contextmanager
    def claim(self, address: str) -> Iterator[bool]:
        """Claim a model for training: yields whether no other process, or caller, holds it.

        The claim ends with the block or with the process. Ask :meth:`has` inside the block, for
        another process may have stored the model just before.

        Args:
          address: of a model, stored or not.

        Raises:
          InputError: for a malformed address, or where locks cannot be written.
        """
        self._folder(address)
        with contextlib.ExitStack() as stack:
            # Around the lock alone: an error of the caller's block is not the bank's.
            with self._writing(f"the lock of model {address}"):
                mine = stack.enter_context(locked(self._lock(address), wait=False))
            yield mine

    def store(
        self,
        ingredients: Mapping[str, Any],
        outcome: Mapping[str, Any],
        variables: Variables | bytes | None,
        train_logits: np.ndarray,
        test_logits: np.ndarray,
    ) -> Record:
        """Store a model; one that is there already stays as it is.

        Args:
          ingredients: what determines the model, see :func:`address_of`.
          outcome: what came of it; can be written as JSON.
          variables: pytree of arrays, or a file as :meth:`weights_file` gives it; None stores no
            weights.
          train_logits: floating [N, K], in the order of :attr:`train`; may be NaN.
          test_logits: floating [T, K], in the order of :attr:`test`.

        Returns:
          The record now in the bank.

        Raises:
          InputError: for bad ingredients, an outcome that JSON cannot hold, logits of other
            shapes, or when the disk is full or cannot be written to; the bank is then as before.
        """
        address = self.address(ingredients)
        logits = {
            "train_logits": self._check_logits("train_logits", train_logits, self.train),
            "test_logits": self._check_logits("test_logits", test_logits, self.test),
        }
        try:
            body = json.loads(json.dumps({"ingredients": ingredients, "outcome": outcome}))
        except (TypeError, ValueError) as error:
            raise InputError(f"outcome: {error}: expected plain numbers and texts") from error
        folder = self._folder(address)
        with self._writing(f"model {address}"), locked(self._lock("bank"), shared=True):
            if not folder.is_dir():
                partial = partial_path(self.path)
                try:
                    partial.mkdir()
                    if isinstance(variables, bytes):
                        (partial / WEIGHTS).write_bytes(variables)
                    elif variables is not None:
                        save_safetensors(partial / WEIGHTS, variables)
                    (partial / OUTPUTS).write_bytes(npz_bytes(logits))
                    written = [name for name in FILES if (partial / name).is_file()]
                    digests = {name: sha256((partial / name).read_bytes()) for name in written}
                    (partial / "record.json").write_text(_record_text(body, digests))
                    folder.parent.mkdir(exist_ok=True)
                    partial.rename(folder)
                except OSError:
                    # Another process without a claim may have been faster; its model stays.
                    if not folder.is_dir():
                        raise
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
        return self._read_record(address)[0]

    def remark(self, address: str, remarks: Mapping[str, Any]) -> None:
        """Add what has become known of a stored model to its outcome; no address changes.

        Args:
          address: of the model.
          remarks: what replaces or joins entries of the outcome; can be written as JSON.

        Raises:
          InputError: there is no such model, its record is damaged, or it cannot be written.
        """
        record, digests = self._read_record(address)
        outcome = {**record.outcome, **remarks}
        if outcome == dict(record.outcome):
            return
        body = {"ingredients": record.ingredients, "outcome": outcome}
        text = _record_text(body, digests)
        with self._writing(f"model {address}"), locked(self._lock("bank"), shared=True):
            path = self._folder(address) / "record.json"
            write_whole(path, text, partial=partial_path(self.path))

    def _lock(self, name: str) -> Path:
        return self.path / LOCKS / f"{name}.lock"

    def _folder(self, address: str) -> Path:
        if not re.fullmatch("[0-9a-f]{32}", str(address)):
            raise InputError(f"address={address!r}: expected 32 hex digits, as Bank.address gives")
        return self.path / "models" / address

    def _request_path(self, request: str) -> Path:
        if not re.fullmatch("[0-9a-f]{8,128}", str(request)):
            raise InputError(f"request={request!r}: expected a hash, 8 to 128 hex digits")
        return self.path / "requests" / f"{request}.npz"

    def _read_request(self, request: str) -> list[np.ndarray]:
        path = self._request_path(request)
        if not path.is_file():
            raise InputError(
                f"request={request!r}: not in bank {str(self.path)!r}; expected one of "
                f"{', '.join(sorted(p.stem for p in path.parent.glob('*.npz'))) or '(none)'}"
            )
        names = ("forget_id", "test_forgotten", "text")
        return read_npz(path, names, f"request={str(path)!r}")

    def _focus_path(self, request: str) -> Path:
        return self.path / "focus" / f"{request}.npz"

    def _read_focus(self, request: str) -> Focus | None:
        path = self._focus_path(request)
        if not path.is_file():
            return None
        measure, split, ids, label = read_npz(path, Focus._fields, f"request={str(path)!r}")
        return Focus(str(measure), str(split), ids, label)

    def _read_record(self, model: Record | str) -> tuple[Record, dict[str, str]]:
        """Read a record and the digests of its files."""
        address = model.address if isinstance(model, Record) else model
        folder = self._folder(address)
        if not folder.is_dir():
            raise InputError(
                f"model={address}: not in bank {str(self.path)!r}; expected the address of a "
                "stored model"
            )
        try:
            stored = json.loads((folder / "record.json").read_bytes())
            digests = stored.pop("digests")
            record = Record(address, stored["ingredients"], stored["outcome"])
            whole = digests["record"] == digest(stored)
            whole = whole and address_of(record.ingredients) == address
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise self._damaged(address, "record.json")
        return record, digests

    def _check_file(self, address: str, name: str, digests: Mapping[str, str]) -> bytes:
        """Read a file of a model and compare it with its digest."""
        try:
            content = (self._folder(address) / name).read_bytes()
        except OSError as error:
            raise self._damaged(address, name) from error
        if sha256(content) != digests.get(name):
            raise self._damaged(address, name)
        return content

    def _without_weights(self, record: Record) -> InputError:
        return InputError(
            f"model={record.address}: bank {str(self.path)!r} holds what it predicts but not "
            "its weights; expected a model whose weights were kept; fill another bank"
        )

    def _damaged(self, address: str, name: str) -> InputError:
        return InputError(
            f"model={address}: {name} in bank {str(self.path)!r} is missing or damaged; discard "
            "the model and train it again"
        )

    def _check_logits(self, name: str, logits: np.ndarray, split: Labelled) -> np.ndarray:
        logits = np.asarray(logits)
        expected = (len(split.id), self.data.num_classes)
        # 'V': bfloat16 is no kind of NumPy's own.
        if logits.shape != expected or logits.dtype.kind not in "fV":
            raise InputError(
                f"{name}={logits.dtype} {list(logits.shape)}: expected floating {list(expected)}, "
                "one row per example of the bank"
            )
        return logits.astype(np.float32)

    def _check_request(self, forget_id: np.ndarray, test_forgotten: np.ndarray) -> None:
        total = len(self.train.id)
        known = forget_id.ndim == 1 and np.isin(forget_id, self.train.id).all()
        if not known or len(np.unique(forget_id)) < len(forget_id):
            raise InputError(
                f"forget_id: {counted(len(forget_id), 'id')}: expected distinct ids of the {total} "
                f"training examples of bank {str(self.path)!r}"
            )
        if len(forget_id) in (0, total):
            raise InputError(
                f"forget_id: {counted(len(forget_id), 'id')}: expected 1 to {total - 1}"
            )
        shape = self.test.id.shape
        if test_forgotten.shape != shape or test_forgotten.dtype != np.bool_:
            raise InputError(
                f"test_forgotten={test_forgotten.dtype} {list(test_forgotten.shape)}: expected "
                f"bool {list(shape)}, one entry per test example"
            )
        if test_forgotten.all():
            raise InputError("test_forgotten: all True: expected some examples that remain")

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"bank={str(self.path)!r}: cannot write {what} ({error.strerror or error}); make "
                "room or allow writing there; what was stored before is as it was"
            ) from error


def _focused(focus: Focus, train: Outputs, test: Outputs) -> Outputs:
    """What a model says of the examples that a request's own measure looks at."""
    among = train if focus.split == "train" else test
    order = np.argsort(among.id)
    rows = order[np.searchsorted(among.id, focus.id, sorter=order)]
    return Outputs(among.logits[rows], focus.label, focus.id)


def _record_text(body: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """A record as its file has it: with the digests of the model's files, and its own."""
    digests = {**digests, "record": digest(body)}
    return json.dumps({**body, "digests": digests}, indent=2) + "\n"


def open_bank(
    path: str | Path, *, data: DataDescription | None = None, create: bool = False
) -> Bank:
    """Open a bank, and remove what killed processes left unfinished in it.

    Args:
      path: the bank's folder.
      data: the dataset; needed to make a bank, and compared with that of one that exists.
      create: whether to make the bank where there is none yet. Several processes may do so at once.

    Raises:
      InputError: there is no bank and none is to be made, the folder holds something else, the
        bank is of another format version or another dataset, or it cannot be written to. Nothing
        is changed then.
    """
    path = Path(path)
    stored = open_data(path, data, create=create)
    remove_partials(path, path / LOCKS / "bank.lock")
    return Bank(path, stored)
