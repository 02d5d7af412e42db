"""A measure of one row's models against the reference oracles, and what the null band says."""

import dataclasses
import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jax_unlearn.audit.comparison.bands import (
    JACKKNIFE_GROUPS,
    NullBand,
    band_of_means,
    band_of_pairs,
    band_of_splits,
    jackknife,
    split_oracles,
)
from jax_unlearn.audit.comparison.models import ORACLE, Group, Run
from jax_unlearn.audit.measures.banks import BankConfidences, BankPair, bank_confidences
from jax_unlearn.audit.measures.measure import (
    ABOVE,
    ALONE,
    BANKS,
    BELOW,
    MIN_BANK,
    PAIR,
    Evidence,
    Measure,
    resolutions,
)
from jax_unlearn.audit.measures.statistics import interval
from jax_unlearn.wording import agree, counted

PAIRED_ORACLES = 16
"""Oracles that a model is compared with one by one, at most, and held-out ones for the band."""

NO_ORACLE = "no oracle works"
"""Why nothing is measured against one."""

INSIDE, OUTSIDE, UNINFORMATIVE, UNJUDGED = "inside", "outside", "uninformative", ""


@dataclasses.dataclass(frozen=True)
class MeasureResult:
    """One measure of one row.

    Attributes:
      value: mean over models, or the value between two banks; NaN for unknown.
      low: lower end of its interval over models; NaN where there is none.
      high: upper end.
      n: models that it is made of.
      verdict: 'inside' the null band, so not to be told from retraining by this measure, 'outside',
        'uninformative' where the measure would not tell the originals from retraining either at as
        many models, '' where there is no band.
      note: what must be known of it, '' for nothing.
      band: the null band for n models.
      values: one per model where the measure has such, in the order of ``seeds``.
      seeds: of the models.
    """

    value: float
    low: float
    high: float
    n: int
    verdict: str = UNJUDGED
    note: str = ""
    band: NullBand | None = None
    values: tuple[float, ...] = ()
    seeds: tuple[int | None, ...] = ()


class OracleView:
    """The oracles, half reference and half held out, and what all rows are compared with.

    Attributes:
      oracles: those that work.
      evidence: what is known of each; ``measured`` holds its measures of kind 'alone', those that
        take a probe only where it is given.
      measures: those that are taken.
      probed: positions of those whose probe is given.
      reference: positions of those that rows are compared with.
      held_out: positions of the others.
    """

    def __init__(
        self,
        oracles: Sequence[Run],
        evidence: Sequence[Evidence],
        measures: Sequence[Measure],
        confidence: float,
        pool: ThreadPoolExecutor,
    ):
        reference = list(range(0, len(oracles), 2))
        held_out = list(range(1, len(oracles), 2))
        self.measures, self.confidence, self.pool = tuple(measures), confidence, pool
        self.oracles, self.evidence = oracles, evidence
        self.reference, self.held_out = reference, held_out
        self.probed = [i for i, run in enumerate(oracles) if run.probe is not None]
        first = evidence[self.probed[0] if self.probed else 0] if evidence else None
        self.steps = {} if first is None else resolutions(self.measures, first)
        # By whether a measure takes probes.
        self.paired = {
            probe: tuple(
                self._known(side, probe)[:PAIRED_ORACLES] for side in (reference, held_out)
            )
            for probe in (False, True)
        }
        self.between = self._between(probe=False) | self._between(probe=True)
        self.bank = (
            bank_confidences([run.predictions for run in oracles], [e.measured for e in evidence])
            if oracles
            else None
        )
        # By size: the orders, and every measure of kind 'banks' on each.
        self.splits: dict[int, tuple[list[np.ndarray], dict[str, np.ndarray]]] = {}

    def chosen(self, group: Group) -> Sequence[int]:
        """Positions of the models of a group that are measured: of the oracles those held out."""
        # A single oracle is shown as it is; there is nothing to compare it with.
        if group.kind == ORACLE:
            return self.held_out or self.reference
        return range(len(group.kept))

    def sizes(self, group: Group) -> tuple[int, int]:
        """Models of a group that are measured, and oracles that they are compared with."""
        return len(self.chosen(group)), len(self.reference)

    def _known(self, rows: Sequence[int], probe: bool) -> list[int]:
        """Those of some oracles that a measure can be had of."""
        return [i for i in rows if not probe or self.oracles[i].probe is not None]

    def _between(self, *, probe: bool) -> dict[str, np.ndarray]:
        """Every pair measure between oracles, NaN between one and itself, [M, M] over all."""
        m = len(self.oracles)
        rows = sorted(self.paired[probe][0] + self.paired[probe][1])
        found: dict[str, np.ndarray] = {}
        for i in rows:
            for j in rows:
                if i == j:
                    continue
                for name, value in self._pair(self.evidence[i], j, probe).items():
                    found.setdefault(name, np.full((m, m), np.nan))[i, j] = value
        return found

    def _pair(self, evidence: Evidence, oracle: int, probe: bool) -> dict[str, float]:
        """The pair measures of a model and an oracle, those that take probes or the others."""
        target = self.evidence[oracle]
        return {
            m.name: float(m.function(evidence, target))
            for m in self.measures
            if m.kind == PAIR and m.probe == probe
        }

    def _pairs(self, run: Run, evidence: Evidence, probe: bool) -> dict[str, float]:
        """The pair measures of a model, means over the reference."""
        if probe and run.probe is None:
            return {}
        references = self.paired[probe][0]
        others = [j for j in references if run.seed is None or run.seed != self.oracles[j].seed]
        # Better the oracle of the same seed, as a note says, than none.
        pairs = [self._pair(evidence, j, probe) for j in others or references]
        names = pairs[0] if pairs else {}
        return {name: float(np.mean([pair[name] for pair in pairs])) for name in names}

    def per_model_results(
        self, group: Group, kept: Sequence[Run], evidence: Sequence[Evidence]
    ) -> dict[str, MeasureResult]:
        """Results of the kinds 'alone' and 'pair': means over models with t intervals."""
        alone_there = group.kind == ORACLE and not self.held_out
        taken = {m.probe for m in self.measures if m.kind == PAIR and not alone_there}

        def complete(run: Run, known: Evidence) -> dict[str, float]:
            found = dict(known.measured)
            for probe in taken:
                found |= self._pairs(run, known, probe)
            return found

        per_run = list(self.pool.map(complete, kept, evidence))
        results = {}
        for m in self.measures:
            if m.kind not in (ALONE, PAIR):
                continue
            rows = [i for i, run in enumerate(kept) if not m.probe or run.probe is not None]
            values = np.array([per_run[i].get(m.name, math.nan) for i in rows], np.float64)
            result = _mean_result(
                m,
                values,
                tuple(kept[i].seed for i in rows),
                self._band(m, int(np.isfinite(values).sum())),
                self.confidence,
                paired=not alone_there and bool(self.paired[m.probe][0]),
                oracles=bool(self.oracles),
            )
            if m.probe and 0 < len(rows) < len(kept):
                result = _noted(result, f"the probe of {len(rows)} of {len(kept)} models is given")
            results[m.name] = self._cut_off(m, result, [evidence[i] for i in rows])
        return results

    def _cut_off(
        self, m: Measure, result: MeasureResult, evidence: Sequence[Evidence]
    ) -> MeasureResult:
        """Say how many values are lower bounds only; equal lower bounds prove nothing."""
        if m.cut_off is None:
            return result
        cut = sum(m.cut_off(known) for known in evidence)
        if not cut:
            return result
        result = _noted(
            result, f"cut off before the target in {cut} of {len(evidence)}: a lower bound"
        )
        oracles = any(
            m.cut_off(self.evidence[i]) for i in self._known(range(len(self.oracles)), m.probe)
        )
        if not oracles or result.verdict != INSIDE:
            return result
        return _noted(dataclasses.replace(result, verdict=UNJUDGED), "oracles too, so not judged")

    def _band(self, m: Measure, n: int) -> NullBand | None:
        more = {"resolution": self.steps.get(m.name, 0.0), "level": self.confidence}
        if m.kind == PAIR:
            reference, held_out = self.paired[m.probe]
            both = sorted(reference + held_out)
            if len(both) < 2:
                return None
            matrix = self.between[m.name][np.ix_(both, both)]
            band = band_of_pairs(matrix, n, len(reference), **more)
        else:
            values = self._values(m)
            band = band_of_means(values, values[self.reference], n, **more)
        if band is None:
            return None
        return band._replace(low=max(band.low, m.low), high=min(band.high, m.high))

    def _values(self, m: Measure) -> np.ndarray:
        """A measure of kind 'alone' of all oracles, NaN where it is not known."""
        return np.array([e.measured.get(m.name, math.nan) for e in self.evidence], np.float64)

    def bank_results(
        self, kept: Sequence[Run], bank: BankConfidences | None
    ) -> dict[str, MeasureResult]:
        """Results of the kind 'banks', at the sizes that the null splits have."""
        measures = [m for m in self.measures if m.kind == BANKS]
        size = min(len(kept), len(self.held_out), len(self.reference))
        if size < MIN_BANK or bank is None or self.bank is None:
            note = (
                f"needs {MIN_BANK} models, there {agree(len(kept), 'is', 'are')} {len(kept)}: "
                "left out"
            )
            return {
                m.name: MeasureResult(math.nan, math.nan, math.nan, 0, note=note) for m in measures
            }
        taken = {self.oracles[j].seed for j in self.reference} - {None}
        # Models of held-out seeds first: the reference shares no initial weights with them.
        order = sorted(range(len(kept)), key=lambda i: kept[i].seed in taken)[:size]
        mine, theirs = bank.models(order), self.bank.models(self.reference[:size])
        values = self._banks(mine, theirs)
        ends = {}
        if size - -(-size // JACKKNIFE_GROUPS) >= MIN_BANK:
            ends = jackknife(
                lambda i, j: self._banks(mine.models(i), theirs.models(j)),
                values,
                size,
                size,
                level=self.confidence,
            )
        splits = self.split_values(size)[1]
        results = {}
        for m in measures:
            low, high = ends.get(m.name, (math.nan, math.nan))
            band = band_of_splits(
                splits[m.name], (size, size), len(self.oracles), level=self.confidence
            )
            note = "" if ends else f"no interval below {MIN_BANK + 3} models"
            results[m.name] = MeasureResult(
                value=values[m.name],
                low=max(low, m.low) if math.isfinite(low) else math.nan,
                high=min(high, m.high) if math.isfinite(high) else math.nan,
                n=size,
                verdict=judge(m, values[m.name], band),
                note=note,
                band=band,
            )
        return results

    def _banks(self, mine: BankConfidences, theirs: BankConfidences) -> dict[str, float]:
        """Every measure of kind 'banks'; those that depend on numbers of models do so here too."""
        pair = BankPair(mine, theirs, self.evidence[0].protocol)
        return {m.name: float(m.function(pair)) for m in self.measures if m.kind == BANKS}

    def split_values(self, size: int) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
        """Splits of the oracles into ``size`` and ``size``, and every bank measure on each."""
        if size not in self.splits:
            orders = split_oracles(len(self.oracles), size, size)

            bank = self.bank
            assert bank is not None, "without oracles there is nothing to split"

            def one(order: np.ndarray) -> dict[str, float]:
                return self._banks(bank.models(order[:size]), bank.models(order[size:]))

            drawn = list(self.pool.map(one, orders))
            self.splits[size] = (
                orders,
                {name: np.array([values[name] for values in drawn]) for name in drawn[0]},
            )
        return self.splits[size]

    def chance(self, measures: Sequence[Measure]) -> int | None:
        """On how many of some measures at most 95 % of rows of further oracles lie outside.

        The number in the splits of the oracles, but no fewer than measures would that err
        independently: splits of a few oracles show too little of what others might do.
        """
        first, second = len(self.held_out), len(self.reference)
        if first + second < 4 or not measures:
            return None
        size = min(first, second)
        orders = (
            self.split_values(size)[0]
            if any(m.kind == BANKS for m in measures)
            else split_oracles(first + second, first, second)
        )
        outside = np.zeros(len(orders), int)
        judged = 0
        for m in measures:
            if m.kind == BANKS:
                values = self.split_values(size)[1][m.name]
                band = band_of_splits(
                    values, (size, size), len(self.oracles), level=self.confidence
                )
            else:
                band = self._band(m, len(self._known(self.held_out, m.probe)))
                values = np.array([self._split_value(m, order, size) for order in orders])
            judged += band is not None
            outside += [judge(m, v, band) == OUTSIDE for v in values]
        from scipy.stats import binom

        independent = binom.ppf(self.confidence, judged, 1.0 - self.confidence)
        seen = np.quantile(outside, self.confidence, method="inverted_cdf")
        return int(max(independent, seen))

    def _split_value(self, m: Measure, order: np.ndarray, size: int) -> float:
        if m.probe:
            # Of the oracles that were probed every split has as many on either side.
            order = order[np.isin(order, self.probed)]
            size = len(order) // 2
        first, second = order[:size], order[size:]
        if not size:
            return math.nan
        if m.kind == PAIR:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return float(np.nanmean(self.between[m.name][np.ix_(first, second)]))
        values, reference = self._values(m), self._known(self.reference, m.probe)
        return float(values[first].mean() - values[second].mean() + values[reference].mean())


def _mean_result(
    m: Measure,
    values: np.ndarray,
    seeds: tuple[int | None, ...],
    band: NullBand | None,
    confidence: float,
    *,
    paired: bool,
    oracles: bool,
) -> MeasureResult:
    known = np.isfinite(values)
    mean, low, high, n = interval([float(v) for v in values[known]], confidence)
    notes = []
    whose = " and have a probe" if m.probe else ""
    if known.size and not known.any() and m.kind == PAIR and not paired:
        notes.append(
            "no oracle's probe is given to compare it with"
            if m.probe
            else ("one oracle: there is no other to compare it with" if oracles else NO_ORACLE)
        )
    elif not known.all():
        notes.append(f"undefined for {int((~known).sum())} of {counted(len(values), 'model')}")
    if n == 1:
        notes.append("one model: no interval")
    if n and band is None and oracles:
        needed = 2 if m.kind == ALONE else 3
        notes.append(f"no band below {needed} oracles that work{whose}")
    if not len(values):
        notes.append("no model's probe is given" if m.probe else "no model is left to measure")
    return MeasureResult(
        value=mean,
        low=max(low, m.low) if n > 1 else math.nan,
        high=min(high, m.high) if n > 1 else math.nan,
        n=n,
        verdict=judge(m, mean, band),
        note="; ".join(notes),
        band=band,
        values=tuple(float(v) for v in values),
        seeds=seeds,
    )


def _noted(result: MeasureResult, note: str) -> MeasureResult:
    return dataclasses.replace(result, note="; ".join(filter(None, [result.note, note])))


def judge(m: Measure, value: float, band: NullBand | None) -> str:
    """Return whether a value lies inside or outside a band; '' where one of them is unknown."""
    if band is None or math.isnan(value):
        return UNJUDGED
    # Equal accuracies may differ in the last bit of their mean.
    rounding = 1e-9
    too_low = m.outside != ABOVE and value < band.low - rounding
    too_high = m.outside != BELOW and value > band.high + rounding
    return OUTSIDE if too_low or too_high else INSIDE
