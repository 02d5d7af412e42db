"""What banks know of predictions that lie in them."""

import dataclasses
from pathlib import Path
from typing import Any

from jax_unlearn.audit.records.stores import Item, bank_items, in_bank
from jax_unlearn.bank import Bank, ids_digest, open_bank
from jax_unlearn.bank.record import Record
from jax_unlearn.core import InputError


@dataclasses.dataclass(frozen=True)
class Origin:
    """What is known of a model's predictions.

    Attributes:
      item: the model.
      hash: of the request, '' for unknown.
      text: of the request, '' for unknown.
      arguments: of the method, None for other models.
    """

    item: Item
    hash: str
    text: str
    arguments: Any


class Origins:
    """Looks predictions up in the banks that they lie in."""

    def __init__(self) -> None:
        self._banks: dict[Path, tuple[Bank, dict[str, Record], dict[str, str]]] = {}
        self._ids: dict[Path, dict[str, str]] = {}

    def find(self, path: Path, ids_hash: str) -> Origin | None:
        """Return what is known of predictions, None where they lie in no bank.

        Args:
          path: of the file.
          ids_hash: digest of the request's ids, by which models that serve all requests find it.

        Raises:
          InputError: if the bank is damaged.
        """
        path = path.resolve()
        return self._in_bank(path, ids_hash) if in_bank(path) else None

    def _in_bank(self, path: Path, ids_hash: str) -> Origin:
        root, address = path.parent.parent.parent, path.parent.name
        if root not in self._banks:
            bank = open_bank(root)
            self._banks[root] = bank, {r.address: r for r in bank.records()}, bank.requests()
        bank, records, texts = self._banks[root]
        if address not in records:
            raise InputError(f"path={str(path)!r}: no model of its bank; restore its record.json")
        record = records[address]
        hash_ = record.ingredients["request"] or self._request_of(root, bank, address, ids_hash)
        method = record.ingredients["method"] or {}
        item = bank_items(bank, [record], hash_)[0]
        return Origin(item, hash_, texts.get(hash_, ""), method.get("arguments"))

    def _request_of(self, root: Path, bank: Bank, address: str, ids_hash: str) -> str:
        if root not in self._ids:
            self._ids[root] = {
                ids_digest(bank.predictions(address, request).forget.id): request
                for request in bank.requests()
            }
        return self._ids[root].get(ids_hash, "")
