"""UGradSL: descend on the retain set while ascending on the forget set under smoothed labels."""

from jax_unlearn.core import FORGET
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.ugradsl_plus import UGradSLPlus


class UGradSL(UGradSLPlus):
    """UGradSL+ at the pace of the forget set, so in few steps.

    An epoch is a pass over the forget set; of the retain set it shows as many rows, others in every
    epoch. For the rest see :class:`~jax_unlearn.methods.ugradsl_plus.UGradSLPlus`.
    """

    paced_by = FORGET
    title = "UGradSL"


ugradsl = constructor(UGradSL)
