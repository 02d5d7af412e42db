"""NegGrad+: descend on the retain set while ascending on the forget set."""

from typing import Any, ClassVar

import jax

from jax_unlearn import functional
from jax_unlearn.core import Batch, SearchRange, StepInfo, check_number
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Forward
from jax_unlearn.methods.paired import Paired


class NegGradPlus(Paired):
    """Minimise ``alpha * CE(retain) - (1 - alpha) * CE(forget)``, batch paired with batch.

    An epoch is a pass over the retain set; the forget set goes round as often as that takes, each
    time in a new order (the original code repeats the epoch's first one).

    The original code has two forms. Its notebooks of small experiments run in eval mode, without
    momentum, and add ``alpha * decay / 2 * ||theta - theta0||^2``: that is ``train_mode=False,
    momentum=0, decay_towards='start'`` and ``weight_decay`` the product of their alpha and decay.
    All others run in train mode, with two forward passes for each step, and alpha 0.9999: that is
    the default here, but for the small ones' alpha. In eval mode a network with BatchNorm is lost
    at most rates that forget: its statistics do not follow the ascent.

    Attributes:
      alpha: weight of the retain set, in [0, 1].

    Source: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023,
    arXiv 2302.09880.
    """

    alpha: float = 0.95

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "alpha": SearchRange("float", 0.7, 1.0),
    }
    title = "NegGrad+"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha, low=0, high=1)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Weighted difference of the two mean cross-entropies."""
        del extra, info
        retain, forget = (
            functional.weighted_mean(functional.cross_entropy(logits, part.label), part.weight)
            for logits, part in self.pair(forward, batch)
        )
        loss = self.alpha * retain - (1.0 - self.alpha) * forget
        return loss, {"retain_loss": retain, "forget_loss": forget}


neggrad_plus = constructor(NegGradPlus)
