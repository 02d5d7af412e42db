"""Filling a bank with models of a plan, with a progress bar and a line for each."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from jax_unlearn.bank.filling import Member, fill
from jax_unlearn.bank.plan import Plan, original_member, subset_member
from jax_unlearn.bank.record import Record
from jax_unlearn.core import Variables
from jax_unlearn.engine.run_spec import Options
from jax_unlearn.engine.signals import deferred


def fill_plan(
    plan: Plan,
    title: str,
    members: Sequence[Member],
    watch: Callable[[Variables], dict[str, float]] | None = None,
    *,
    group: str = "",
    keep_weights: bool = True,
) -> list[Record]:
    """Train those members that the bank lacks, with a bar, and a line for each that is finished.

    Args:
      plan: what they share.
      title: of the bar.
      members: the models.
      watch: see :class:`jax_unlearn.engine.Options`.
      group: which models they are to who follows them; '' where nobody does.
      keep_weights: whether their weights are stored.
    """
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
            (plan.dataset.train.image, plan.dataset.evaluated.image),
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
            on_entry=partial(plan.on_entry, group) if plan.on_entry and group else None,
            checkpoint_seconds=plan.checkpoint_seconds,
            keep_weights=keep_weights,
        )


def fill_originals(plan: Plan, seeds: Iterable[int]) -> list[Record]:
    """Originals of the seeds given."""
    members = [original_member(plan, seed) for seed in seeds]
    return fill_plan(plan, "original", members, group="original")


def fill_subsets(plan: Plan, count: int) -> list[Record]:
    """Models trained on random halves of the data."""
    return fill_plan(plan, "subset", [subset_member(plan, seed) for seed in range(count)])
