"""Runs as sources of an audit: those models of a bank that a run has trained or taken."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jax_unlearn.audit.records.stores import Item, Sources, bank_items, by_seed
from jax_unlearn.bank import Bank, open_bank
from jax_unlearn.bank.changed import FOLDER
from jax_unlearn.core import InputError

MODELS, OWN_BANK = "models.json", "bank"


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run that has filled its bank for a request."""
    return (path / MODELS).is_file()


def is_old_run(path: Path) -> bool:
    """Whether a path is the folder of a run of a version without banks, or of its tables."""
    return any((path / name).is_file() for name in ("metrics.jsonl", "table.csv"))


def refuse_old_run(path: Path, argument: str) -> None:
    """Raise InputError, with the name of the argument, for a run of a version without banks."""
    if is_old_run(path):
        raise InputError(
            f"{argument}={str(path)!r}: the folder of a run of an earlier version, which kept no "
            "bank: expected a run of this version; give its command again with another --out"
        )


def run_sources(path: Path) -> list[Sources]:
    """Return the models of a run, request by request.

    Raises:
      InputError: the folder or its bank is damaged or missing.
    """
    try:
        return selected_sources(*run_models(path))
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error


def run_models(path: Path) -> tuple[Bank, list[Mapping[str, Any]]]:
    """Return the bank of a run, and for each request which of its models are the run's.

    Args:
      path: the run's folder.

    Returns:
      The bank, and the requests as :func:`selected_sources` takes them.

    Raises:
      InputError: the folder or its bank is damaged or missing.
    """
    try:
        listed = json.loads((path / MODELS).read_text())
        place, chosen = Path(listed["bank"]), list(listed["requests"])
        own = path / OWN_BANK
        # A run that was moved has its own bank with it.
        return open_bank(own if own.is_dir() else place), chosen
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(
        f"path={str(path)!r}: its {MODELS} is damaged; give the command of the run again"
    )


def selected_sources(bank: Bank, chosen: Iterable[Mapping[str, Any]]) -> list[Sources]:
    """Return chosen models of a bank, request by request.

    Args:
      bank: the bank.
      chosen: for each request its text, its hash, the addresses of its models and which methods
        failed, as
        :meth:`jax_unlearn.bank.request_models.RequestRecords.as_json` gives them.

    Raises:
      InputError: a model is missing or its record is damaged.
    """
    found = []
    for request in chosen:
        own = open_bank(bank.path / FOLDER / request["changed"]) if "changed" in request else bank

        def items(
            addresses: Iterable[str], own: Bank = own, request: str = request["hash"]
        ) -> list[Item]:
            return by_seed(bank_items(own, [own.record(a) for a in addresses], request))

        sources = Sources(request["hash"], request["text"])
        sources.original = items(request["original"])
        sources.oracle = items(request["oracle"])
        for name, addresses in request["methods"].items():
            sources.methods[name] = items(addresses)
            sources.arguments[name] = own.record(addresses[0]).ingredients["method"]["arguments"]
        sources.failed = dict(request.get("failed", {}))
        found.append(sources)
    return found
