"""Unlearning methods, one a file; ``METHODS`` finds a constructor by its name."""

from types import MappingProxyType

from jax_unlearn.methods.amnesiac import Amnesiac, amnesiac
from jax_unlearn.methods.bad_teacher import BadTeacher, bad_teacher
from jax_unlearn.methods.descent import Descent, DescentState
from jax_unlearn.methods.finetune import FineTune, finetune
from jax_unlearn.methods.gradient_ascent import GradientAscent, gradient_ascent
from jax_unlearn.methods.mumis import MUMis, mumis
from jax_unlearn.methods.natmu import Hybrids, NatMU, natmu
from jax_unlearn.methods.neggrad_plus import NegGradPlus, neggrad_plus
from jax_unlearn.methods.retrain import Retrain, retrain
from jax_unlearn.methods.salun import SalUn, salun

METHODS = MappingProxyType(
    {
        "retrain": retrain,
        "finetune": finetune,
        "gradient_ascent": gradient_ascent,
        "neggrad_plus": neggrad_plus,
        "amnesiac": amnesiac,
        "bad_teacher": bad_teacher,
        "salun": salun,
        "natmu": natmu,
        "mumis": mumis,
    }
)
"""Constructor of each method by name."""

__all__ = [
    "METHODS",
    "Amnesiac",
    "BadTeacher",
    "Descent",
    "DescentState",
    "FineTune",
    "GradientAscent",
    "Hybrids",
    "MUMis",
    "NatMU",
    "NegGradPlus",
    "Retrain",
    "SalUn",
    "amnesiac",
    "bad_teacher",
    "finetune",
    "gradient_ascent",
    "mumis",
    "natmu",
    "neggrad_plus",
    "retrain",
    "salun",
]
