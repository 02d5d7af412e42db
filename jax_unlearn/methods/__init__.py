"""Unlearning methods, one a file; :mod:`jax_unlearn.registry` finds one by its name."""

from jax_unlearn.methods.amnesiac import Amnesiac
from jax_unlearn.methods.bad_teacher import BadTeacher
from jax_unlearn.methods.constructors import constructor, method_class
from jax_unlearn.methods.descent import Descent, DescentState, Forward, Optimized
from jax_unlearn.methods.finetune import FineTune
from jax_unlearn.methods.gradient_ascent import GradientAscent
from jax_unlearn.methods.mumis import MUMis, MUMisLastLayer
from jax_unlearn.methods.natmu import Hybrids, NatMU
from jax_unlearn.methods.neggrad_plus import NegGradPlus
from jax_unlearn.methods.retrain import Retrain
from jax_unlearn.methods.salun import SalUn

__all__ = [
    "Amnesiac",
    "BadTeacher",
    "Descent",
    "DescentState",
    "FineTune",
    "Forward",
    "GradientAscent",
    "Hybrids",
    "MUMis",
    "MUMisLastLayer",
    "NatMU",
    "NegGradPlus",
    "Optimized",
    "Retrain",
    "SalUn",
    "constructor",
    "method_class",
]
