"""Whether an experiment can run to its end, as far as sizes tell, before anything is trained."""

import dataclasses
import functools
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.checks import check_steps
from jax_unlearn.core import InputError, Model

from .composed import method_at
from .config import Experiment
from .dry_run import try_out
from .hyperparameters import build_method
from .method_checks import check_method, why_unfit
from .naming import as_typed
from .refusals import Refusals


class Fit(NamedTuple):
    """What was found of requests that fit.

    Attributes:
      hashes: hash of each request whose ids lie in a file: its text does not say which they are.
      unfit: by request and row why its method cannot work there.
      batches: by request and row the size of batches where a method's default is more than there
        are examples, and nobody asked for it.
    """

    hashes: dict[str, str]
    unfit: dict[str, dict[str, str]]
    batches: dict[str, dict[str, int]]

    def completed(
        self, arguments: Mapping[str, Mapping[str, Mapping[str, Any]]]
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """Hyperparameters by request and row, with the sizes of batches that were found."""
        sizes = {
            text: {row: {"batch_size": size} for row, size in rows.items()}
            for text, rows in self.batches.items()
        }
        return {
            text: {row: {**given, **sizes[text].get(row, {})} for row, given in rows.items()}
            for text, rows in arguments.items()
        }


def check_fit(
    experiment: Experiment,
    model: Model,
    dataset: data.Dataset,
    arguments: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> Fit:
    """Check requests, batch sizes and what methods need against the data.

    Args:
      experiment: settings that :func:`experiments.shared.validation.validate` accepts.
      model: the network.
      dataset: the data.
      arguments: hyperparameters by request and row.

    Raises:
      InputError: a request does not fit the data or comes twice in other words; or batches are
        larger than what they are drawn from, or a method cannot work on a request (with
        ``skip_unfit``: none can work on any), all of which are named, with flags that fit.
    """
    batch_size = experiment.training.batch_size
    refusals = Refusals()
    to_try: list[tuple[str, ju.Unlearner, ju.Problem]] = []
    hashes: dict[str, str] = {}
    unfit: dict[str, dict[str, str]] = {}
    batches: dict[str, dict[str, int]] = {}
    seen: dict[str, str] = {}
    for text in experiment.requests:
        spec = data.parse_request(text)
        with as_typed(f"requests={text!r}"):
            own = data.changed(spec, dataset)
            request = _request(spec, own)
        if _may_overlap(spec):
            warnings.warn(
                f"requests={text!r}: which images its steps name is known only after the models "
                "that choose them are trained; if two steps share one, the run ends there",
                stacklevel=2,
            )
        same = seen.setdefault(request.hash, text)
        if same != text:
            raise InputError(
                f"requests={text!r}: forgets the same as {same!r}; expected each request once"
            )
        if any(step.kind == "ids" for step in spec.steps):
            hashes[text] = request.hash
        if data.test_forgotten(own, request).all():
            raise InputError(
                f"requests={text!r}: all test images are of forgotten classes; expected some of "
                "others; forget fewer classes"
            )
        problem = _problem(model, request, own)
        rows = len(own.train.label) - len(request.ids)
        refusals.batch("training", batch_size, rows, f"{text}'s oracle")
        check_steps("training", -(-rows // batch_size) * experiment.training.epochs)
        before = data.step_before(text)
        # Where a step cannot be taken, none can that goes on from it.
        unfit[text] = {row: f"{before}: {why}" for row, why in unfit.get(before, {}).items()}
        batches[text] = {}
        for row, given in arguments[text].items():
            if row in unfit[text]:
                continue
            name = method_at(row, text)
            method = build_method(name, given)
            if experiment.skip_unfit and (why := why_unfit(name, method, text, problem)):
                unfit[text][row] = why
                continue
            asked = "batch_size" in given
            if size := check_method(name, method, text, problem, refusals, asked=asked):
                batches[text][row] = size
                method = build_method(name, {**given, "batch_size": size})
            if name not in ju.METHODS:
                to_try.append((name, method, problem))
    refusals.check()
    for name, method, problem in to_try:
        try_out(name, method, problem)
    if all(unfit[text] and unfit[text].keys() == arguments[text].keys() for text in unfit):
        told = {f"{name}: {why}": None for rows in unfit.values() for name, why in rows.items()}
        raise InputError("; ".join(told))
    _tell_batches(batches)
    return Fit(hashes, unfit, batches)


def _tell_batches(batches: Mapping[str, Mapping[str, int]]) -> None:
    """Say which methods take smaller batches than they do by default."""
    for text, rows in batches.items():
        if rows:
            told = ", ".join(f"{row}.batch_size={size}" for row, size in rows.items())
            warnings.warn(
                f"{told} for {text}: all examples there are, fewer than a batch of its default",
                stacklevel=2,
            )


def check_settings(
    name: str, methods: Iterable[ju.Unlearner], text: str, model: Model, dataset: data.Dataset
) -> None:
    """Check settings of one method on a request that :func:`check_fit` accepts.

    Args:
      name: the method's.
      methods: it, with each of its settings.
      text: the request.
      model: the network.
      dataset: the data.

    Raises:
      InputError: as :func:`check_fit`, for the first setting that does not fit.
    """
    spec = data.parse_request(text)
    own = data.changed(spec, dataset)
    problem = _problem(model, _request(spec, own), own)
    tried = set()
    for method in methods:
        refusals = Refusals()
        check_method(name, method, text, problem, refusals)
        refusals.check()
        # Settings of one structure are one program: what it raises, it raises for all.
        program = jax.tree.structure(method)
        if name not in ju.METHODS and program not in tried:
            try_out(name, method, problem)
            tried.add(program)


def _problem(model: Model, request: data.Request, dataset: data.Dataset) -> ju.Problem:
    """What a method is to see, without weights."""
    _, retain = data.split(dataset, request)
    return ju.Problem(
        model,
        None,
        data.take(dataset.train, np.isin(dataset.train.id, request.step_ids)),
        retain,
        num_classes=dataset.num_classes,
        validation=dataset.validation,
    )


def _may_overlap(spec: data.RequestSpec) -> bool:
    """Whether steps of a sequence may name an image twice, which the texts alone do not tell."""
    steps = spec.steps
    strata = [step.level for step in steps if step.kind == "memorization"]
    apart = len(strata) == len(steps) == len(set(strata)) and "mix" not in strata
    refined = {(dataclasses.replace(step, group=""), step.position[1]) for step in steps}
    groups = {step.group for step in steps if step.group}
    # Groups of one forget set.
    apart = apart or (len(refined) == 1 and len(groups) == len(steps))
    return len(steps) > 1 and not apart and not all(step.exact for step in steps)


def _request(spec: data.RequestSpec, dataset: data.Dataset) -> data.Request:
    # Which examples are hardest is not known before models are trained, but how many are.
    scores = functools.partial(data.stand_in, dataset=dataset)
    return data.make_request(spec, dataset, scores, exact=spec.exact)
