"""What bounds of programs add up to: a bank's models per hour, minutes of a whole setting."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jax_unlearn.bank.request_models import count_oracles
from jax_unlearn.core import Problem, Unlearner
from jax_unlearn.engine import shapes
from jax_unlearn.engine.steps import run_keys

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


def totals(settings: Settings, records: Mapping[str, Record]) -> dict[str, Any]:
    """What follows from the bounds of a target's programs; what is not compiled is left out.

    ``models_per_hour`` of a bank; ``minutes`` of originals, oracles and unlearned models of the
    whole setting, one after another with all devices sharing each batch, evaluation included, for
    how many models, and ``without`` which rows; ``images_per_second`` and bytes per second that
    training takes in. Models that only choose a request's examples are not counted.
    """
    best: dict[str, Record] = {}
    for name, record in records.items():
        row, program, _ = name.rsplit(" ", 2)
        if record["error"] is not None or not record["fits"]:
            continue
        if program in ("step", "scan", "evaluation", "bank"):
            own = padded(settings.recipe.batch_size, record["shards"])
            if row == TRAINING and record["batch"] != own:
                # What methods with another batch are compared with.
                continue
            key = row if program in ("step", "scan") else program
            # The loop is what an accelerator runs; it comes after the step.
            best[key] = record
    found: dict[str, Any] = {}
    steps = functools.partial(planned_steps, settings.recipe, settings.training())
    if "bank" in best:
        hours = steps() * best["bank"]["bound_seconds"] / 3600
        found["models_per_hour"] = best["bank"]["models"] / hours
    if TRAINING in best:
        rate = best[TRAINING]["batch"] / best[TRAINING]["bound_seconds"]
        found["images_per_second"] = rate
        found["input_bytes_per_second"] = rate * float(np.prod(settings.image_shape))
        found |= _minutes(settings, best, steps())
    return found


def _minutes(settings: Settings, best: Mapping[str, Record], training: int) -> dict[str, Any]:
    """Minutes of a whole setting, for how many models, and the rows that it is without."""
    experiment = settings.experiment
    requests = experiment.requests
    trained = len(experiment.seeds) + len(requests) * count_oracles(
        experiment.runs, experiment.oracles
    )
    seconds, models = trained * training * best[TRAINING]["bound_seconds"], trained
    without: dict[str, None] = {}
    for request in requests:
        for row, method in settings.methods(request).items():
            # An edit takes no steps; of others the program may be missing.
            if row not in best:
                without[row] = None
                continue
            models += experiment.runs
            steps = planned_steps(method, settings.unlearning(request, method))
            seconds += experiment.runs * steps * best[row]["bound_seconds"]
    if "evaluation" in best:
        images = len(settings.dataset.train.label) + len(settings.dataset.test.label)
        batches = -(-images // best["evaluation"]["batch"])
        seconds += models * batches * best["evaluation"]["bound_seconds"]
    return {"minutes": seconds / 60, "models": models, "without": list(without)}
