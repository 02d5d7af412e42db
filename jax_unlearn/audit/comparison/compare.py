"""Every row of an audit against the oracles, beside what oracles do among themselves.

Every second oracle is held out: the others are the reference that all rows are compared with, and
the held-out ones are a row of their own, which has to come out like the null band says. Models are
never compared with the oracle of their own seed, whose initial weights they share, since no two
oracles share theirs.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from jax_unlearn.audit.comparison.bands import NullBand
from jax_unlearn.audit.comparison.levels import at_level, choose_level
from jax_unlearn.audit.comparison.models import (
    METHOD,
    ORACLE,
    ORIGINAL,
    Group,
    RequestModels,
    Run,
    fingerprint,
)
from jax_unlearn.audit.comparison.results import MeasureResult, OracleView
from jax_unlearn.audit.comparison.verdicts import (
    RECIPE,
    Verdict,
    few_oracles,
    give_verdict,
    uninformative_for_all,
    with_power,
)
from jax_unlearn.audit.measures.accuracy import is_class_wise
from jax_unlearn.audit.measures.banks import BankConfidences, bank_confidences
from jax_unlearn.audit.measures.catalogue import CATALOGUE
from jax_unlearn.audit.measures.gap import check_terms
from jax_unlearn.audit.measures.klom import VARIANTS
from jax_unlearn.audit.measures.measure import (
    ALONE,
    BANKS,
    DATA,
    LEVELS,
    STRONG,
    Evidence,
    Measure,
)
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.audit.measures.relearn_time import mean_loss
from jax_unlearn.audit.measures.statistics import Interval, interval
from jax_unlearn.core import check_choice
from jax_unlearn.wording import agree, counted, listed

NO_PROBE = "no model's probe is given"
"""Why measures that take probes were not taken."""

UNKNOWN = Interval(math.nan, math.nan, math.nan, 0)


@dataclasses.dataclass(frozen=True)
class AuditRow:
    """One row of the audit.

    Attributes:
      group: its models; for the oracle those held out.
      results: by measure.
      verdict: over all measures.
      seconds: mean run time without compilation of the models that work and whose time is known,
        with its interval.
      share: the same in percent of the mean of all oracles that work; NaN where that is unknown.
    """

    group: Group
    results: Mapping[str, MeasureResult]
    verdict: Verdict
    seconds: Interval = UNKNOWN
    share: Interval = UNKNOWN


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The audit of one request.

    Attributes:
      models: what was audited.
      reference: the oracles that all rows are compared with.
      level: 'quick', 'standard' or 'strong', what was done in the end.
      confidence: probability of every interval and band.
      measures: those that were taken.
      catalogue: those that could have been.
      not_measured: why others were not, by name; for comparisons of banks see ``notes``.
      rows: original where there is one, oracle, methods.
      bands: by measure, for the sizes of the largest row.
      uninformative: measures that have no power for any row: the originals would lie inside every
        row's band; empty without originals, where power is unknown.
      confidences: by row, of its models in their order; empty for a row without models.
      notes: sentences that a reader must know.
      protocol: the choices that numbers depend on.
    """

    models: RequestModels
    reference: tuple[Run, ...]
    level: str
    confidence: float
    measures: tuple[Measure, ...]
    catalogue: tuple[Measure, ...]
    not_measured: Mapping[str, str]
    rows: tuple[AuditRow, ...]
    bands: Mapping[str, NullBand]
    uninformative: tuple[str, ...]
    confidences: Mapping[str, BankConfidences]
    notes: tuple[str, ...]
    protocol: AuditProtocol

    def _repr_markdown_(self) -> str:
        """What a notebook shows: every row with its verdict and what that rests on."""
        from jax_unlearn.report.markdown import escape, table

        head = ("model", "verdict", "outside", "why")
        lines = [
            (
                row.group.title,
                row.verdict.outcome,
                f"{row.verdict.outside} of {row.verdict.judged}" if row.verdict.judged else "-",
                row.verdict.reason,
            )
            for row in self.rows
        ]
        return table([head, *([*map(escape, line)] for line in lines)])


def compare(
    models: RequestModels,
    *,
    level: str = "auto",
    protocol: AuditProtocol | None = None,
    confidence: float = 0.95,
    catalogue: Sequence[Measure] = CATALOGUE,
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
      catalogue: the measures to take.
      on_step: called with the number of parts done and planned.

    Raises:
      InputError: for an unknown level, term or variant.
    """
    protocol = protocol or AuditProtocol()
    check_choice("klom_variant", protocol.klom_variant, VARIANTS)
    level, notes = choose_level(level, models)
    models = at_level(models, level)
    oracles = models.oracle.kept
    class_wise = is_class_wise(models.first)
    not_measured = _not_measured(catalogue, models, level, class_wise)
    fitting = [m for m in catalogue if m.fits(models.first)]
    measures = tuple(m for m in fitting if _is_taken(m, level, not_measured))
    for terms in (protocol.terms, protocol.attack_terms):
        check_terms(terms, [m.name for m in measures if m.kind == ALONE])
    runs = {group.name: group.kept for group in models.groups}
    planned = len(runs) + 2
    originals = models.original.kept
    target = _relearn_target(originals)
    one = partial(_measure, measures=measures, protocol=protocol, target=target, others=originals)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        # What they warn of is an undefined value, which the result's note tells.
        warnings.simplefilter("ignore")
        evidence = {}
        for done, (name, kept) in enumerate(runs.items()):
            evidence[name] = list(pool.map(one, kept))
            on_step(done + 1, planned)
        view = OracleView(oracles, evidence[ORACLE], measures, confidence, pool)
        measured, confidences = [], {}
        for group in models.groups:
            results, bank = _row(view, group, evidence[group.name], banks=level == STRONG)
            measured.append((group, results))
            if bank is not None:
                confidences[group.name] = bank
        on_step(planned - 1, planned)
        original = dict(zip(runs, (r for _, r in measured), strict=True)).get(ORIGINAL)
        original = original if models.original.kept else None
        powered = [(g, with_power(results, original, measures)) for g, results in measured]
        verdicts = [
            give_verdict(g, mine, plain, models, view.sizes(g), measures, view.chance)
            for (g, mine), (_, plain) in zip(powered, measured, strict=True)
        ]
    on_step(planned, planned)
    retraining = _seconds(models.oracle.kept, confidence).mean
    return Comparison(
        models=models,
        reference=tuple(oracles[i] for i in view.reference),
        level=level,
        confidence=confidence,
        measures=measures,
        catalogue=tuple(catalogue),
        not_measured=not_measured,
        rows=tuple(
            AuditRow(
                group,
                results,
                verdict,
                _seconds(group.kept, confidence),
                _seconds(group.kept, confidence, unit=retraining / 100.0),
            )
            for (group, results), verdict in zip(powered, verdicts, strict=True)
        ),
        bands=_bands(measured, measures),
        uninformative=uninformative_for_all(powered, measures) if original else (),
        confidences=confidences,
        notes=(*notes, *_notes(models, measured, measures, [oracles[i] for i in view.reference])),
        protocol=protocol,
    )


def _seconds(runs: Sequence[Run], confidence: float, unit: float = 1.0) -> Interval:
    """Run times of models, in a unit of so many seconds."""
    known = [run.seconds for run in runs if math.isfinite(run.seconds)]
    if not unit > 0.0:
        known = []
    return interval([seconds / unit for seconds in known], confidence)


def _is_taken(m: Measure, level: str, not_measured: Mapping[str, str]) -> bool:
    at_level = LEVELS.index(m.level) <= LEVELS.index(level)
    return at_level and m.kind != DATA and m.name not in not_measured


def _row(
    view: OracleView, group: Group, evidence: Sequence[Evidence], *, banks: bool
) -> tuple[dict[str, MeasureResult], BankConfidences | None]:
    """Results of a group and, unless it is empty, its models' confidences in every example."""
    chosen = view.chosen(group)
    kept = [group.kept[i] for i in chosen]
    known = [evidence[i] for i in chosen]
    results = view.per_model_results(group, kept, known)
    bank = None
    if kept:
        bank = bank_confidences([run.predictions for run in kept], [e.measured for e in known])
    if banks:
        results |= view.bank_results(kept, bank)
    return results, bank


def _not_measured(
    catalogue: Sequence[Measure], models: RequestModels, level: str, class_wise: bool
) -> dict[str, str]:
    """Why measures of single models cannot be had, by name; for banks the notes say it."""
    reasons = {}
    given = any(run.probe is not None for group in models.groups for run in group.kept)
    for m in catalogue:
        if m.kind in (BANKS, DATA):
            continue
        if m.probe and not given:
            reasons[m.name] = NO_PROBE
        elif LEVELS.index(m.level) > LEVELS.index(level):
            reasons[m.name] = f"the {level} audit leaves it out"
        elif m.class_wise is False and class_wise:
            reasons[m.name] = "the retain set holds none of the forgotten classes"
        elif m.needs_originals and not models.original.kept:
            reasons[m.name] = "it compares with the originals, and none is given"
    return reasons


def _relearn_target(originals: Sequence[Run]) -> float | None:
    """The originals' mean loss on the forget set, in nats; None without originals."""
    losses = [mean_loss(run.predictions.forget) for run in originals]
    return float(np.mean(losses)) if losses else None


def _measure(
    run: Run,
    measures: Sequence[Measure],
    protocol: AuditProtocol,
    target: float | None,
    others: Sequence[Run],
) -> Evidence:
    """What is known of a model, its measures of kind 'alone' among it; ``others`` are originals."""
    apart = [other for other in others if run.seed is None or other.seed != run.seed]
    originals = tuple(other.predictions for other in apart or others)
    known = Evidence(run.predictions, protocol, run.probe, target, originals)
    measured = {
        m.name: float(m.function(known))
        for m in measures
        if m.kind == ALONE and (not m.probe or run.probe is not None)
    }
    return dataclasses.replace(known, measured=measured)


def _bands(
    rows: Sequence[tuple[Group, dict[str, MeasureResult]]], measures: Sequence[Measure]
) -> dict[str, NullBand]:
    bands = {}
    for m in measures:
        found = [results[m.name] for _, results in rows]
        known = [(result.n, result.band) for result in found if result.band is not None]
        if known:
            bands[m.name] = max(known, key=lambda pair: pair[0])[1]
    return bands


def _notes(
    models: RequestModels,
    rows: Sequence[tuple[Group, dict[str, MeasureResult]]],
    measures: Sequence[Measure],
    reference: Sequence[Run],
) -> list[str]:
    few = few_oracles(models)
    notes = [few[0].upper() + few[1:] + "."] if few else []
    if len(reference) == 1 and reference[0].seed is not None:
        seed = reference[0].seed
        others = [g for g in models.groups if g is not models.oracle]
        own = [g.title for g in others if any(run.seed == seed for run in g.kept)]
        if own:
            notes.append(
                f"One oracle for reference: {listed(own)} of seed {seed} "
                f"{agree(len(own), 'is', 'are')} compared with the oracle of the same seed, whose "
                f"initial weights {agree(len(own), 'it shares', 'they share')}."
            )
    for group in models.groups:
        out = sum(group.collapsed)
        if out:
            notes.append(
                f"{group.title}: {out} of {counted(len(group.runs), 'model')} collapsed (NaN, "
                f"answers by chance or so reported) and {agree(out, 'is', 'are')} left out of "
                f"every number; {_after_collapse(group)}."
            )
        if len(group.kept) == 1:
            notes.append(f"{group.title}: one model, so its numbers have no intervals.")
        idle = sum(group.no_op)
        if idle:
            notes.append(
                f"{group.title}: {idle} of {counted(len(group.runs), 'model')} "
                f"{agree(idle, 'answers', 'answer')} exactly as the original does."
            )
    notes += _copies(models)
    if not models.original.runs:
        notes.append(
            "No original is given, so it is not known which measures have power, and nothing can "
            "be judged; train 1 on all data."
        )
    test = models.first.test
    classes = np.unique(test.label)
    if len(classes) == 1:
        notes.append(
            f"All test examples are of class {classes[0]}: test accuracy and the attacks compare "
            "with that class only."
        )
    undefined = [
        m.title for m in measures if any("undefined" in results[m.name].note for _, results in rows)
    ]
    if undefined:
        notes.append(
            f"Undefined for some models, such as where a feature is constant: "
            f"{', '.join(undefined)}; means are over the others."
        )
    return notes


def _after_collapse(group: Group) -> str:
    """What helps: the same seed with the same settings collapses again."""
    if group.kind == METHOD:
        return "take other hyperparameters (a lower learning rate) or more seeds"
    return f"take more seeds or {RECIPE}"


def _copies(models: RequestModels) -> list[str]:
    """Which models answer exactly as another of their row or as an oracle does."""
    notes, oracles = [], {fingerprint(run.predictions) for run in models.oracle.kept}
    for group in models.groups:
        answers = [fingerprint(run.predictions) for run in group.kept]
        n, repeated = len(answers), len(answers) - len(set(answers))
        if repeated:
            notes.append(
                f"{group.title}: {repeated} of {n} models {agree(repeated, 'repeats', 'repeat')} "
                "another of the row exactly: intervals and bands are too narrow."
            )
        same = sum(answer in oracles for answer in answers)
        if same and group is not models.oracle:
            notes.append(
                f"{group.title}: {same} of {counted(n, 'model')} "
                f"{agree(same, 'answers', 'answer')} exactly as an oracle does and "
                f"{agree(same, 'is not an independent model', 'are not independent models')}: "
                "intervals are too narrow."
            )
    return notes
