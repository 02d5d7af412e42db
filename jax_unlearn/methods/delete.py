"""DELETE: keep what the original says of other classes, without the true one."""

from typing import Any, ClassVar

import jax

from jax_unlearn import functional
from jax_unlearn.core import FORGET, Batch, SearchRange, StepInfo
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Forward
from jax_unlearn.methods.taught import Taught


class DELETE(Taught):
    """Distil the original without the true class, on the forget set alone.

    The loss is KL(target || student), its mean over the batch. The target is the original's
    prediction of the same image, in eval mode, with the probability of the true class taken out and
    the others scaled up to a sum of 1.

    The released code has ``train_mode=False`` (its ``disable_bn``) for a single class of Tiny
    ImageNet, where train mode, the default here as there, would fill the running statistics with
    that class alone. No weight decay there, none here.

    Source: Zhou et al., "Decoupled Distillation to Erase: A General Unlearning Method for Any
    Class-centric Tasks", CVPR 2025, arXiv 2503.23751.
    """

    epochs: int = 20
    learning_rate: float = 1e-4
    weight_decay: float = 0.0

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-6, 1.0),
        "epochs": SearchRange("int", 1, 40),
    }
    title = "DELETE"

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Mean divergence of the student from the original without the true class."""
        del info
        target = functional.without_class(self.teacher(forward, batch, extra), batch.label)
        divergence = functional.kl_divergence(target, forward(batch))
        return functional.weighted_mean(divergence, batch.weight), {}


delete = constructor(DELETE)
