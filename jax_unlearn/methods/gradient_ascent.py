"""Gradient ascent: raise the loss on the forget set."""

from typing import Any, ClassVar

import jax

from jax_unlearn import functional
from jax_unlearn.core import FORGET, Batch, SearchRange, StepInfo, static
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent


class GradientAscent(Descent):
    """Maximise cross-entropy on the forget set; the retain set is never touched.

    The loss has no upper bound, so the number of steps is the method's only brake.

    Source: Golatkar et al., "Eternal Sunshine of the Spotless Net", CVPR 2020, arXiv 1911.04933
    (there called negative gradient); frame and rate as in the comparisons of arXiv 2310.12508.
    """

    epochs: int = 5
    batch_size: int = static(256)
    learning_rate: float = 1e-4

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "epochs": SearchRange("int", 1, 20),
    }

    def losses(self, logits: jax.Array, batch: Batch, extra: Any, info: StepInfo) -> jax.Array:
        """Negative cross-entropy."""
        del extra, info
        return -functional.cross_entropy(logits, batch.label)


gradient_ascent = constructor(GradientAscent)
