"""Requests one after another: each step unlearns from the model that the step before left."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex
import jax
import numpy as np

from jax_unlearn.core import Examples, InputError, Problem, Unlearner
from jax_unlearn.data.dataset import take
from jax_unlearn.engine.loop import run
from jax_unlearn.engine.run_spec import Options, Result
from jax_unlearn.wording import counted


def run_sequence(
    unlearners: Unlearner | Sequence[Unlearner],
    problem: Problem,
    parts: Sequence[np.ndarray],
    key: chex.PRNGKey,
    options: Options | None = None,
    **changes: Any,
) -> list[Result]:
    """Unlearn a forget set part by part.

    Step k removes ``parts[k]`` from the weights that step k - 1 left, and retains what no step has
    removed yet: the retain set and the parts still to come. Its oracle is a model retrained without
    ``parts[0]`` to ``parts[k]``. Step k runs with ``jax.random.fold_in(key, k)``.

    Requests that arrive one after another are one use; the other is RUM, which refines a forget set
    into groups of equal difficulty and gives each group, from low memorization to high, the method
    that suits it::

        groups = data.memorization_groups(scores[problem.forget.id])  # scores of all images
        parts = [problem.forget.id[group] for group in groups]
        low, mid, high = ju.run_sequence(methods, problem, parts, key)

    Args:
      unlearners: one method for all steps, or one for each.
      problem: its forget set is all that is to be removed; its weights are those of the original.
      parts: for each step integers [F_k], ids of the forget set; each id in exactly one.
      key: randomness of all steps.
      options: how each run is made, see :func:`jax_unlearn.engine.run`; no checkpoints.
      **changes: fields of the options by name.

    Returns:
      A result for each step.

    Raises:
      InputError: parts overlap, are empty or are not the forget set; there are more or fewer
        methods than parts; checkpoints are given; or as :func:`jax_unlearn.engine.run`.

    References:
      Zhao, Kurmanji, Barbulescu, Triantafillou and Triantafillou, "What makes unlearning hard and
      what to do about it", NeurIPS 2024, arXiv:2406.01257 (RUM).
    """
    problems = step_problems(problem, parts)
    methods = [unlearners] * len(parts) if isinstance(unlearners, Unlearner) else [*unlearners]
    if len(methods) != len(parts):
        raise InputError(
            f"unlearners={counted(len(methods), 'method')}: expected one, or one for each of the "
            f"{len(parts)} parts"
        )
    if changes.get("checkpoints", options and options.checkpoints) is not None:
        raise InputError(
            "checkpoints: are of one run, and a sequence is several: expected None; run the steps "
            "one by one, each with a folder of its own"
        )
    results: list[Result] = []
    for step, (method, seen) in enumerate(zip(methods, problems, strict=True)):
        if results:
            seen = dataclasses.replace(seen, variables=results[-1].variables)
        results.append(run(method, seen, jax.random.fold_in(key, step), options, **changes))
    return results


def step_problems(problem: Problem, parts: Sequence[np.ndarray]) -> list[Problem]:
    """What the method of each step may see, but for the weights, which are the problem's own.

    Arguments and errors are those of :func:`run_sequence`. Retain examples come first, then those
    of later parts, in the order of the forget set.
    """
    forget = problem.forget
    if forget is None:
        raise InputError("forget=None: expected the examples that the parts divide; give them")
    parts = [np.asarray(part) for part in parts]
    _check_parts(forget, parts)
    problems = []
    for step, part in enumerate(parts):
        later = np.isin(forget.id, np.concatenate([np.zeros(0, np.int64), *parts[step + 1 :]]))
        now = take(forget, np.isin(forget.id, part))
        retain = problem.retain
        if retain is not None and later.any():
            columns = zip(retain, take(forget, later), strict=True)
            retain = Examples(*(np.concatenate(pair) for pair in columns))
        problems.append(dataclasses.replace(problem, forget=now, retain=retain))
    return problems


def _check_parts(forget: Examples, parts: Sequence[np.ndarray]) -> None:
    for number, part in enumerate(parts):
        if part.ndim != 1 or part.dtype.kind not in "iu" or not part.size:
            raise InputError(
                f"parts[{number}]={part.dtype}{list(part.shape)}: expected ids, integers [F] with "
                "F >= 1"
            )
    values, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"parts: {counted(int(np.sum(counts > 1)), 'id')} in more than one, "
            f"{values[counts > 1][0]} the first: expected parts that do not overlap; what is "
            "unlearned once is gone"
        )
    odd = np.setxor1d(values, forget.id)
    if len(odd):
        raise InputError(
            f"parts: id {odd[0]} is in the parts or in the forget set alone, as are "
            f"{len(odd) - 1} more: expected parts that make up problem.forget"
        )
