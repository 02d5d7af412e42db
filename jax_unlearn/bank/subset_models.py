"""Models trained on random halves of the data: which examples each has seen, and memorization."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jax_unlearn.audit.measures.measure import MIN_SUBSETS
from jax_unlearn.audit.measures.memorization import MEMORIZATION, Memorization
from jax_unlearn.bank.record import Record, ids_digest
from jax_unlearn.bank.store import open_bank
from jax_unlearn.core import InputError


def subset_rows(seed: int, examples: int) -> np.ndarray:
    """Return the rows int64 [ceil(N / 2)], rising, of the half that a seed draws.

    Args:
      seed: of the model.
      examples: size N of the training set.
    """
    rows = np.random.default_rng(seed).permutation(examples)
    return np.sort(rows[: (examples + 1) // 2])


def member_rows(record: Record, train_id: np.ndarray) -> np.ndarray:
    """Mark the training examples that a model of a random half has seen: bool [N].

    Args:
      record: of the model.
      train_id: int64 [N], ids of the training examples in the data's order.

    Raises:
      InputError: if it was not trained on the half of its seed.
    """
    member = np.zeros(len(train_id), bool)
    member[subset_rows(record.ingredients["seed"], len(train_id))] = True
    if ids_digest(train_id[~member]) != record.ingredients["removed"]:
        raise InputError(
            f"model={record.address}: was not trained on the half of the data that its seed "
            "draws; fill another bank with experiments.bank --subsets"
        )
    return member


def read_memorization(folders: Sequence[Path], forget_id: np.ndarray) -> Memorization:
    """Return what models of random halves in a bank tell of a request's examples.

    Args:
      folders: of the models, ``BANK/models/ADDRESS``, all of one bank.
      forget_id: integers [F], ids of the forget set.

    Raises:
      InputError: if a model is missing or damaged, or was not trained on the half of its seed.
    """
    if len(folders) < MIN_SUBSETS:
        return Memorization(len(folders))
    bank = open_bank(folders[0].parent.parent)
    records = {record.address: record for record in bank.records("subset")}
    correct = np.zeros((len(folders), len(bank.train.id)), bool)
    member = np.zeros_like(correct)
    for row, folder in enumerate(folders):
        train, _ = bank.outputs(folder.name)
        correct[row] = train.logits.argmax(axis=1) == train.label
        member[row] = member_rows(records[folder.name], train.id)
    forget = np.isin(bank.train.id, forget_id)
    return Memorization(
        len(folders),
        *(MEMORIZATION.function(correct[:, part], member[:, part]) for part in (forget, ~forget)),
    )
