"""The audit of one forget request: every model's measures over seeds, beside the null band."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from jax_unlearn.audit.comparison import flags
from jax_unlearn.audit.comparison.checks import check_models, check_per_seed
from jax_unlearn.audit.measures import distances, gap, membership
from jax_unlearn.audit.measures.accuracy import accuracies, is_class_wise
from jax_unlearn.audit.measures.gap import check_terms
from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.audit.measures.statistics import Band, Interval, interval, null_band
from jax_unlearn.core import InputError, Predictions

ALONE = ("RA", "FA", "TA", "FA_test", "MIA_entropy_member", "MIA_svc_nonmember")
"""Measures of one model, in percent; the names of the attacks say what they count."""

AGAINST_ORACLE = ("gap", "gap_MIA", "ToW", "KL_forget", "KL_test", "JS_forget", "AD_forget")
"""Measures against the oracle: percentage points (gaps), 1 at the oracle and below elsewhere
(ToW), nats (KL, JS), [0, sqrt 2] (AD, the activation distance)."""

COSTS = ("seconds", "share")
"""Run time in seconds, and in percent of the oracle's."""

MEASURES = (*ALONE, *AGAINST_ORACLE, *COSTS)

ORIGINAL, ORACLE, SECOND_ORACLE = "original", "oracle", "second oracle"
REFERENCES = (ORIGINAL, ORACLE, SECOND_ORACLE)


@dataclasses.dataclass(frozen=True)
class Row:
    """One model over its seeds.

    Attributes:
      name: 'original', 'oracle', 'second oracle' or the method's.
      values: measure -> one value per seed, collapsed seeds included.
      cells: measure -> mean and interval over the seeds that did not collapse.
      collapsed: per seed, whether the run collapsed.
      no_op: per seed, whether the predictions are the original's.
      statuses: per seed, what the run reported; '' for nothing.
      inside_null_band: whether the average gap cannot be told from retraining's own; never where
        a seed collapsed; None where there is no band, and for the two sets of oracles.
    """

    name: str
    values: Mapping[str, tuple[float, ...]]
    cells: Mapping[str, Interval]
    collapsed: tuple[bool, ...]
    no_op: tuple[bool, ...]
    statuses: tuple[str, ...]
    inside_null_band: bool | None = None

    @property
    def n(self) -> int:
        """Number of seeds that the cells are made of."""
        return len(self.collapsed) - sum(self.collapsed)

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know before the numbers, such as '1 of 3 collapsed'."""
        counts = {"collapsed": sum(self.collapsed), "no-op": sum(self.no_op)}
        for status in set(self.statuses) - {"", "collapsed"}:
            counts[status] = self.statuses.count(status)
        return tuple(f"{n} of {len(self.collapsed)} {what}" for what, n in counts.items() if n)


@dataclasses.dataclass(frozen=True)
class Table:
    """The audit of one request.

    Attributes:
      rows: original, oracle, second oracle, then the methods in the order given.
      measures: names of the columns, those of ``MEASURES`` that this request has.
      protocol: the choices that the numbers depend on.
      level: of every interval and of the null band.
      seeds: number of seeds.
      class_wise: whether the request forgets classes, so that TA is on the remaining ones.
      svc_examples: how many examples of each side trained the SVC in the first seed.
      bands: measure -> where the mean offset from the oracle falls by chance, as the second
        oracles show it; see :func:`offset`.
      uninformative: measures whose band contains the original, which they thus cannot tell from the
        oracle.
    """

    rows: tuple[Row, ...]
    measures: tuple[str, ...]
    protocol: AuditProtocol
    level: float
    seeds: int
    class_wise: bool
    svc_examples: int
    bands: Mapping[str, Band]
    uninformative: tuple[str, ...]


def audit_request(
    original: Sequence[Predictions],
    oracle: Sequence[Predictions],
    second_oracle: Sequence[Predictions],
    methods: Mapping[str, Sequence[Predictions]],
    *,
    seconds: Mapping[str, Sequence[float]] | None = None,
    statuses: Mapping[str, Sequence[str]] | None = None,
    protocol: AuditProtocol | None = None,
    level: float = 0.95,
) -> Table:
    """Measure every model against the oracle of its seed and gather the seeds in a table.

    Position s of every sequence is seed s. Distances are taken within a seed and then averaged:
    the gap is a mean of gaps, not the gap of means.

    Args:
      original: the models trained on all data, one per seed.
      oracle: the retrained models.
      second_oracle: models retrained with other seeds. Scored like a method they show how far
        retraining lies from itself, the null band.
      methods: name -> the unlearned models.
      seconds: row name -> run times without compilation; 'oracle' holds the retraining times,
        which other rows are divided by. A row without times has empty cells.
      statuses: row name -> what each run reported, '' for nothing; counted among the row's flags.
        'collapsed' leaves the seed out, as a collapse seen in the predictions does.
      protocol: terms of the gaps and settings of the attacks; None for the defaults.
      level: of the intervals and the band, in (0, 1).

    Returns:
      The table. Collapsed seeds are left out of the cells and counted in the row's flags.

    Raises:
      InputError: if the numbers of seeds differ, a model's ids, labels or number of classes are
        not its oracle's, an oracle's logits are not finite, or an argument names what is not
        there.
    """
    for name in methods:
        if name in REFERENCES:
            raise InputError(f"methods={name!r}: one of the table's own rows; rename the method")
    protocol = protocol or AuditProtocol()
    models = check_models(
        {ORIGINAL: original, ORACLE: oracle, SECOND_ORACLE: second_oracle, **methods}, ORACLE
    )
    first = models[ORACLE][0]
    class_wise = is_class_wise(first)
    for terms in (protocol.terms, protocol.attack_terms):
        check_terms(terms, [m for m in ALONE if class_wise or m != "FA_test"])
    seconds, statuses = seconds or {}, statuses or {}
    for argument, given in (("seconds", seconds), ("statuses", statuses)):
        check_per_seed(argument, given, models, len(models[ORACLE]))

    rows = _rows(models, protocol, seconds, statuses, level)
    measures = tuple(m for m in MEASURES if m in rows[ORACLE].cells)
    bands = {
        m: null_band(_offsets(rows[SECOND_ORACLE], rows[ORACLE], m), level)
        for m in measures
        if m not in COSTS
    }
    for name in (ORIGINAL, *methods):
        inside = _inside(rows[name], rows[ORACLE], bands, "gap")
        rows[name] = dataclasses.replace(rows[name], inside_null_band=inside)
    forgotten = first.test_forgotten
    taken = {"test": forgotten | True, "remaining": ~forgotten, "forgotten": forgotten}
    outsiders = np.sum(taken[protocol.nonmembers])
    limit = protocol.svc_max_examples or outsiders
    return Table(
        rows=tuple(rows.values()),
        measures=measures,
        protocol=protocol,
        level=level,
        seeds=len(models[ORACLE]),
        class_wise=class_wise,
        svc_examples=int(min(len(first.retain.label), outsiders, limit)),
        bands=bands,
        uninformative=tuple(m for m in bands if _inside(rows[ORIGINAL], rows[ORACLE], bands, m)),
    )


def _rows(
    models: Mapping[str, Sequence[Predictions]],
    protocol: AuditProtocol,
    seconds: Mapping[str, Sequence[float]],
    statuses: Mapping[str, Sequence[str]],
    level: float,
) -> dict[str, Row]:
    unknown = [np.nan] * len(models[ORACLE])
    # Fitting an SVC lets go of the interpreter, so threads share the cores.
    with ThreadPoolExecutor() as pool:
        alone = {
            name: list(pool.map(partial(measure_alone, protocol=protocol), runs))
            for name, runs in models.items()
        }
    rows = {}
    for name, runs in models.items():
        per_seed = [
            {
                **measured,
                **measure_against(run, measured, oracle, target, protocol),
                "seconds": float(spent),
                "share": share_of_retraining(float(spent), float(retraining)),
            }
            for run, measured, oracle, target, spent, retraining in zip(
                runs,
                alone[name],
                models[ORACLE],
                alone[ORACLE],
                seconds.get(name, unknown),
                seconds.get(ORACLE, unknown),
                strict=True,
            )
        ]
        pairs = list(zip(runs, models[ORIGINAL], strict=True))
        reported = statuses.get(name, [""] * len(runs))
        # A run that gave up and handed back earlier weights collapsed too.
        collapsed = tuple(
            status == "collapsed" or flags.is_collapsed(*pair)
            for status, pair in zip(reported, pairs, strict=True)
        )
        values = {m: tuple(measured[m] for measured in per_seed) for m in per_seed[0]}
        rows[name] = Row(
            name=name,
            values=values,
            cells={m: interval(_kept(v, collapsed), level) for m, v in values.items()},
            collapsed=collapsed,
            no_op=tuple(name != ORIGINAL and flags.is_no_op(*pair) for pair in pairs),
            statuses=tuple(reported),
        )
    return rows


def _kept(values: Sequence[float], collapsed: Sequence[bool]) -> list[float]:
    return [value for value, out in zip(values, collapsed, strict=True) if not out]


def _offsets(row: Row, oracle: Row, measure: str) -> list[float]:
    pairs = zip(row.values[measure], oracle.values[measure], strict=True)
    return _kept([offset(measure, *pair) for pair in pairs], row.collapsed)


def _inside(row: Row, oracle: Row, bands: Mapping[str, Band], measure: str) -> bool | None:
    if any(row.collapsed):
        return False
    low, high = bands[measure]
    if np.isnan(high):
        return None
    mean = np.mean(_offsets(row, oracle, measure))
    # Equal accuracies may differ in the last bit of their mean.
    rounding = 1e-9
    # No distance to the oracle is too small for a retrained model.
    return bool(mean <= high + rounding and (measure in AGAINST_ORACLE or mean >= low - rounding))


def measure_alone(predictions: Predictions, protocol: AuditProtocol) -> dict[str, float]:
    """Return the measures of ``ALONE``, in percent; FA_test for class-wise requests only."""
    share = membership.svc_attack_nonmember_share(
        predictions, nonmembers=protocol.nonmembers, max_examples=protocol.svc_max_examples
    )
    return {
        **accuracies(predictions),
        "MIA_entropy_member": membership.entropy_attack_member_percent(
            predictions, nonmembers=protocol.nonmembers
        ),
        "MIA_svc_nonmember": 100.0 * share,
    }


def measure_against(
    predictions: Predictions,
    measured: dict[str, float],
    oracle: Predictions,
    target: dict[str, float],
    protocol: AuditProtocol,
) -> dict[str, float]:
    """Return the measures of ``AGAINST_ORACLE``.

    Args:
      predictions: the model's outputs.
      measured: its measures from :func:`measure_alone`.
      oracle: the oracle's outputs on the same sets.
      target: the oracle's measures.
      protocol: which terms the gaps and ToW take.
    """
    forget = oracle.forget.logits, predictions.forget.logits
    test = oracle.test.logits, predictions.test.logits
    return {
        "gap": gap.average_gap(measured, target, protocol.terms),
        "gap_MIA": gap.average_gap(measured, target, protocol.attack_terms),
        "ToW": gap.tow(measured, target, protocol.terms),
        "KL_forget": distances.kl_oracle_to_unlearned(*forget),
        "KL_test": distances.kl_oracle_to_unlearned(*test),
        "JS_forget": distances.jensen_shannon(*forget),
        "AD_forget": distances.activation_distance(*forget),
    }


def offset(measure: str, value: float, oracle_value: float) -> float:
    """Return how far a measure lies from where the oracle has it; 0 at the oracle.

    Args:
      measure: one of ``ALONE`` or ``AGAINST_ORACLE``.
      value: the model's.
      oracle_value: the oracle's; not used where the measure is a distance already.
    """
    if measure == "ToW":
        return 1.0 - value
    return value if measure in AGAINST_ORACLE else value - oracle_value


def share_of_retraining(seconds: float, retraining: float) -> float:
    """Return a run time in percent of the oracle's; NaN where either is unknown or not positive."""
    return 100.0 * seconds / retraining if retraining > 0 else math.nan
