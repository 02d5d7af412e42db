"""The catalogue: every measure of the audit, gathered from the modules of this folder."""

import importlib
import pkgutil

from jax_unlearn.audit import measures
from jax_unlearn.audit.measures.measure import Measure


def _gather() -> tuple[Measure, ...]:
    found: dict[str, Measure] = {}
    for module in pkgutil.iter_modules(measures.__path__):
        if module.name == "catalogue":
            continue
        names = vars(importlib.import_module(f"{measures.__name__}.{module.name}"))
        found |= {entry.name: entry for entry in names.values() if isinstance(entry, Measure)}
    return tuple(sorted(found.values(), key=lambda m: (m.place, m.name)))


CATALOGUE = _gather()
"""All measures, in the order of tables."""

BY_NAME = {measure.name: measure for measure in CATALOGUE}
