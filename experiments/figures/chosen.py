"""Which models of a bank are a run's, request by request."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jax_unlearn import data
from jax_unlearn.audit.comparison.flags import best_model, is_collapsed
from jax_unlearn.bank import Bank
from jax_unlearn.bank.record import Record
from jax_unlearn.core import InputError


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The models of one request.

    Attributes:
      text: the request as it was asked for.
      slug: its short name, of its folder.
      stem: what the names of its figures' files begin with.
      hash: its hash.
      originals: trained on all data, by seed.
      oracles: retrained without the forget set.
      every: unlearned models by the method's name, in the order of the originals.
      collapsed: addresses of those that the audit leaves out of every number: they ended without
        finite weights, or answer by chance.
      failed: by the method's name why its hyperparameters stand for none that work.
    """

    text: str
    slug: str
    stem: str
    hash: str
    originals: list[Record]
    oracles: list[Record]
    every: dict[str, list[Record]]
    collapsed: frozenset[str]
    failed: Mapping[str, str]

    @property
    def methods(self) -> dict[str, list[Record]]:
        """Unlearned models that did not collapse; methods without one are missing."""
        sound = {name: self._sound(records) for name, records in self.every.items()}
        return {name: records for name, records in sound.items() if records}

    @property
    def notes(self) -> list[str]:
        """What the figures leave out, and what they show that is no setting to be used."""
        counts = {name: len(rs) - len(self._sound(rs)) for name, rs in self.every.items()}
        left_out = [
            f"{name}: {count} of {len(self.every[name])} models collapsed and are left out"
            for name, count in counts.items()
            if count
        ]
        return left_out + [
            f"{name}: {reason}; drawn is the best setting tried"
            for name, reason in self.failed.items()
        ]

    def _sound(self, records: Iterable[Record]) -> list[Record]:
        return [record for record in records if record.address not in self.collapsed]

    def others(self, record: Record) -> list[Record]:
        """The oracles that do not share a model's initial weights; all, where none is left."""
        seed = record.ingredients["seed"]
        apart = [o for o in self.oracles if o is not record and o.ingredients["seed"] != seed]
        return apart or self.oracles

    def oracle_of(self, record: Record) -> Record | None:
        """The oracle that shares a model's initial weights."""
        seed = record.ingredients["seed"]
        return next((o for o in self.oracles if o.ingredients["seed"] == seed), None)


def read_requests(bank: Bank, listed: Iterable[Mapping[str, Any]]) -> list[Chosen]:
    """Read the records of a run's models, and compare every file with its digest.

    Requests that change the training data are left out.

    Args:
      bank: that holds the models.
      listed: the requests, as :func:`jax_unlearn.audit.records.runs.run_models` gives them.

    Raises:
      InputError: the list is damaged, or a model is missing or damaged.
    """
    found: list[Chosen] = []
    try:
        for request in listed:
            if "changed" in request:
                # Its models lie in a bank of other data than the run's.
                continue
            slug = data.parse_request(request["text"]).slug
            index = sum(chosen.slug.lower() == slug.lower() for chosen in found)
            # Short names may differ in letters that no file of a figure has.
            stem = re.sub("[^a-z0-9]+", "-", slug.lower()) + (f"-{index}" if index else "")
            originals, oracles = (_sound(bank, request[k]) for k in ("original", "oracle"))
            methods = {name: _sound(bank, a) for name, a in request["methods"].items()}
            named = (request["text"], slug, stem, request["hash"])
            every = [record for records in methods.values() for record in records]
            out = collapsed(bank, request["hash"], originals + oracles, every)
            failed = dict(request.get("failed", {}))
            found.append(Chosen(*named, originals, oracles, methods, out, failed))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"bank={str(bank.path)!r}: the run's models.json is damaged; give the run's command "
            "again"
        ) from error
    return found


def collapsed(
    bank: Bank, request: str, trained: Iterable[Record], records: Iterable[Record]
) -> frozenset[str]:
    """Addresses of the models that ended without finite weights, or that answer by chance.

    Args:
      bank: that holds them.
      request: hash of the request.
      trained: originals and oracles, which show what can be learnt.
      records: the models in question.
    """
    best = best_model([bank.predictions(record, request) for record in trained])

    def out(record: Record) -> bool:
        # The bank holds the weights before it broke.
        if record.outcome.get("status") == "collapsed":
            return True
        return best is not None and is_collapsed(bank.predictions(record, request), best)

    return frozenset(record.address for record in records if out(record))


def _sound(bank: Bank, addresses: Iterable[str]) -> list[Record]:
    records = [bank.record(address) for address in addresses]
    for record in records:
        if not bank.sound(record.address):
            raise InputError(
                f"model={record.address}: a file of it in bank {str(bank.path)!r} is missing or "
                "damaged; give the run's command again, which trains it anew"
            )
    return records
