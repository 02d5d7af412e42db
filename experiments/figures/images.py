"""Sheets of images: what methods blend, and where models look; nothing is trained."""

import dataclasses

from jax_unlearn.audit.probes.input_gradients import relevance_maps
from jax_unlearn.bank.plan import unlearning, unlearning_seed
from jax_unlearn.engine import run_keys
from jax_unlearn.report import MethodRun, Picture
from jax_unlearn.report.figures import relevance_figure

from .chosen import Chosen
from .drawing import Drawing, Missing, some
from .finished import Finished
from .stored import declared

SHOWN = 3
"""Forget images that are drawn."""


def hybrids(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Forget image, partner, mask and hybrid of the first seed's run."""
    del title
    named = [n for n in run.methods(chosen) if getattr(n.unlearner, "pool_figure", "")]
    if not named:
        raise Missing("needs NatMU; run again with --methods natmu and another --out")
    runs = {}
    for one in named:
        first = chosen.every[one.name][0]
        began = run.bank.record(first.ingredients["original"])
        drawn = dataclasses.replace(one, seed=unlearning_seed(first))
        spec = unlearning(run.plan, run.forgetting(chosen), began, drawn)
        rows = getattr(one.unlearner, one.unlearner.pool_figure)(
            run_keys(spec.key).pool, spec.problem
        )
        names = run.plan.dataset.class_names
        runs[one.name] = MethodRun(
            method=one.unlearner, rows=rows, problem=spec.problem, class_names=names
        )
    return declared(run, chosen, "hybrids", runs)


def attention(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Relevance maps of some forget images, before and after, of the first seed."""
    original = chosen.originals[0]
    found = {"original": original, "oracle": chosen.oracle_of(original) or chosen.oracles[0]}
    found |= {name: records[0] for name, records in chosen.methods.items()}
    shown = some(run.forgetting(chosen).forget, SHOWN)
    if shown.image.shape[-1] not in (1, 3):
        raise Missing("needs images of 1 or 3 channels, which the run's data has not")
    maps = {
        name: relevance_maps(run.plan.model, run.weights(record), shown.image, shown.label)
        for name, record in found.items()
    }
    figure = relevance_figure(
        shown.image,
        maps,
        labels=shown.label,
        class_names=run.plan.dataset.class_names,
        title=title,
    )
    return Drawing([Picture(f"{chosen.stem}-attention", title, figure)])
