"""Unlearning methods, one a file; :mod:`jax_unlearn.registry` finds one by its name."""

from jax_unlearn.methods.amnesiac import Amnesiac
from jax_unlearn.methods.amun import AMUN
from jax_unlearn.methods.bad_teacher import BadTeacher
from jax_unlearn.methods.boundary_expand import BoundaryExpand
from jax_unlearn.methods.boundary_shrink import BoundaryShrink
from jax_unlearn.methods.cf_k import CFk
from jax_unlearn.methods.constructors import constructor, method_class
from jax_unlearn.methods.ct import CT
from jax_unlearn.methods.delete import DELETE
from jax_unlearn.methods.descent import Descent, DescentState, Forward, Optimized
from jax_unlearn.methods.edit import Edit, Edited, EvalLoss
from jax_unlearn.methods.eu_k import EUk
from jax_unlearn.methods.finetune import FineTune
from jax_unlearn.methods.fisher_forgetting import FisherForgetting
from jax_unlearn.methods.gradient_ascent import GradientAscent
from jax_unlearn.methods.influence import Influence
from jax_unlearn.methods.jit import JiT
from jax_unlearn.methods.l1_sparse import L1Sparse
from jax_unlearn.methods.l2ul import L2UL
from jax_unlearn.methods.lfssd import LFSSD
from jax_unlearn.methods.msg import MSG
from jax_unlearn.methods.mumis import MUMis, MUMisLastLayer
from jax_unlearn.methods.natmu import Hybrids, NatMU
from jax_unlearn.methods.neggrad_plus import NegGradPlus
from jax_unlearn.methods.negmerge import NegMerge
from jax_unlearn.methods.paired import Paired
from jax_unlearn.methods.random_label import RandomLabel
from jax_unlearn.methods.retrain import Retrain
from jax_unlearn.methods.salun import SalUn
from jax_unlearn.methods.scrub import SCRUB
from jax_unlearn.methods.scrub_r import SCRUBR
from jax_unlearn.methods.sfr_on import SFROn
from jax_unlearn.methods.ssd import SSD
from jax_unlearn.methods.ugradsl import UGradSL
from jax_unlearn.methods.ugradsl_plus import UGradSLPlus
from jax_unlearn.methods.unsir import UNSIR

__all__ = [
    "AMUN",
    "CT",
    "DELETE",
    "L2UL",
    "LFSSD",
    "MSG",
    "SCRUB",
    "SCRUBR",
    "SSD",
    "UNSIR",
    "Amnesiac",
    "BadTeacher",
    "BoundaryExpand",
    "BoundaryShrink",
    "CFk",
    "Descent",
    "DescentState",
    "EUk",
    "Edit",
    "Edited",
    "EvalLoss",
    "FineTune",
    "FisherForgetting",
    "Forward",
    "GradientAscent",
    "Hybrids",
    "Influence",
    "JiT",
    "L1Sparse",
    "MUMis",
    "MUMisLastLayer",
    "NatMU",
    "NegGradPlus",
    "NegMerge",
    "Optimized",
    "Paired",
    "RandomLabel",
    "Retrain",
    "SFROn",
    "SalUn",
    "UGradSL",
    "UGradSLPlus",
    "constructor",
    "method_class",
]
