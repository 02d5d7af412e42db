"""UGradSL+: UGradSL at the pace of the retain set."""

from typing import Any, ClassVar

import jax

from jax_unlearn import functional
from jax_unlearn.core import Batch, SearchRange, StepInfo, check_number, static
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Forward
from jax_unlearn.methods.paired import Paired


class UGradSLPlus(Paired):
    """Minimise ``p * CE(retain) - (1 - p) * CE(forget, smoothed labels)``, batch by batch.

    Labels are smoothed to ``(1 - a) * onehot + a / K`` with a negative rate a: ascent then raises
    the loss of the true class and lowers the mean loss of all classes, which plain gradient ascent
    lets grow. An epoch is a pass over the retain set; the forget set goes round.

    The paper writes sums over the two sets, here they are means, so that p does not depend on their
    sizes. It also fits the rate to each example by the share of near retain features; here it is
    one number. The authors' code could not be reached, so p, the rate and the frame are ours.

    Attributes:
      retain_weight: p, in [0, 1].
      smoothing: a, at most 1; negative in the paper, 0 is NegGrad+.

    Source: Di, Zhu, Jia, Liu, Takhirov, Jiang, Yao, Liu, Liu, "Label Smoothing Improves Machine
    Unlearning", ICLR 2026, arXiv 2406.07698.
    """

    batch_size: int = static(256)
    retain_weight: float = 0.95
    smoothing: float = -0.5

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "retain_weight": SearchRange("float", 0.5, 1.0),
        "smoothing": SearchRange("float", -4.0, 0.5),
    }
    title = "UGradSL+"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("retain_weight", self.retain_weight, low=0, high=1)
        check_number("smoothing", self.smoothing, high=1)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Weighted difference of cross-entropy and smoothed cross-entropy."""
        del extra, info
        retain, forget = (
            functional.weighted_mean(
                functional.smoothed_cross_entropy(logits, part.label, rate), part.weight
            )
            for (logits, part), rate in zip(
                self.pair(forward, batch), (0.0, self.smoothing), strict=True
            )
        )
        loss = self.retain_weight * retain - (1.0 - self.retain_weight) * forget
        return loss, {"retain_loss": retain, "forget_loss": forget}


ugradsl_plus = constructor(UGradSLPlus)
