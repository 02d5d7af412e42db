"""One bank among processes that work as one: process 0 alone reads and writes it."""

from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np

from jax_unlearn.bank.record import Record
from jax_unlearn.bank.store import Bank
from jax_unlearn.core import Variables
from jax_unlearn.engine.agreement import from_first_process, same_everywhere

_T = TypeVar("_T")


def from_leader(ask: Callable[[], _T]) -> _T:
    """Give every process what process 0 finds.

    Args:
      ask: called by process 0 alone; returns a JSON value.

    Raises:
      InputError: on every process, if ``ask`` raises one.
    """
    if jax.process_count() == 1:
        return ask()
    found = None
    with same_everywhere():
        if jax.process_index() == 0:
            found = ask()
    return from_first_process([found], [])[0][0]


def records_of(bank: Bank, addresses: list[str]) -> list[Record]:
    """Records of a bank's models, in the order asked for, on every process.

    Raises:
      InputError: a model is missing or its record is damaged.
    """

    def read() -> list:
        found = [bank.record(address) for address in addresses]
        return [(r.address, dict(r.ingredients), dict(r.outcome)) for r in found]

    return [Record(*parts) for parts in from_leader(read)]


def weights_of(bank: Bank, record: Record, like: Variables) -> Variables:
    """Weights of a model, on every process; see :meth:`jax_unlearn.bank.Bank.weights`.

    Raises:
      InputError: the model is missing, damaged or stored without weights.
    """
    return _arrays(lambda: bank.weights(record, like), like)


def train_logits_of(bank: Bank, record: Record) -> np.ndarray:
    """Logits float32 [N, K] of a model on the training examples, on every process.

    Raises:
      InputError: the model is missing or damaged.
    """
    like = np.empty((len(bank.train.id), bank.data.num_classes), np.float32)
    return _arrays(lambda: bank.outputs(record)[0].logits, like)


def _arrays(read: Callable[[], _T], like: _T) -> _T:
    if jax.process_count() == 1:
        return read()
    tree = like
    with same_everywhere():
        if jax.process_index() == 0:
            tree = read()
    leaves, structure = jax.tree.flatten(tree)
    _, arrays = from_first_process([], [np.asarray(leaf) for leaf in leaves])
    return jax.tree.unflatten(structure, arrays)
