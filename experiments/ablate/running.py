"""The models of every setting: filled into the run's bank, compared with the oracles."""

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jax_unlearn import audit
from jax_unlearn.audit.records.stores import bank_items, read_runs
from jax_unlearn.bank import Bank, Record
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import Named, Plan, unlearned_member
from jax_unlearn.bank.request_models import fill_oracles, fill_plan, resolve_request
from jax_unlearn.core import InputError
from jax_unlearn.hyperparameters import describe

from ..shared.sources import source_of
from .settings import Setting, describe_values

MEASURES = ("FA", "RA", "TA", "gap", "KL_forget")
"""What is measured of every setting; see :data:`jax_unlearn.audit.CATALOGUE`."""


class Found(NamedTuple):
    """What came of the settings on one request.

    Attributes:
      forgetting: the request.
      comparison: of all that could be run with the oracles; settings are methods there.
      notes: by setting, how its models ended where a reader must know.
      refused: by setting, why it could not be run.
    """

    forgetting: Forgetting
    comparison: audit.Comparison
    notes: dict[str, str]
    refused: dict[str, str]


def run_settings(
    plan: Plan,
    bank: Bank,
    text: str,
    method: str,
    settings: Sequence[Setting],
    originals: list[Record],
    oracles: Iterable[int],
) -> Found:
    """Run every setting on every original and compare the results with the oracles.

    Args:
      plan: what all models share; its bank holds originals and oracles.
      bank: where the models of settings go, what they predict only.
      text: the request.
      method: the name.
      settings: of the method.
      originals: to be unlearned.
      oracles: seeds of the models retrained.

    Raises:
      InputError: none of the settings can be run, or oracles learned nothing.
    """
    forgetting = resolve_request(plan, text)
    hash_ = forgetting.request.hash
    bank.add_request(hash_, forgetting.forget.id, forgetting.test_forgotten, text)
    retrained = fill_oracles(plan, forgetting, oracles)
    records: dict[str, list[Record]] = {}
    refused: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("once")  # What is said of an original would come for every setting.
        # An ablation goes where a method collapses: such models are counted.
        warnings.filterwarnings("ignore", message=".* collapsed by step")
        for alike in by_program(settings):
            try:
                records |= _fill(plan, bank, forgetting, method, alike, originals)
            except InputError:  # Out of partners, say: the others may still be run.
                for one in alike:
                    try:
                        records |= _fill(plan, bank, forgetting, method, [one], originals)
                    except InputError as error:
                        refused[one.name] = str(error)
    if not records:
        raise InputError(next(iter(refused.values())))
    with plan.phase(f"{forgetting.slug}: comparison"):
        comparison = audit.compare(
            audit.gather_models(
                read_runs(bank_items(plan.bank, retrained, hash_), hash_),
                {
                    setting.name: read_runs(bank_items(bank, records[setting.name], hash_), hash_)
                    for setting in settings
                    if setting.name in records
                },
                read_runs(bank_items(plan.bank, originals, hash_), hash_),
            ),
            protocol=audit.AuditProtocol(attack_terms=audit.AuditProtocol().terms),
            catalogue=[m for m in audit.CATALOGUE if m.name in MEASURES],
        )
    return Found(forgetting, comparison, {n: _ends(r) for n, r in records.items()}, refused)


def by_program(settings: Sequence[Setting]) -> list[list[Setting]]:
    """Settings that share a compiled program together, so that they can go side by side."""
    groups: dict[tuple[str, ...], list[Setting]] = {}
    for setting in settings:
        unlearner = setting.unlearner
        program = (describe(getattr(unlearner, name)) for name in unlearner.static_fields)
        groups.setdefault(tuple(program), []).append(setting)
    return list(groups.values())


def _fill(
    plan: Plan,
    bank: Bank,
    forgetting: Forgetting,
    method: str,
    alike: Sequence[Setting],
    originals: list[Record],
) -> dict[str, list[Record]]:
    """The models of settings that share a program, by the setting's name."""
    source = source_of(method)
    members = [
        unlearned_member(plan, forgetting, record, Named(method, setting.unlearner, source))
        for setting in alike
        for record in originals
    ]
    title = f"{forgetting.slug}: {method}, {_title(alike)}"
    quiet = dataclasses.replace(plan, bank=bank, tell=lambda line: None)
    made = fill_plan(quiet, title, members, keep_weights=False)
    plan.tell(f"{title}: {len(made)} models, {sum(map(_seconds, made)):.1f} s")
    each = len(originals)
    return {s.name: made[k * each : (k + 1) * each] for k, s in enumerate(alike)}


def _title(alike: Sequence[Setting]) -> str:
    """What settings have in common, or the one there is."""
    if len(alike) == 1:
        return alike[0].name
    static = type(alike[0].unlearner).static_fields
    common = {f: v for f, v in alike[0].values.items() if f in static}
    return ", ".join(filter(None, [describe_values(common), f"{len(alike)} settings"]))


def _seconds(record: Record) -> float:
    return record.outcome["run_seconds"] + record.outcome["compile_seconds"]


def _ends(records: Sequence[Record]) -> str:
    """How models ended, where that is not as planned; collapses are flagged by the audit."""
    notes = [record.outcome.get("note", "") for record in records]
    return "; ".join(f"{notes.count(n)} of {len(records)} {n}" for n in dict.fromkeys(notes) if n)
