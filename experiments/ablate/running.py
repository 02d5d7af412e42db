"""The models of every setting: filled into the run's bank, compared with the oracles."""

import dataclasses
import functools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from jax_unlearn import audit
from jax_unlearn.audit.records.stores import bank_items, read_runs
from jax_unlearn.bank import Bank, Record
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import Named, Plan, unlearned_member
from jax_unlearn.bank.plan_filling import fill_plan
from jax_unlearn.bank.request_models import fill_oracles, resolve_request
from jax_unlearn.core import InputError

from ..shared.sources import method_source
from .programs import by_program, title_of
from .settings import Setting

MEASURES = ("FA", "RA", "TA", "gap", "KL_forget")
"""What is measured of every setting, and what shows success with some kinds of request, such as a
backdoor; see :data:`jax_unlearn.audit.CATALOGUE`."""


class Found(NamedTuple):
    """What came of the settings on one request.

    Attributes:
      forgetting: the request.
      comparison: of all that could be run with the oracles; settings are methods there.
      notes: by setting, how its models ended where a reader must know.
      refused: by setting, why it could not be run.
      records: by setting, its models.
    """

    forgetting: Forgetting
    comparison: audit.Comparison
    notes: dict[str, str]
    refused: dict[str, str]
    records: dict[str, list[Record]]


def run_settings(
    plan: Plan,
    bank: Bank,
    text: str,
    method: str,
    settings: Sequence[Setting],
    originals: list[Record],
    oracles: Iterable[int],
    before: Found | None = None,
    *,
    followed: bool = False,
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
      before: of the last step of a sequence, what came of the same settings in the steps before:
        each goes on from the models that it left there.
      followed: whether a step comes after, which needs the weights of the models of this one.

    Raises:
      InputError: none of the settings can be run, or oracles learned nothing.
    """
    forgetting = resolve_request(plan, text)
    hash_ = forgetting.request.hash
    request = (forgetting.forget.id, forgetting.test_forgotten, text, forgetting.request.focus)
    bank.add_request(hash_, *request)
    retrained = fill_oracles(plan, forgetting, oracles)
    records: dict[str, list[Record]] = {}
    refused: dict[str, str] = {} if before is None else dict(before.refused)
    settings = [setting for setting in settings if setting.name not in refused]
    starts = {s.name: originals if before is None else before.records[s.name] for s in settings}
    # Originals lie in the experiment's bank; what earlier steps left, in that of the settings.
    begins = plan if before is None else dataclasses.replace(plan, bank=bank)
    fill = functools.partial(_fill, begins, bank, forgetting, method, starts, followed)
    with warnings.catch_warnings():
        warnings.simplefilter("once")  # What is said of an original would come for every setting.
        # An ablation goes where a method collapses, or changes nothing: such models are counted.
        warnings.filterwarnings("ignore", message=".* collapsed by step|.* so nothing changes")
        for alike in by_program(settings):
            try:
                records |= fill(alike)
            except InputError:  # Out of partners, say: the others may still be run.
                for one in alike:
                    try:
                        records |= fill([one])
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
            catalogue=[m for m in audit.CATALOGUE if m.focus or m.name in MEASURES],
        )
    notes = {name: _ends(some) for name, some in records.items()}
    return Found(forgetting, comparison, notes, refused, records)


def _fill(
    plan: Plan,
    bank: Bank,
    forgetting: Forgetting,
    method: str,
    starts: Mapping[str, list[Record]],
    followed: bool,
    alike: Sequence[Setting],
) -> dict[str, list[Record]]:
    """The models of settings that share a program, by the setting's name."""
    source = method_source(method)
    members = [
        unlearned_member(plan, forgetting, record, Named(method, setting.unlearner, source))
        for setting in alike
        for record in starts[setting.name]
    ]
    title = f"{forgetting.slug}: {method}, {title_of(alike)}"
    quiet = dataclasses.replace(plan, bank=bank, tell=lambda line: None)
    made = fill_plan(quiet, title, members, keep_weights=followed)
    plan.tell(f"{title}: {len(made)} models, {sum(map(_seconds, made)):.1f} s")
    each = len(made) // len(alike)
    return {s.name: made[k * each : (k + 1) * each] for k, s in enumerate(alike)}


def _seconds(record: Record) -> float:
    return record.outcome["run_seconds"] + record.outcome["compile_seconds"]


def _ends(records: Sequence[Record]) -> str:
    """How models ended, where that is not as planned; collapses are flagged by the audit."""
    notes = [record.outcome.get("note", "") for record in records]
    return "; ".join(f"{notes.count(n)} of {len(records)} {n}" for n in dict.fromkeys(notes) if n)
