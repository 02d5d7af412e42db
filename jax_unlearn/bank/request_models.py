"""Filling a bank with what the audit of a request compares."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from jax_unlearn import data
from jax_unlearn.bank.changed import plan_for
from jax_unlearn.bank.forgetting import Forgetting, resolve, watcher
from jax_unlearn.bank.plan import Named, Plan, oracle_member, unlearned_member, unlearning_seed
from jax_unlearn.bank.plan_filling import fill_originals, fill_plan
from jax_unlearn.bank.record import Record
from jax_unlearn.bank.scoring import request_scores
from jax_unlearn.bank.together import from_leader
from jax_unlearn.data.request_text import describe_request

LEAST_ORACLES = 4
"""Fewer give no verdict: some are the reference, and at least two are held out."""


@dataclasses.dataclass(frozen=True)
class RequestRecords:
    """The models of a request that a bank holds.

    Attributes:
      plan: what the models share; its bank holds them.
      forgetting: the request.
      originals: trained on all data.
      oracles: retrained without the forget set.
      methods: unlearned models by the name of the method.
      failed: by the name of a method why its hyperparameters stand for none that work.
    """

    plan: Plan
    forgetting: Forgetting
    originals: list[Record]
    oracles: list[Record]
    methods: dict[str, list[Record]]
    failed: dict[str, str] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The request, the addresses of its models, and which methods failed.

        Where the request has changed the data, also the name of the bank that holds them.
        """
        changed = self.plan.dataset.change is not None
        return ({"changed": self.plan.bank.path.name} if changed else {}) | {
            "text": self.forgetting.text,
            "hash": self.forgetting.request.hash,
            "original": [record.address for record in self.originals],
            "oracle": [record.address for record in self.oracles],
            "methods": {n: [r.address for r in records] for n, records in self.methods.items()},
            "failed": self.failed,
        }


def count_oracles(seeds: int, asked: int = 0) -> int:
    """How many oracles serve so many seeds: reference and held-out ones, enough for a verdict.

    Args:
      seeds: number of models of each method.
      asked: what a user asked for; 0 for twice the number of seeds, at least four.
    """
    return asked or max(LEAST_ORACLES, 2 * seeds)


def resolve_request(plan: Plan, text: str) -> Forgetting:
    """Choose the examples that a request removes, and keep it in the bank.

    Models that score examples are trained where the request needs them.
    """
    forgetting = resolve(plan.dataset, text, partial(request_scores, plan, text))
    ids, forgotten = forgetting.forget.id, forgetting.test_forgotten
    hash_, focus = forgetting.request.hash, forgetting.request.focus
    from_leader(lambda: plan.bank.add_request(hash_, ids, forgotten, text, focus))
    return forgetting


def fill_oracles(plan: Plan, forgetting: Forgetting, seeds: Iterable[int]) -> list[Record]:
    """Models retrained without the forget set of a request."""
    members = [oracle_member(plan, forgetting, seed) for seed in seeds]
    title = f"{describe_request(forgetting.text)}: oracle"
    group = f"{forgetting.slug}/oracle"
    return fill_plan(plan, title, members, group=group, keep_weights=plan.keep_weights)


def fill_requests(
    plan: Plan,
    texts: Sequence[str],
    seeds: Sequence[int],
    methods: Callable[[str], Sequence[Named]],
    *,
    oracles: Sequence[int],
    unlearning_seeds: Sequence[int] = (),
) -> Iterator[RequestRecords]:
    """Fill a bank with the models of several requests, one request after another.

    Those of a request that changes the training data go to a bank of that data, see
    :func:`jax_unlearn.bank.changed.plan_for`.

    Args:
      plan: what all models share.
      texts: the requests; before a sequence come those that it fulfils on its way.
      seeds: of the originals.
      methods: gives the methods for a request.
      oracles: their seeds.
      unlearning_seeds: with each of these every original is unlearned; none takes the original's.

    Yields:
      The models of each request.
    """
    made: dict[str, RequestRecords] = {}
    for text in texts:
        own = plan_for(plan, text)
        made[text] = fill_request(
            own,
            text,
            fill_originals(own, seeds),
            methods(text),
            oracles=oracles,
            unlearning_seeds=unlearning_seeds,
            before=made.get(data.step_before(text)),
            followed=text in map(data.step_before, texts),
        )
        yield made[text]


def fill_request(
    plan: Plan,
    text: str,
    originals: list[Record],
    methods: Sequence[Named],
    *,
    oracles: Iterable[int],
    unlearning_seeds: Sequence[int] = (),
    before: RequestRecords | None = None,
    followed: bool = False,
) -> RequestRecords:
    """Oracles of a request and the models that every method makes of the originals.

    Args:
      plan: what all models share.
      text: the request.
      originals: to be unlearned.
      methods: by which.
      oracles: their seeds.
      unlearning_seeds: as for :func:`fill_requests`.
      before: of the last step of a sequence, the models of the steps before; they are unlearned in
        place of the originals.
      followed: whether a step comes after, which needs the weights of the models of this one.
    """
    forgetting = resolve_request(plan, text)
    retrained = fill_oracles(plan, forgetting, oracles)
    watch = watcher(plan.model, plan.dataset, forgetting) if plan.watch else None
    unlearned = {}
    for method in methods:
        if before is None:
            begun = [(record, seed) for record in originals for seed in unlearning_seeds or (None,)]
        else:
            begun = [(record, unlearning_seed(record)) for record in before.methods[method.name]]
        members = [
            unlearned_member(plan, forgetting, record, dataclasses.replace(method, seed=seed))
            for record, seed in begun
        ]
        title = f"{describe_request(text)}: {method.title}"
        unlearned[method.name] = fill_plan(
            *(plan, title, members, watch),
            group=f"{forgetting.slug}/{method.name}",
            keep_weights=plan.keep_weights or followed,
        )
    failed = {method.name: method.failed for method in methods if method.failed}
    return RequestRecords(plan, forgetting, originals, retrained, unlearned, failed)


def count_unwatched(records: Iterable[Record]) -> int:
    """Count the models whose history holds no forget accuracy."""
    histories = [record.outcome.get("history", []) for record in records]
    return sum(not any("forget_accuracy" in entry for entry in h) for h in histories)
