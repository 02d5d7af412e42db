"""Every row of an audit against the oracles, beside what oracles do among themselves.

Every second oracle is held out: the others are the reference that all rows are compared with, and
the held-out ones are a row of their own, which has to come out like the null band says. Models are
never compared with the oracle of their own seed, whose initial weights they share, since no two
oracles share theirs.
"""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from jax_unlearn.audit.comparison.bands import NullBand
from jax_unlearn.audit.comparison.levels import at_level, choose_level
from jax_unlearn.audit.comparison.models import (
    ORACLE,
    ORIGINAL,
    Group,
    RequestModels,
    Run,
    fingerprint,
)
from jax_unlearn.audit.comparison.results import (
    INSIDE,
    OUTSIDE,
    UNINFORMATIVE,
    MeasureResult,
    OracleView,
)
from jax_unlearn.audit.measures.accuracy import is_class_wise
from jax_unlearn.audit.measures.catalogue import (
    ALONE,
    BANKS,
    CATALOGUE,
    LEVELS,
    PAIR,
    STRONG,
    Measure,
)
from jax_unlearn.audit.measures.evaluation import (
    BankConfidences,
    bank_confidences,
    measure_probe,
    measure_run,
)
from jax_unlearn.audit.measures.gap import check_terms
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.audit.probes.relearn import mean_loss

NO_PROBE = "no model's probe is given"
"""Why measures that take probes were not taken."""


PASSES, FAILS, CANNOT_BE_JUDGED = "passes", "fails", "cannot be judged"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the audit makes of a row.

    Attributes:
      outcome: 'passes', 'fails' or 'cannot be judged'.
      outside: measures on which the row lies outside the band.
      judged: measures that have a band and a value.
      chance: of those judged at most so many are outside for 95 % of the splits of the oracles;
        None if unknown.
      reason: how strong the evidence is, or why there is none, in words.
    """

    outcome: str
    outside: int
    judged: int
    chance: int | None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class AuditRow:
    """One row of the audit.

    Attributes:
      group: its models; for the oracle those held out.
      results: by measure.
      verdict: over all measures.
    """

    group: Group
    results: Mapping[str, MeasureResult]
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The audit of one request.

    Attributes:
      models: what was audited.
      reference: the oracles that all rows are compared with.
      level: 'quick', 'standard' or 'strong', what was done in the end.
      confidence: probability of every interval and band.
      measures: those that were taken.
      not_measured: why others were not, by name; comparisons of banks are told of in ``notes``.
      rows: original where there is one, oracle, methods.
      bands: by measure, for the sizes of the largest row.
      uninformative: measures whose band holds the original.
      confidences: by row, of its models in their order; empty for a row without models.
      notes: sentences that a reader must know.
      protocol: the choices that numbers depend on.
    """

    models: RequestModels
    reference: tuple[Run, ...]
    level: str
    confidence: float
    measures: tuple[Measure, ...]
    not_measured: Mapping[str, str]
    rows: tuple[AuditRow, ...]
    bands: Mapping[str, NullBand]
    uninformative: tuple[str, ...]
    confidences: Mapping[str, BankConfidences]
    notes: tuple[str, ...]
    protocol: AuditProtocol


def compare(
    models: RequestModels,
    *,
    level: str = "auto",
    protocol: AuditProtocol | None = None,
    confidence: float = 0.95,
    on_step: Callable[[int, int], None] = lambda done, planned: None,
) -> Comparison:
    """Audit the models of a request.

    Args:
      models: from :func:`~jax_unlearn.audit.comparison.models.gather_models`.
      level: 'quick' (four models a row at most), 'standard' (5 oracles or more), 'strong' (banks,
        64 + 64 or more), or 'auto' for the highest that the models allow. A level that they do not
        allow falls back, and a note says so.
      protocol: terms of the gaps and settings of the attacks; None for the defaults.
      confidence: probability of every interval and band, in (0, 1).
      on_step: called with the number of parts done and planned.

    Raises:
      InputError: for an unknown level or term.
    """
    protocol = protocol or AuditProtocol()
    level, notes = choose_level(level, models)
    models = at_level(models, level)
    oracles = models.oracle.kept
    class_wise = is_class_wise(oracles[0].predictions)
    not_measured = _not_measured(models, level, class_wise)
    kinds = (ALONE, PAIR, BANKS) if level == STRONG else (ALONE, PAIR)
    measures = tuple(
        m
        for m in CATALOGUE
        if m.kind in kinds and (class_wise or m.name != "FA_test") and m.name not in not_measured
    )
    target = _relearn_target(models)
    for terms in (protocol.terms, protocol.attack_terms):
        check_terms(terms, [m.name for m in measures if m.kind == ALONE])
    runs = {group.name: group.kept for group in models.groups}
    planned = len(runs) + 2
    probe = any(m.probe for m in measures)
    one = partial(_measure, protocol=protocol, target=target, probe=probe)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        # What they warn of is an undefined value, which the cell's note tells.
        warnings.simplefilter("ignore")
        alone = {}
        for done, (name, kept) in enumerate(runs.items()):
            alone[name] = list(pool.map(one, kept))
            on_step(done + 1, planned)
        view = OracleView(oracles, alone[ORACLE], protocol, confidence, pool)
        rows, confidences = [], {}
        for group in models.groups:
            cells, bank = _row(view, group, alone[group.name], measures, banks=level == STRONG)
            rows.append((group, cells))
            if bank is not None:
                confidences[group.name] = bank
        on_step(planned - 1, planned)
        chances = [
            view.chance([m for m in measures if cells[m.name].verdict in (INSIDE, OUTSIDE)])
            for _, cells in rows
        ]
    on_step(planned, planned)
    uninformative = tuple(
        m.name
        for m in measures
        if any(g.kind == ORIGINAL and cells[m.name].verdict == INSIDE for g, cells in rows)
    )
    return Comparison(
        models=models,
        reference=tuple(oracles[i] for i in view.reference),
        level=level,
        confidence=confidence,
        measures=measures,
        not_measured=not_measured,
        rows=tuple(
            _judged(group, cells, uninformative, chance)
            for (group, cells), chance in zip(rows, chances, strict=True)
        ),
        bands=_bands(rows, measures),
        uninformative=uninformative,
        confidences=confidences,
        notes=(*notes, *_notes(models, rows, [oracles[i] for i in view.reference])),
        protocol=protocol,
    )


def _row(
    view: OracleView,
    group: Group,
    alone: Sequence[dict[str, float]],
    measures: Sequence[Measure],
    *,
    banks: bool,
) -> tuple[dict[str, MeasureResult], BankConfidences | None]:
    """Cells of a group and, unless it is empty, its models' confidences in every example."""
    # A single oracle is shown as it is; there is nothing to compare it with.
    among_oracles = view.held_out or view.reference
    chosen = among_oracles if group.kind == ORACLE else range(len(group.kept))
    kept = [group.kept[i] for i in chosen]
    measured = [alone[i] for i in chosen]
    cells = view.per_model_results(group, kept, measured, measures)
    bank = bank_confidences([run.predictions for run in kept], measured) if kept else None
    if banks:
        cells |= view.bank_results(kept, bank, measures)
    return cells, bank


def _not_measured(models: RequestModels, level: str, class_wise: bool) -> dict[str, str]:
    """Why measures that take probes cannot be had, by name."""
    reasons = {}
    given = any(run.probe is not None for group in models.groups for run in group.kept)
    for m in CATALOGUE:
        if not m.probe:
            continue
        if not given:
            reasons[m.name] = NO_PROBE
        elif LEVELS.index(m.level) > LEVELS.index(level):
            reasons[m.name] = f"the {level} audit leaves it out"
        elif m.name == "linear_probe" and class_wise:
            reasons[m.name] = "retain images to fit it to are of other classes than forget images"
        elif m.name == "relearn_time" and not models.original.kept:
            reasons[m.name] = "the loss to come back to is the originals', and none is given"
    return reasons


def _relearn_target(models: RequestModels) -> float | None:
    """The originals' mean loss on the forget set, in nats; None without originals."""
    losses = [mean_loss(run.predictions.forget) for run in models.original.kept]
    return float(np.mean(losses)) if losses else None


def _measure(
    run: Run, protocol: AuditProtocol, target: float | None, probe: bool
) -> dict[str, float]:
    measured = measure_run(run.predictions, protocol)
    if probe and run.probe is not None:
        measured |= measure_probe(run.predictions, run.probe, target)
    return measured


def _judged(
    group: Group, cells: dict[str, MeasureResult], uninformative: Sequence[str], chance: int | None
) -> AuditRow:
    marks = [cell.verdict for cell in cells.values()]
    outside = marks.count(OUTSIDE)
    judged = outside + marks.count(INSIDE)
    outcome = CANNOT_BE_JUDGED
    if chance is not None and judged:
        outcome = PASSES if outside <= chance else FAILS
    if group.kind not in (ORIGINAL, ORACLE):
        cells = {
            name: dataclasses.replace(cell, verdict=UNINFORMATIVE)
            if name in uninformative and cell.verdict == INSIDE
            else cell
            for name, cell in cells.items()
        }
    return AuditRow(group, cells, Verdict(outcome, outside, judged, chance))


def _bands(
    rows: Sequence[tuple[Group, dict[str, MeasureResult]]], measures: Sequence[Measure]
) -> dict[str, NullBand]:
    bands = {}
    for m in measures:
        cells = [cells[m.name] for _, cells in rows if cells[m.name].band is not None]
        if cells:
            bands[m.name] = max(cells, key=lambda cell: cell.n).band
    return bands


def _notes(
    models: RequestModels,
    rows: Sequence[tuple[Group, dict[str, MeasureResult]]],
    reference: Sequence[Run],
) -> list[str]:
    notes = []
    if len(reference) == 1 and reference[0].seed is not None:
        seed = reference[0].seed
        own = [g.name for g in models.groups if any(r.seed == seed for r in g.kept)]
        own = [name for name in own if name != ORACLE]
        if own:
            notes.append(
                f"One oracle for reference: {', '.join(own)} of seed {seed} are compared with the "
                "oracle of their own seed, whose initial weights they share."
            )
    for group in models.groups:
        out = sum(group.collapsed)
        if out:
            notes.append(
                f"{group.name}: {out} of {len(group.runs)} models collapsed (NaN, chance level or "
                "so reported) and are left out of every number."
            )
        if len(group.kept) == 1:
            notes.append(f"{group.name}: one model, so its numbers have no intervals.")
        if any(group.no_op):
            notes.append(
                f"{group.name}: {sum(group.no_op)} of {len(group.runs)} models answer exactly as "
                "the original does."
            )
    notes += _copies(models)
    if not models.original.runs:
        notes.append(
            "No original is given, so which measures have power here is not known: inside may mean "
            "that a measure sees nothing."
        )
    test = models.oracle.kept[0].predictions.test
    classes = np.unique(test.label)
    if len(classes) == 1:
        notes.append(
            f"All test examples are of class {classes[0]}: test accuracy and the attacks compare "
            "with that class only."
        )
    undefined = [
        m.title
        for m in CATALOGUE
        if any(m.name in cells and "undefined" in cells[m.name].note for _, cells in rows)
    ]
    if undefined:
        notes.append(
            f"Undefined for some models, such as where a feature is constant: "
            f"{', '.join(undefined)}; means are over the others."
        )
    return notes


def _copies(models: RequestModels) -> list[str]:
    """Which models answer exactly as another of their row or as an oracle does."""
    notes, oracles = [], {fingerprint(run.predictions) for run in models.oracle.kept}
    for group in models.groups:
        answers = [fingerprint(run.predictions) for run in group.kept]
        n, repeated = len(answers), len(answers) - len(set(answers))
        if repeated:
            notes.append(
                f"{group.name}: {repeated} of {n} models repeat another of the row exactly: "
                "intervals and bands are too narrow."
            )
        same = sum(answer in oracles for answer in answers)
        if same and group is not models.oracle:
            notes.append(
                f"{group.name}: {same} of {n} models answer exactly as an oracle does: they are "
                "no independent models, and intervals are too narrow."
            )
    return notes
