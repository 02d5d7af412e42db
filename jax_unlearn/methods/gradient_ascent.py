"""Gradient ascent: raise the loss on the forget set."""

from typing import Any, ClassVar

import jax
import optax

from jax_unlearn import functional
from jax_unlearn.core import FORGET, Batch, SearchRange, StepInfo, check_number, static
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent
from jax_unlearn.methods.gradients import clip_to_norm


class GradientAscent(Descent):
    """Maximise cross-entropy on the forget set; the retain set is never touched.

    The loss has no upper bound, so the number of steps is the method's only brake; weight decay
    still shrinks weights. SFR-on's comparisons (arXiv 2409.19732) have a second brake, and no batch
    statistics: ``max_norm=0.1, train_mode=False``, for 9 epochs.

    Attributes:
      max_norm: to which gradients are scaled down, over all weights, > 0; None for no limit.

    Source: Golatkar et al., "Eternal Sunshine of the Spotless Net", CVPR 2020, arXiv 1911.04933
    (there called negative gradient); frame and rate as in the comparisons of arXiv 2310.12508.
    """

    epochs: int = 5
    batch_size: int = static(256)
    learning_rate: float = 1e-4
    max_norm: float | None = None

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "epochs": SearchRange("int", 1, 20),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_norm is not None:
            check_number("max_norm", self.max_norm, above=0)

    def losses(self, logits: jax.Array, batch: Batch, extra: Any, info: StepInfo) -> jax.Array:
        """Negative cross-entropy."""
        del extra, info
        return -functional.cross_entropy(logits, batch.label)

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        """Gradients are clipped before weight decay and momentum, as PyTorch does it."""
        del extra
        return optax.chain(clip_to_norm(self.max_norm), optimizer)


gradient_ascent = constructor(GradientAscent)
