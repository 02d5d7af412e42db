"""The models of one audit: any number of originals, oracles and unlearned models, checked."""

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from jax_unlearn.audit.comparison import flags
from jax_unlearn.audit.measures.accuracy import is_class_wise
from jax_unlearn.audit.predictions import SPLITS, check_predictions
from jax_unlearn.audit.stored_probe import Probe, align_probe
from jax_unlearn.core import InputError, Outputs, Predictions
from jax_unlearn.display import display_name
from jax_unlearn.wording import agree, counted

ORIGINAL, ORACLE, METHOD = "original", "oracle", "method"


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained or unlearned model.

    Attributes:
      predictions: its outputs.
      seed: which random draw it is; models of one seed share their initial weights. None for
        unknown, which is taken for different from all others.
      seconds: run time without compilation; NaN for unknown.
      status: what the run reported, '' for nothing; 'collapsed' leaves it out.
      probe: what its weights tell; None for not known, which some measures then leave out.
      draw: seed of the unlearning run, where one original was unlearned several times; None for
        that of the original.
    """

    predictions: Predictions
    seed: int | None = None
    seconds: float = math.nan
    status: str = ""
    probe: Probe | None = None
    draw: int | None = None


@dataclasses.dataclass(frozen=True)
class Group:
    """All models of one row of the audit.

    Attributes:
      name: of the row.
      kind: 'original', 'oracle' or 'method'.
      runs: all models, collapsed ones included.
      collapsed: per run, whether it is left out of every number.
      no_op: per run, whether it works and its predictions are those of the original of its seed, or
        of any original where a seed is unknown.
      failed: why its hyperparameters stand for no setting of the method that works; '' for nothing.
      title: how a reader knows it.
    """

    name: str
    kind: str
    runs: tuple[Run, ...]
    collapsed: tuple[bool, ...]
    no_op: tuple[bool, ...]
    failed: str = ""
    title: str = ""

    @property
    def kept(self) -> tuple[Run, ...]:
        """The runs that did not collapse."""
        return tuple(r for r, out in zip(self.runs, self.collapsed, strict=True) if not out)

    @property
    def statuses(self) -> dict[str, int]:
        """How often each status was reported."""
        return dict(sorted(Counter(run.status for run in self.runs if run.status).items()))

    @property
    def flags(self) -> list[str]:
        """What a reader must know before the numbers, such as '1 of 3 collapsed'."""
        counts = {"collapsed": sum(self.collapsed), "no-op": sum(self.no_op)}
        told = [f"{n} of {len(self.runs)} {what}" for what, n in counts.items() if n]
        return [self.failed, *told] if self.failed else told


@dataclasses.dataclass(frozen=True)
class RequestModels:
    """The models of one forget request.

    Attributes:
      original: trained on all data; no runs where none are given.
      oracle: retrained without the forget set, at least one with finite logits; where none works,
        nothing is measured against them.
      methods: the unlearned models by name.
    """

    original: Group
    oracle: Group
    methods: Mapping[str, Group]

    @property
    def first(self) -> Predictions:
        """Those whose examples give the order; their logits may be of no use."""
        return self.oracle.runs[0].predictions

    @property
    def titles(self) -> dict[str, str]:
        """How a reader knows each row, by its name."""
        return {group.name: group.title for group in self.groups}

    @property
    def groups(self) -> tuple[Group, ...]:
        """Original where there is one, oracle, methods."""
        first = (self.original,) if self.original.runs else ()
        return (*first, self.oracle, *self.methods.values())


def gather_models(
    oracle: Sequence[Run],
    methods: Mapping[str, Sequence[Run]],
    original: Sequence[Run] = (),
    *,
    failed: Mapping[str, str] | None = None,
    titles: Mapping[str, str] | None = None,
) -> RequestModels:
    """Check that models belong to one request, bring their examples into one order and flag runs.

    Numbers of models may differ. Examples are matched by id, and those of the first oracle give the
    order. Runs that hold NaN, answer by chance or report a collapse are flagged and stay out of
    every number.

    Args:
      oracle: the retrained models, at least one.
      methods: name -> unlearned models, at least one each.
      original: models trained on all data; without them the power of measures stays unknown.
      failed: by method why its hyperparameters stand for none that work, such as "no setting found
        that forgets"; its row has numbers, but no verdict and no rank.
      titles: how a reader knows a method, by its name; others go by what the class of that name
        declares.

    Raises:
      InputError: if there is no oracle with finite logits, a method's name is taken, a seed comes
        twice in a group, a model's ids, labels, classes or forgotten classes are not the first
        oracle's, or probes are not of one request and one recipe.
    """
    if not oracle:
        raise InputError("oracle=[]: expected one model or more, retrained without the forget set")
    groups = {ORIGINAL: original, ORACLE: oracle, **methods}
    if len(groups) < 2 + len(methods):
        taken = sorted(set(methods) & {ORIGINAL, ORACLE})
        raise InputError(f"methods={taken[0]!r}: one of the audit's own rows; rename the method")
    first = check_predictions(oracle[0].predictions, _label(ORACLE, oracle[0], 0))
    aligned: dict[str, list[Run]] = {}
    looked: Probe | None = None
    for name, runs in groups.items():
        seeds = [(run.seed, run.draw) for run in runs if run.seed is not None]
        twice = [seed for seed, count in Counter(seeds).items() if count > 1]
        if twice:
            raise InputError(
                f"{name}: seed {twice[0][0]} comes {seeds.count(twice[0])} times: expected every "
                "seed once; give models of other settings another name"
            )
        if name in methods and not runs:
            raise InputError(f"{name}=[]: expected one model or more; leave the method out")
        sources = [_label(name, run, position) for position, run in enumerate(runs)]
        aligned[name] = []
        for run, source in zip(runs, sources, strict=True):
            predictions = align(run.predictions, first, source)
            probe = run.probe
            if probe is not None:
                probe = align_probe(probe, first.forget, first.retain, looked, source)
                looked = looked or probe
            aligned[name].append(dataclasses.replace(run, predictions=predictions, probe=probe))
    trained = [run.predictions for run in (*aligned[ORACLE], *aligned[ORIGINAL])]
    best = flags.best_model(trained)
    if best is None or not any(map(flags.is_finite, trained[: len(oracle)])):
        raise InputError("oracle: the logits of every model hold NaN or infinity; retrain them")
    kinds = {ORIGINAL: ORIGINAL, ORACLE: ORACLE}
    lost = {
        name: tuple(
            run.status == "collapsed" or flags.is_collapsed(run.predictions, best) for run in runs
        )
        for name, runs in aligned.items()
    }
    made = {
        name: Group(
            name=name,
            kind=kinds.get(name, METHOD),
            runs=tuple(runs),
            collapsed=lost[name],
            # What is kept of a run that collapsed at once is the original: it did not do nothing.
            no_op=tuple(
                name != ORIGINAL
                and not out
                and any(
                    flags.is_no_op(run.predictions, other.predictions)
                    for other in aligned[ORIGINAL]
                    if run.seed is None or other.seed in (None, run.seed)
                )
                for run, out in zip(runs, lost[name], strict=True)
            ),
            failed=(failed or {}).get(name, ""),
            title=(titles or {}).get(name) or display_name(name),
        )
        for name, runs in aligned.items()
    }
    return RequestModels(made[ORIGINAL], made[ORACLE], {name: made[name] for name in methods})


def align(predictions: Predictions, reference: Predictions, source: str) -> Predictions:
    """Return predictions with their examples in the order of another model's.

    Args:
      predictions: any order.
      reference: the order to bring them into, the same examples.
      source: an argument's or a file's name, for the message.

    Raises:
      InputError: if predictions are malformed, or ids, labels, the number of classes or the
        forgotten classes are not the reference's.
    """
    predictions = check_predictions(predictions, source)
    parts, order = [], np.arange(0)
    for split in SPLITS:
        mine, theirs = getattr(predictions, split), getattr(reference, split)
        missing = np.setdiff1d(theirs.id, mine.id)
        extra = np.setdiff1d(mine.id, theirs.id)
        if len(missing) or len(extra):
            raise InputError(
                f"{source}: {split}_id lacks {len(missing)} of the oracles' {len(theirs.id)} ids "
                f"and holds {len(extra)} others: expected the same examples; predict them for the "
                "oracles' request"
            )
        if mine.logits.shape[1] != theirs.logits.shape[1]:
            raise InputError(
                f"{source}: {counted(mine.logits.shape[1], 'class', 'classes')}: expected the "
                f"oracles' {theirs.logits.shape[1]}; predict with a network of as many outputs"
            )
        # Both hold the same ids, so positions among the sorted ones match them.
        order = np.argsort(mine.id)[np.argsort(np.argsort(theirs.id))]
        mine = Outputs(*(column[order] for column in mine))
        wrong = np.flatnonzero(mine.label != theirs.label)
        if len(wrong):
            at = wrong[0]
            raise InputError(
                f"{source}: {split}_label={mine.label[at]} for id {mine.id[at]}: expected "
                f"{theirs.label[at]}, the oracles' ({len(wrong)} "
                f"{agree(len(wrong), 'differs', 'differ')}); number the classes alike"
            )
        parts.append(mine)
    forgotten = predictions.test_forgotten[order]
    differing = int(np.sum(forgotten != reference.test_forgotten))
    if differing:
        own, expected = (
            "class-wise" if is_class_wise(p) else "sample-wise" for p in (predictions, reference)
        )
        raise InputError(
            f"{source}: test_forgotten differs for {counted(differing, 'test example')} ({own} "
            f"against the oracles' {expected} request): expected the oracles' mask; mark the same "
            "classes"
        )
    forget, retain, test = parts
    focus = _align_focus(predictions, reference, source)
    return Predictions(forget, retain, test, forgotten, focus)


def _align_focus(
    predictions: Predictions, reference: Predictions, source: str
) -> dict[str, Outputs]:
    """What measures of the request's own are taken on, in the order of another model's."""
    found = {}
    for name, theirs in reference.focus.items():
        mine = predictions.focus.get(name)
        if mine is None or not np.array_equal(np.sort(mine.id), np.sort(theirs.id)):
            raise InputError(
                f"{source}: focus_{name}_id: expected the oracles' {counted(len(theirs.id), 'id')}"
                f", on which the request's measure {name} is taken; predict them too"
            )
        order = np.argsort(mine.id)[np.argsort(np.argsort(theirs.id))]
        found[name] = Outputs(mine.logits[order], theirs.label, theirs.id)
    return found


def fingerprint(predictions: Predictions) -> bytes:
    """Return a hash of the logits, equal for models that answer exactly alike."""
    found = hashlib.blake2b(digest_size=16)
    for outputs in predictions[:3]:
        found.update(np.ascontiguousarray(outputs.logits).data)
    return found.digest()


def _label(name: str, run: Run, position: int) -> str:
    return f"{name}[{f'seed {run.seed}' if run.seed is not None else position}]"
