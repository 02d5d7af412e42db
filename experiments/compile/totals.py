"""What bounds of programs add up to: a bank's models per hour, minutes of a whole setting."""

import collections
import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jax_unlearn.bank.request_models import count_oracles
from jax_unlearn.core import Problem, Unlearner
from jax_unlearn.data import parse_request
from jax_unlearn.engine import shapes
from jax_unlearn.engine.steps import run_keys

from .derived import images_of
from .jobs import TRAINING, padded
from .measuring import Record
from .settings import Settings
from .stand_in import sample


def planned_steps(method: Unlearner, problem: Problem) -> int:
    """Steps of a run that no rule stops early."""
    keys = run_keys(jax.random.key(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool = shapes.bare_pool(method, problem, keys.pool, sample=sample(problem))
        per_epoch = np.shape(method.batch_indices(keys.batch_indices, 0, pool))[0]
    return per_epoch * method.num_epochs


Steps = Callable[[str, str], int]
"""``steps(request, row)`` of a run: of an original's training without a request, of an oracle's
with one."""


def planner(settings: Settings) -> Steps:
    """How many steps a run of a setting takes; each is found once, since it may take an attack."""

    @functools.cache
    def steps(request: str, row: str) -> int:
        if row == TRAINING:
            problem = settings.retraining(request) if request else settings.training()
            return planned_steps(settings.recipe, problem)
        method = settings.methods(request)[row]
        return planned_steps(method, settings.unlearning(request, method))

    return steps


def totals(settings: Settings, steps: Steps, records: Mapping[str, Record]) -> dict[str, Any]:
    """What follows from the bounds of a target's programs; what is not compiled is left out.

    ``models_per_hour`` of a bank; ``minutes`` of originals, oracles and unlearned models of the
    whole setting, ``at_once`` as many as are compiled together, evaluation included, for how many
    models, ``without`` which rows, and what else is ``left_out``; ``images_per_second`` and bytes
    per second that training takes in.

    Args:
      settings: what is compiled.
      steps: of :func:`planner`.
      records: of a target, by program.
    """
    best: dict[str, Record] = {}
    # The loop is what an accelerator runs: it comes last, and takes the place of the step.
    for name, record in sorted(records.items(), key=lambda item: item[0].split()[-2] == "scan"):
        row, program, _ = name.rsplit(" ", 2)
        if record["error"] is not None or not record["fits"]:
            continue
        if program in ("step", "scan", "evaluation", "bank"):
            own = padded(settings.recipe.batch_size, record["shards"])
            if row == TRAINING and record["batch"] != own:
                # What methods with another batch are compared with.
                continue
            key = row if program in ("step", "scan") else program
            best[key] = record
    found: dict[str, Any] = {}
    if "bank" in best:
        hours = steps("", TRAINING) * best["bank"]["bound_seconds"] / 3600
        found["models_per_hour"] = best["bank"]["models"] / hours
    if TRAINING in best:
        images = images_of(best[TRAINING]) * best[TRAINING]["models"]
        rate = images / best[TRAINING]["bound_seconds"]
        found["images_per_second"] = rate
        found["input_bytes_per_second"] = rate * float(np.prod(settings.image_shape))
        found |= _minutes(settings, best, steps)
    return found


def _minutes(settings: Settings, best: Mapping[str, Record], steps: Steps) -> dict[str, Any]:
    """Minutes of a whole setting, for how many models, and the rows that it is without."""
    experiment = settings.experiment
    requests = experiment.requests
    trained = collections.Counter({steps("", TRAINING): len(experiment.seeds)})
    for request in requests:
        trained[steps(request, TRAINING)] += count_oracles(experiment.runs, experiment.oracles)
    at_once = best[TRAINING]["models"]

    def turns(count: int) -> int:
        return -(-count // at_once)

    # Side by side go those that take as many steps.
    taken = sum(turns(count) * each for each, count in trained.items())
    seconds = taken * best[TRAINING]["bound_seconds"]
    models = trained.total()
    without: dict[str, None] = {}
    for request in requests:
        for row in settings.methods(request):
            # An edit takes no steps; of others the program may be missing.
            if row not in best:
                without[row] = None
                continue
            models += experiment.runs
            seconds += turns(experiment.runs) * steps(request, row) * best[row]["bound_seconds"]
    if "evaluation" in best:
        images = len(settings.dataset.train.label) + len(settings.dataset.test.label)
        batches = -(-images // best["evaluation"]["batch"])
        seconds += models * batches * best["evaluation"]["bound_seconds"]
    left_out = [] if "evaluation" in best else ["evaluation, which is not compiled"]
    if choosing := [text for text in requests if not parse_request(text).exact]:
        left_out.append(f"the models that choose the examples of {' and '.join(choosing)}")
    found = {"minutes": seconds / 60, "models": models, "at_once": at_once}
    return found | {"without": list(without), "left_out": left_out}
