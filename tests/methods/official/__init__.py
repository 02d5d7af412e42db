"""Methods against updates that the authors' own code computed on one tiny network, in float64.

A file of golden numbers holds one method in several forms (variants). A case says which hyper-
parameters, rows and labels of ours are that form, and replays its updates. ``test_official.py``
runs every case on every file of its name that it finds.
"""

from . import (
    adversaries,
    curvature,
    dampening,
    distillation,
    fine_tuning,
    held,
    pairs,
    parts,
    relabelling,
    smoothing,
    strata,
    teachers,
)
from .golden import Golden, find, variants
from .replay import CASES, NOT_OFFERED

__all__ = [
    "CASES",
    "NOT_OFFERED",
    "Golden",
    "adversaries",
    "curvature",
    "dampening",
    "distillation",
    "find",
    "fine_tuning",
    "held",
    "pairs",
    "parts",
    "relabelling",
    "smoothing",
    "strata",
    "teachers",
    "variants",
]
