"""What the masked forget image is taken for, computed from weights and images."""

import shlex
from typing import Any

from jax_unlearn import data
from jax_unlearn.audit.probes.taught import masked_forget_accuracy
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import unlearning, unlearning_seed
from jax_unlearn.bank.record import Record
from jax_unlearn.engine import run_keys
from jax_unlearn.methods.natmu import Hybrids as NatMUHybrids
from jax_unlearn.methods.natmu import NatMU
from jax_unlearn.report import Picture
from jax_unlearn.report.figures import MaskedRow, masked_forget_figure

from .chosen import Chosen, collapsed
from .drawing import Drawing, Missing
from .finished import Finished


def masked_forget(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """FA and PFA with and without the injected information."""
    named = [
        (n, n.unlearner)
        for n in run.methods(chosen)
        if isinstance(n.unlearner, NatMU) and n.name in chosen.methods
    ]
    if data.step_before(chosen.text):
        raise Missing("is of requests that are no sequence: the masks are those of one step")
    if any(
        unlearning_seed(record) is not None for n, _ in named for record in chosen.methods[n.name]
    ):
        raise Missing("is of runs without --unlearning-seeds: the masks are those of the original")
    if not named:
        raise Missing(
            "needs NatMU, not collapsed; run again with --methods natmu and another --out"
        )
    (one, natmu), forgetting = named[0], run.forgetting(chosen)
    given = chosen.methods[one.name]
    specs = [unlearning(run.plan, forgetting, original, one) for original in chosen.originals]
    blends = [natmu.hybrids(run_keys(spec.key).pool, spec.problem) for spec in specs]

    by_original = {o.address: b for o, b in zip(chosen.originals, blends, strict=True)}

    def row(
        name: str, injected: bool | None, found: list[tuple[Record, NatMUHybrids]]
    ) -> MaskedRow:
        return MaskedRow(
            name,
            injected,
            [run.accuracies(record, chosen)["FA"] for record, _ in found],
            [_pfa(run, forgetting, record, blend) for record, blend in found],
        )

    def unlearned(records: list[Record]) -> list[tuple[Record, NatMUHybrids]]:
        return [(r, by_original[r.ingredients["original"]]) for r in records]

    originals = [(o, by_original[o.address]) for o in chosen.originals]
    twins = [(chosen.oracle_of(o), blend) for o, blend in originals]
    oracles = [(oracle, blend) for oracle, blend in twins if oracle is not None]
    drawn = [row("original", None, originals)]
    drawn += [row("oracle", None, oracles)] if oracles else []
    mine, other = natmu.inject, _with_injection_turned(run, chosen, given)
    drawn.append(row(one.name, mine, unlearned(given)))
    if other:
        drawn.append(row(one.name, not mine, unlearned(other)))
    notes = () if other else (_adding(run, one.name, not mine),)
    figure = masked_forget_figure(drawn, title=title)
    return Drawing([Picture(f"{chosen.stem}-masked-forget", title, figure)], notes)


def _with_injection_turned(run: Finished, chosen: Chosen, given: list[Record]) -> list[Record]:
    """Models of the bank that differ from the given ones in nothing but ``inject``."""

    def turned(record: Record) -> dict[str, Any]:
        method = record.ingredients["method"]
        inject = not method["arguments"]["inject"]
        changed = {**method, "arguments": {**method["arguments"], "inject": inject}}
        return {**record.ingredients, "method": changed}

    wanted = [turned(record) for record in given]
    found = run.bank.records("unlearned", chosen.hash)
    turned_models = [r for r in found if r.ingredients in wanted]
    trained = chosen.originals + chosen.oracles
    out = collapsed(run.bank, chosen.hash, trained, turned_models)
    return [r for r in turned_models if r.address not in out]


def _adding(run: Finished, name: str, inject: bool) -> str:
    """The command that adds what the figure lacks to the run's bank."""
    word, value = ("with", "true") if inject else ("without", "false")
    config, bank = run.folder / "config.json", run.bank.path
    flags = ["--config", config, "--bank", bank, "--methods", name]
    flags += ["--set", f"{name}.inject={value}", "--out", f"{run.folder}-inject-{value}"]
    return (
        f"lacks models {word} injection; add them to the run's bank by python -m experiments.run "
        + shlex.join(map(str, flags))
    )


def _pfa(run: Finished, forgetting: Forgetting, record: Record, blend: NatMUHybrids) -> float:
    weights = run.weights(record)
    return masked_forget_accuracy(run.plan.model, weights, forgetting.forget.image, blend)
