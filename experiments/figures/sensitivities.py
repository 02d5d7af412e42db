"""Input sensitivities, computed from weights and images."""

import numpy as np

from jax_unlearn.audit.measures.sensitivity_change import falling_share
from jax_unlearn.audit.probes.input_gradients import Sensitivities, input_sensitivities
from jax_unlearn.bank.plan import make_key
from jax_unlearn.core import Examples, Variables
from jax_unlearn.report import Picture
from jax_unlearn.report.figures import falling_figure, sensitivity_figure

from .chosen import Chosen
from .drawing import EXAMPLES, Drawing, Missing, some
from .finished import Finished


def sensitivity(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Sensitivity of members and non-members at initialisation and after training."""
    seed = chosen.originals[0].ingredients["seed"]
    plan = run.plan
    stages = {
        "at initialisation": plan.model.init(make_key(seed, "initial")),
        "after training": run.weights(chosen.originals[0]),
    }
    groups = {"members (train)": plan.dataset.train, "non-members (test)": plan.dataset.test}
    taken = {
        stage: {name: _sensitivities(run, weights, part) for name, part in groups.items()}
        for stage, weights in stages.items()
    }
    samples = {
        stage: {
            "true class": {name: np.asarray(s.true_class) for name, s in found.items()},
            "irrelevant classes": {name: np.asarray(s.irrelevant) for name, s in found.items()},
        }
        for stage, found in taken.items()
    }
    note = f"The original of seed {seed}; at most {EXAMPLES} images of each."
    figure = sensitivity_figure(samples, title=title, note=note)
    return Drawing([Picture(f"{chosen.stem}-sensitivity", title, figure)])


def sensitivity_change(run: Finished, chosen: Chosen, title: str) -> Drawing:
    """Share of examples whose sensitivity falls or rises from the original to its oracle."""
    twins = [(o, chosen.oracle_of(o)) for o in chosen.originals]
    pairs = [(original, oracle) for original, oracle in twins if oracle is not None]
    if not pairs:
        raise Missing("needs an oracle of an original's seed; run again with more --oracles")
    forgetting = run.forgetting(chosen)
    groups = {"forget images": forgetting.forget, "retain images": forgetting.retain}
    shares: dict[str, dict[str, list[float]]] = {"true class": {}, "irrelevant classes": {}}
    for name, part in groups.items():
        before_after = [
            [_sensitivities(run, run.weights(record), part) for record in pair] for pair in pairs
        ]
        for kind, field in zip(shares, Sensitivities._fields, strict=True):
            shares[kind][name] = [
                falling_share(getattr(before, field), getattr(after, field))
                for before, after in before_after
            ]
    figure = falling_figure(shares, title=title)
    return Drawing([Picture(f"{chosen.stem}-sensitivity-change", title, figure)])


def _sensitivities(run: Finished, weights: Variables, part: Examples) -> Sensitivities:
    taken = some(part)
    classes = run.plan.dataset.num_classes
    return input_sensitivities(run.plan.model, weights, taken.image, taken.label, classes)
