"""What a measure is: one entry with its function, kind, orientation, resolution, limits and text.

An entry stands at the end of the module of its function, at module level;
:mod:`jax_unlearn.audit.measures.catalogue` gathers them, and the audit calls each through its
``function``. A new measure is one new module here and its test.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jax_unlearn.audit.measures.protocol import AuditProtocol
from jax_unlearn.core import InputError, Predictions

if TYPE_CHECKING:
    from jax_unlearn.audit.stored_probe import Probe

QUICK, STANDARD, STRONG = "quick", "standard", "strong"
LEVELS = (QUICK, STANDARD, STRONG)
"""How much an audit asks for, least first: each takes the measures of those before it, too."""

ALONE, PAIR, BANKS, DATA = "alone", "pair", "banks", "data"
KINDS = (ALONE, PAIR, BANKS, DATA)

BOTH, ABOVE, BELOW = "both", "above", "below"

MIN_BANK = 16
"""Models on either side that a comparison of banks takes at least."""

MIN_SUBSETS = 8
"""Models trained on random halves of the data that a mean memorization score takes at least."""

LAST = 1000
"""Place in tables of a measure that does not say where it stands."""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What measures of kinds 'alone' and 'pair' take of one model.

    Attributes:
      predictions: its outputs.
      protocol: the choices that numbers depend on.
      probe: what its weights tell; None for not known.
      relearn_target: the originals' mean loss on the forget set, in nats; None without originals.
      originals: what models trained on all data predict, those that do not share its initial
        weights where there are such; empty without originals.
      measured: by name, its values of kind 'alone'; filled in before a measure of kind 'pair' is
        called.
    """

    predictions: Predictions
    protocol: AuditProtocol = dataclasses.field(default_factory=AuditProtocol)
    probe: "Probe | None" = None
    relearn_target: float | None = None
    originals: tuple[Predictions, ...] = ()
    measured: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def given_probe(self) -> "Probe":
        """The probe, for measures that say that they take one.

        Raises:
          InputError: it is not known.
        """
        if self.probe is None:
            raise InputError("probe=None: expected the model's probe; make it from its weights")
        return self.probe


Resolution = Callable[[Evidence, Callable[[str], float]], float]
"""Step of a measure's values, of an oracle's evidence and other measures' resolutions by name."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """One measure of the audit.

    Attributes:
      name: key in tables and JSON.
      title: a few words for a heading.
      unit: of its values, '' for none.
      kind: 'alone' (a number per model), 'pair' (a number per model and oracle), 'banks' (a number
        per two sets of models) or 'data' (numbers per set of examples, of no model's own).
      level: the lowest level of the audit that has it.
      function: what computes it, and what the audit calls: for 'alone' a function of the model's
        :class:`Evidence`, for 'pair' of the model's and an oracle's, for 'banks' of a
        :class:`~jax_unlearn.audit.measures.banks.BankPair`. It returns a float, NaN for undefined.
      does: one line.
      higher: what a larger value means.
      good: a clause for who reads one thing only, 'good is ...'.
      source: where it comes from.
      formula: the public function behind it, whose docstring has the formula; None if ``function``
        is all there is.
      oracle_value: what a perfect unlearning has, None where that is whatever the oracles have.
      outside: on which side of the null band a model is unlike retraining: 'both', 'above' or
        'below'. No distance to the oracle is too small.
      low: smallest possible value.
      high: largest possible value.
      resolution: step in which it moves where it counts examples, as a function of an oracle's
        evidence and of the resolutions of other measures by name; None for a continuous one.
      probe: whether it takes ``Evidence.probe`` too.
      cut_off: whether a model's value is a lower bound only, as a function of its evidence.
      class_wise: True for class-wise requests only, False for sample-wise ones only, None for both.
      focus: whether it is taken only of requests whose predictions have a focus of its name.
      needs_originals: whether it cannot be had without models trained on all data.
      place: in tables, ascending; equal ones by name.
    """

    name: str
    title: str
    unit: str
    kind: str
    level: str
    function: Callable[..., Any]
    does: str
    higher: str
    good: str
    source: str
    formula: Callable[..., Any] | None = None
    oracle_value: float | None = None
    outside: str = BOTH
    low: float = float("-inf")
    high: float = float("inf")
    resolution: Resolution | None = None
    probe: bool = False
    cut_off: Callable[[Evidence], bool] | None = None
    class_wise: bool | None = None
    focus: bool = False
    needs_originals: bool = False
    place: int = LAST

    def fits(self, predictions: Predictions) -> bool:
        """Whether it can be taken of a request, of which the predictions of one model are given."""
        class_wise = bool(np.any(predictions.test_forgotten))
        fits = self.class_wise in (None, class_wise)
        return fits and (not self.focus or self.name in predictions.focus)

    @property
    def needs(self) -> str:
        """What it takes, in words."""
        words = {
            ALONE: "1 model; the band: 2 oracles, better 5",
            PAIR: "1 model and 1 oracle; the band: 3 oracles, better 5",
            BANKS: f"{MIN_BANK} unlearned models and {2 * MIN_BANK} oracles, better 64 and 128",
            DATA: f"{MIN_SUBSETS} models trained on random halves of the data, better 100",
        }[self.kind]
        return words + " (of each its probe, from weights and images)" * self.probe


KNOWN = "more of the forget set is still known"
FARTHER = "farther from the oracles"
NEARER = "nearer to the oracles"
TELLS = "the attack tells unlearned models from oracles better"


def forget_step(evidence: Evidence, of: Callable[[str], float]) -> float:
    """Return the percentage that one forget example is."""
    del of
    return 100.0 / len(evidence.predictions.forget.label)


def percent(name: str, title: str, function: Callable, **more: Any) -> Measure:
    """Return a measure of kind 'alone' in percent, from the quick audit on."""
    return Measure(name, title, "%", ALONE, QUICK, function, **{"low": 0.0, "high": 100.0, **more})


def distance(name: str, title: str, unit: str, function: Callable, **more: Any) -> Measure:
    """Return a measure of kind 'pair', a distance unless told otherwise."""
    more = {"outside": ABOVE, "higher": FARTHER, "low": 0.0, **more}
    return Measure(name, title, unit, PAIR, QUICK, function, **more)


def of_banks(name: str, title: str, unit: str, function: Callable, **more: Any) -> Measure:
    """Return a measure of kind 'banks'."""
    return Measure(name, title, unit, BANKS, STRONG, function, **{"low": 0.0, **more})


def of_probes(name: str, title: str, unit: str, function: Callable, **more: Any) -> Measure:
    """Return a measure that takes probes, of kind 'alone' unless told otherwise."""
    more = {"kind": ALONE, "low": 0.0, **more}
    return Measure(name, title, unit, level=STANDARD, function=function, probe=True, **more)


def resolutions(measures: "tuple[Measure, ...]", evidence: Evidence) -> dict[str, float]:
    """Return the step in which measures move, by name; those of continuous measures are left out.

    Args:
      measures: of the audit.
      evidence: of an oracle.
    """
    by_name = {measure.name: measure for measure in measures}

    def of(name: str) -> float:
        step = by_name[name].resolution if name in by_name else None
        return 0.0 if step is None else float(step(evidence, of))

    fits = (m for m in measures if m.fits(evidence.predictions))
    return {m.name: of(m.name) for m in fits if m.resolution is not None}


def mean_step(terms: Callable[[AuditProtocol], tuple[str, ...]]) -> Callable:
    """Return the resolution of a mean over terms of the protocol."""

    def step(evidence: Evidence, of: Callable[[str], float]) -> float:
        return float(np.mean([of(term) for term in terms(evidence.protocol)]))

    return step


def product_step(terms: Callable[[AuditProtocol], tuple[str, ...]]) -> Callable:
    """Return the resolution of a product over terms of the protocol, each near 1."""

    def step(evidence: Evidence, of: Callable[[str], float]) -> float:
        return sum(of(term) for term in terms(evidence.protocol)) / 100.0

    return step
