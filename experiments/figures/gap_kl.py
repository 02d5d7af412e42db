"""The accuracy gap against both readings of the KL in NatMU's paper."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jax_unlearn.audit.measures.distances import kl_oracle_to_unlearned, kl_training_targets
from jax_unlearn.audit.measures.gap import average_gap
from jax_unlearn.audit.probes.taught import Taught, taught_targets
from jax_unlearn.bank.plan import Named, unlearning, unlearning_seed
from jax_unlearn.bank.record import Record
from jax_unlearn.engine import run_keys
from jax_unlearn.models.predict import predict_logits
from jax_unlearn.report import Picture
from jax_unlearn.report.figures import gap_against_both_kl_figure

from .chosen import Chosen
from .drawing import EXAMPLES, Drawing, Missing, rows
from .finished import Finished

ORACLE, TARGETS = (
    "KL(oracle || unlearned) on the forget set (nats)",
    "KL(targets || oracle) on what is taught (nats)",
)


def gap_kl(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """The accuracy gap against both readings of the KL; the first alone where weights lack."""
    pairs = {name: gaps_and_kl(run, chosen, rs) for name, rs in chosen.methods.items()}
    # An oracle alone has no other to be compared with.
    among = chosen.oracles if len(chosen.oracles) > 1 else []
    null_gap, null_kl = gaps_and_kl(run, chosen, among)
    readings = {ORACLE: {name: kl for name, (_, kl) in pairs.items()}}
    notes: tuple[str, ...] = ()
    try:
        taught = {one.name: _kl_taught(run, chosen, one) for one in run.methods(chosen)}
    except Missing as reason:
        taught, notes = {}, (f"its second reading {reason}",)
    found = {name: values for name, values in taught.items() if values}
    figure = gap_against_both_kl_figure(
        {name: gap for name, (gap, _) in pairs.items()},
        readings | ({TARGETS: found} if found else {}),
        null_gap=null_gap,
        null={ORACLE: null_kl},
        title=title,
    )
    return Drawing([Picture(f"{chosen.stem}-gap-kl", title, figure)], notes)


def _kl_taught(run: Finished, chosen: Chosen, named: Named) -> list[float]:
    """KL(targets || oracle) for each seed, against one oracle of another; [] without targets."""
    values = []
    for record in chosen.methods.get(named.name, []):
        taught = _taught(run, chosen, named, record)
        if taught is None:
            return []
        oracle = run.weights(chosen.others(record)[0])
        logits = predict_logits(run.plan.model, oracle, taught.image)
        values.append(kl_training_targets(taught.target, logits))
    return values


def _taught(run: Finished, chosen: Chosen, named: Named, record: Record) -> Taught | None:
    forgetting = run.forgetting(chosen)
    original = run.bank.record(record.ingredients["original"])
    named = dataclasses.replace(named, seed=unlearning_seed(record))
    spec = unlearning(run.plan, forgetting, original, named)
    pool = named.unlearner.pool(run_keys(spec.key).pool, spec.problem)
    temperature = getattr(named.unlearner, "temperature", 1.0)
    classes = run.plan.dataset.num_classes
    taught = taught_targets(pool, forgetting.step.label, classes, temperature=temperature)
    if taught is None:
        return None
    kept = rows(len(taught.image), 2 * EXAMPLES)
    return Taught(taught.image[kept], taught.target[kept])


def gaps_and_kl(
    run: Finished, chosen: Chosen, records: Sequence[Record]
) -> tuple[list[float], list[float]]:
    """Average gap and KL(oracle || model) on the forget set of models, each [models].

    Each is the mean over the oracles that do not share the model's initial weights.
    """
    gap, kl = [], []
    for record in records:
        mine, model = run.accuracies(record, chosen), run.predictions(record, chosen)
        others = chosen.others(record)
        gap.append(np.mean([average_gap(mine, run.accuracies(o, chosen)) for o in others]))
        logits = [run.predictions(other, chosen).forget.logits for other in others]
        kl.append(np.mean([kl_oracle_to_unlearned(o, model.forget.logits) for o in logits]))
    return [float(value) for value in gap], [float(value) for value in kl]
