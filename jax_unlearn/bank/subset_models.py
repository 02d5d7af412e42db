"""Models trained on random halves of the data: which examples each has seen, and memorization."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jax_unlearn.audit.measures.measure import MIN_SUBSETS
from jax_unlearn.audit.measures.memorization import MEMORIZATION, Memorization
from jax_unlearn.bank import ids_digest, open_bank
from jax_unlearn.core import InputError


def subset_rows(seed: int, examples: int) -> np.ndarray:
    """Return the rows int64 [ceil(N / 2)], rising, of the half that a seed draws.

    Args:
      seed: of the model.
      examples: size N of the training set.
    """
    rows = np.random.default_rng(seed).permutation(examples)
    return np.sort(rows[: (examples + 1) // 2])


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
        member[row, subset_rows(records[folder.name].ingredients["seed"], len(train.id))] = True
        removed = ids_digest(train.id[~member[row]])
        if removed != records[folder.name].ingredients["removed"]:
            raise InputError(
                f"model={folder.name}: was not trained on the half of the data that its seed "
                "draws; fill another bank with experiments.bank --subsets"
            )
    forget = np.isin(bank.train.id, forget_id)
    return Memorization(
        len(folders),
        *(MEMORIZATION.function(correct[:, part], member[:, part]) for part in (forget, ~forget)),
    )
