"""Filling a bank with what the audit of a request compares."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from jax_unlearn import data
from jax_unlearn.bank.filling import Member, fill
from jax_unlearn.bank.forgetting import (
    FIRST_SCORING_SEED,
    Forgetting,
    mean_margins,
    resolve,
    watcher,
)
from jax_unlearn.bank.plan import (
    Named,
    Plan,
    oracle_member,
    original_member,
    subset_member,
    unlearned_member,
)
from jax_unlearn.bank.record import Record
from jax_unlearn.bank.together import from_leader, train_logits_of
from jax_unlearn.core import Variables
from jax_unlearn.data.request_text import describe_request
from jax_unlearn.engine.run_spec import Options
from jax_unlearn.engine.signals import deferred

LEAST_ORACLES = 4
"""Fewer give no verdict: some are the reference, and at least two are held out."""


@dataclasses.dataclass(frozen=True)
class RequestRecords:
    """The models of a request that a bank holds.

    Attributes:
      forgetting: the request.
      originals: trained on all data.
      oracles: retrained without the forget set.
      methods: unlearned models by the name of the method.
      failed: by the name of a method why its hyperparameters stand for none that work.
    """

    forgetting: Forgetting
    originals: list[Record]
    oracles: list[Record]
    methods: dict[str, list[Record]]
    failed: dict[str, str] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The request, the addresses of its models, and which methods failed."""
        return {
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


def fill_plan(
    plan: Plan,
    title: str,
    members: Sequence[Member],
    watch: Callable[[Variables], dict[str, float]] | None = None,
    *,
    keep_weights: bool = True,
) -> list[Record]:
    """Train those members that the bank lacks, with a bar, and a line for each that is finished."""
    there = 0
    with plan.phase(title) as bar, deferred() as interrupted:

        def on_step(done: int, planned: int) -> None:
            bar(there * planned + done, len(members) * planned)

        def on_done(done: int, asked: int) -> None:
            nonlocal there
            del asked
            there = done

        def on_stored(record: Record) -> None:
            seconds = record.outcome["run_seconds"] + record.outcome["compile_seconds"]
            seed = record.ingredients["seed"]
            status = record.outcome.get("note") or record.outcome["status"]
            plan.tell(f"{title}, seed {seed}: {status}, {seconds:.1f} s")

        def on_resumed(done: int, planned: int) -> None:
            plan.tell(f"{title}: goes on at step {done} of {planned}")

        return fill(
            plan.bank,
            members,
            plan.model,
            (plan.dataset.train.image, plan.dataset.test.image),
            options=Options(
                mesh=plan.mesh,
                loop=plan.loop,
                placement=plan.placement,
                watch=watch,
                on_step=on_step,
                interrupted=interrupted,
            ),
            on_done=on_done,
            on_stored=on_stored,
            on_resumed=on_resumed,
            checkpoint_seconds=plan.checkpoint_seconds,
            keep_weights=keep_weights,
        )


def fill_originals(plan: Plan, seeds: Iterable[int]) -> list[Record]:
    """Originals of the seeds given."""
    return fill_plan(plan, "original", [original_member(plan, seed) for seed in seeds])


def fill_subsets(plan: Plan, count: int) -> list[Record]:
    """Models trained on random halves of the data."""
    return fill_plan(plan, "subset", [subset_member(plan, seed) for seed in range(count)])


def resolve_request(plan: Plan, text: str) -> Forgetting:
    """Choose the examples that a request removes, and keep it in the bank.

    Models that score examples are trained where the request needs them.
    """

    def scores(spec: data.RequestSpec) -> data.Scores:
        seeds = [FIRST_SCORING_SEED + seed for seed in spec.scoring_seeds]
        members = [original_member(plan, seed) for seed in seeds]
        records = fill_plan(plan, f"{describe_request(text)}: scoring model", members)
        logits = [train_logits_of(plan.bank, record) for record in records]
        arguments = {"models": spec.models, "seeds": list(spec.scoring_seeds)}
        return data.Scores(mean_margins(logits, plan.dataset.train.label), arguments)

    forgetting = resolve(plan.dataset, text, scores)
    ids, forgotten = forgetting.forget.id, forgetting.test_forgotten
    from_leader(lambda: plan.bank.add_request(forgetting.request.hash, ids, forgotten, text))
    return forgetting


def fill_oracles(plan: Plan, forgetting: Forgetting, seeds: Iterable[int]) -> list[Record]:
    """Models retrained without the forget set of a request."""
    members = [oracle_member(plan, forgetting, seed) for seed in seeds]
    title = f"{describe_request(forgetting.text)}: oracle"
    return fill_plan(plan, title, members, keep_weights=plan.keep_weights)


def fill_requests(
    plan: Plan,
    texts: Sequence[str],
    seeds: Iterable[int],
    methods: Callable[[str], Sequence[Named]],
    *,
    oracles: Sequence[int],
) -> Iterator[RequestRecords]:
    """Fill a bank with the models of several requests, one request after another.

    Args:
      plan: what all models share.
      texts: the requests; before a sequence come those that it fulfils on its way.
      seeds: of the originals.
      methods: gives the methods for a request.
      oracles: their seeds.

    Yields:
      The models of each request.
    """
    originals = fill_originals(plan, seeds)
    made: dict[str, RequestRecords] = {}
    for text in texts:
        made[text] = fill_request(
            plan,
            text,
            originals,
            methods(text),
            oracles=oracles,
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
      before: of the last step of a sequence, the models of the steps before; they are unlearned in
        place of the originals.
      followed: whether a step comes after, which needs the weights of the models of this one.
    """
    forgetting = resolve_request(plan, text)
    retrained = fill_oracles(plan, forgetting, oracles)
    watch = watcher(plan.model, plan.dataset, forgetting) if plan.watch else None
    unlearned = {}
    for method in methods:
        starts = originals if before is None else before.methods[method.name]
        members = [unlearned_member(plan, forgetting, record, method) for record in starts]
        title = f"{describe_request(text)}: {method.title}"
        unlearned[method.name] = fill_plan(
            plan, title, members, watch, keep_weights=plan.keep_weights or followed
        )
    failed = {method.name: method.failed for method in methods if method.failed}
    return RequestRecords(forgetting, originals, retrained, unlearned, failed)


def count_unwatched(records: Iterable[Record]) -> int:
    """Count the models whose history holds no forget accuracy."""
    histories = [record.outcome.get("history", []) for record in records]
    return sum(not any("forget_accuracy" in entry for entry in h) for h in histories)
