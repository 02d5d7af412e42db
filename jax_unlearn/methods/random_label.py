"""Random labels: train on with random labels on the forget set."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Pool,
    Problem,
    SearchRange,
    StepInfo,
    check_choice,
    concatenate_pools,
    pool_rows,
    shuffled_rows,
    static,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, needs_examples

RELABELLINGS = ("once", "every_step")
STREAMS = ("shuffled", "forget_first")
DRAWS = ("any", "wrong")


class RandomLabel(Descent):
    """Fine-tune on retain rows with their labels and forget rows with random labels.

    Four published algorithms go by this name. The default is SalUn's "RL" for CIFAR-10 and SVHN: a
    label is drawn afresh whenever an example is shown, may be the true one, and an epoch goes over
    the forget set and then over the retain set. The others differ in one or more of three choices:

    - SalUn's for CIFAR-100 and Tiny ImageNet: ``stream='shuffled'``. (It draws labels once an
      epoch; an epoch shows each example once, so that is the same.)
    - SFR-on's, and Amnesiac unlearning: ``relabel='once', labels='wrong', stream='shuffled'``.
    - AMUN's: ``labels='wrong', stream='shuffled'``.

    Attributes:
      relabel: ``'once'`` or ``'every_step'``.
      labels: drawn among ``'any'`` or among ``'wrong'`` classes.
      stream: ``'shuffled'`` or ``'forget_first'``.

    Sources: Golatkar et al., "Eternal Sunshine of the Spotless Net", CVPR 2020, arXiv 1911.04933;
    form and frame of Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight
    Saliency in Both Image Classification and Generation", ICLR 2024, arXiv 2310.12508, at the rate
    of SalUn itself.
    """

    batch_size: int = static(256)
    learning_rate: float = 0.013
    relabel: str = "every_step"
    labels: str = "any"
    stream: str = "forget_first"

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 3e-1),
        "weight_decay": SearchRange("log", 1e-5, 1e-1),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("relabel", self.relabel, RELABELLINGS)
        check_choice("labels", self.labels, DRAWS)
        check_choice("stream", self.stream, STREAMS)

    def draw(self, key: chex.PRNGKey, labels: jax.Array, num_classes: int) -> jax.Array:
        """A random label int32 [B] for rows whose own labels are int32 [B]."""
        if self.labels == "wrong":
            return functional.draw_irrelevant(key, labels, num_classes)
        return jax.random.randint(key, labels.shape, 0, num_classes, jnp.int32)

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """Retain rows with their labels and forget rows with one random label each.

        Every row's own label is its further leaf ``own`` where later draws depend on it.
        """
        examples = needs_examples("forget", problem.forget)
        forget = pool_rows(examples, FORGET, augment=self.augment)
        retain = pool_rows(needs_examples("retain", problem.retain), RETAIN, augment=self.augment)
        drawn = self.draw(key, jnp.asarray(forget.label), problem.num_classes)
        pool = concatenate_pools(retain, forget._replace(label=drawn))
        if self.relabel == "every_step" and self.labels == "wrong":
            pool = pool._replace(extra={"own": np.concatenate([retain.label, forget.label])})
        return pool

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """One shuffled stream, or all forget rows before all retain rows."""
        if self.stream == "shuffled":
            return super().batch_indices(key, epoch, pool)
        key = jax.random.fold_in(key, epoch)
        passes = [
            shuffled_rows(
                jax.random.fold_in(key, role), np.flatnonzero(pool.role == role), self.batch_size
            )
            for role in (FORGET, RETAIN)
        ]
        return jnp.asarray(np.concatenate(passes))

    def losses(self, logits: jax.Array, batch: Batch, extra: Any, info: StepInfo) -> jax.Array:
        """Cross-entropy, on fresh labels where the forget rows get one every step."""
        del extra
        labels = batch.label
        if self.relabel == "every_step":
            drawn = self.draw(info.key, batch.extra.get("own", labels), logits.shape[1])
            labels = jnp.where(batch.role == FORGET, drawn, labels)
        return functional.cross_entropy(logits, labels)


random_label = constructor(RandomLabel)
