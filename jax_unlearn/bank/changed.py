"""Banks of changed data: what a request did to the training data is part of every address there."""

import dataclasses
from pathlib import Path

from jax_unlearn import data
from jax_unlearn.bank.data import HEADER, check_data
from jax_unlearn.bank.filling import describe_data
from jax_unlearn.bank.plan import Plan
from jax_unlearn.bank.store import Bank, open_bank
from jax_unlearn.bank.together import from_leader

FOLDER = "changed"
"""Inside a bank, where those lie whose data a request has changed."""


def plan_for(plan: Plan, text: str) -> Plan:
    """The plan of a request: of changed data and its bank, where the request changes the data.

    Originals, oracles and unlearned models of changed data have other ingredients than those of the
    data as it is, and their outputs are of other examples: they lie in a bank inside the bank.

    Raises:
      InputError: the request does not fit the data, or the bank cannot be opened.
    """
    spec = data.parse_request(text)
    dataset = data.changed(spec, plan.dataset)
    if dataset is plan.dataset:
        return plan
    described = describe_data(dataset)
    path = plan.bank.path / FOLDER / f"{spec.slug}-{dataset.fingerprint[:8]}"
    from_leader(lambda: open_bank(path, data=described, create=True) and None)
    return dataclasses.replace(plan, dataset=dataset, bank=Bank(path, check_data(described)))


def banks_in(path: Path) -> list[Path]:
    """A bank and those inside it of changed data."""
    return [path, *sorted(header.parent for header in path.glob(f"{FOLDER}/*/{HEADER}"))]
