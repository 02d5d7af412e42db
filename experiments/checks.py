"""Whether an experiment can run to its end, as far as sizes tell, before anything is trained."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import jax_unlearn as ju
from jax_unlearn import data
from jax_unlearn.core import InputError

from .config import Experiment, build_method, naming
from .pipeline import make_network


def check_fit(
    experiment: Experiment,
    dataset: data.Dataset,
    arguments: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, str]:
    """Check network, requests, batch sizes and NatMU's supply against the data.

    Args:
      experiment: settings that :func:`experiments.config.validate` accepts.
      dataset: the data.
      arguments: hyperparameters by request and method.

    Returns:
      Hash of each request whose ids lie in a file: its text does not say which they are.

    Raises:
      InputError: the network cannot take the images, a request does not fit the data or comes twice
        in other words, a batch is larger than what it is drawn from, or NatMU has too few retain
        images.
    """
    model = make_network(experiment, dataset)
    _check_batch("training", experiment.training.batch_size, len(dataset.train.label), "the data")
    hashes = {}
    seen: dict[str, str] = {}
    for text in experiment.requests:
        spec = data.parse_request(text)
        # Which examples are hardest is not known before models are trained, but how many are.
        stand_in = np.zeros(len(dataset.train.label)) if spec.kind == "hardest" else None
        request = data.make_request(spec, dataset, stand_in)
        same = seen.setdefault(request.hash, text)
        if same != text:
            raise InputError(
                f"requests={text!r}: forgets the same as {same!r}; expected each request once"
            )
        if spec.kind == "ids":
            hashes[text] = request.hash
        if data.test_forgotten(dataset, request).all():
            raise InputError(
                f"request={text!r}: all test images are of forgotten classes; expected some of "
                "others; forget fewer classes"
            )
        forget, retain = data.split(dataset, request)
        problem = ju.Problem(
            model=model,
            variables=None,
            forget=forget,
            retain=retain,
            num_classes=dataset.num_classes,
        )
        _check_batch(
            "training", experiment.training.batch_size, len(retain.label), f"{text}'s oracle"
        )
        for name, given in arguments[text].items():
            method = build_method(name, given)
            with naming(f"{name}."):
                rows = _rows(method, problem, exact=spec.kind != "hardest")
            _check_batch(name, method.batch_size, rows, text)
    return hashes


def _rows(method: ju.Unlearner, problem: ju.Problem, *, exact: bool) -> int:
    """Number of rows of a method's pool."""
    method.check(problem, exact=exact)
    return method.count_rows(problem)


def _check_batch(owner: str, batch_size: int, rows: int, whose: str) -> None:
    if batch_size > rows:
        raise InputError(
            f"{owner}.batch_size={batch_size}: there are only {rows} examples to draw from for "
            f"{whose}; use at most {rows}"
        )
