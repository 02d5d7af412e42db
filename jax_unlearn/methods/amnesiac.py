"""Amnesiac unlearning: train on with random wrong labels on the forget set."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp

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
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, OptimizerFactory, Schedule, needs_examples

RELABELLINGS = ("once", "every_step")
STREAMS = ("shuffled", "forget_first")


class Amnesiac(Descent):
    """Fine-tune on retain rows with their labels and forget rows with random labels.

    Two published forms share this class. The original draws one wrong label per forget example,
    once, and shuffles both sets into one stream: ``relabel='once', stream='shuffled'``. SalUn's
    "RL" draws a label afresh whenever an example is shown, which may be the true one, and goes over
    the forget set and then over the retain set in every epoch: ``relabel='every_step',
    stream='forget_first'``.

    Attributes:
      relabel: ``'once'`` or ``'every_step'``.
      stream: ``'shuffled'`` or ``'forget_first'``.

    Sources: Graves, Nagisetty, Ganesh, "Amnesiac Machine Learning", AAAI 2021, arXiv 2010.10981;
    rates (CIFAR-10, VGG16) and frame of He et al., 2024, arXiv 2405.15495.
    """

    epochs: int = 5
    learning_rate: float = 1.8e-5
    weight_decay: float = 4e-4
    optimizer: str | OptimizerFactory = "adamw"
    schedule: str | Schedule = "cosine"
    augment: bool = False
    relabel: str = "once"
    stream: str = "shuffled"

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 3e-1),
        "weight_decay": SearchRange("log", 1e-5, 1e-1),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("relabel", self.relabel, RELABELLINGS)
        check_choice("stream", self.stream, STREAMS)

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """Retain rows with their labels and forget rows with one random wrong label each."""
        examples = needs_examples("forget", problem.forget)
        forget = pool_rows(examples, FORGET, augment=self.augment)
        labels = jnp.asarray(examples.label, jnp.int32)
        wrong = functional.draw_irrelevant(key, labels, problem.num_classes)
        retain = needs_examples("retain", problem.retain)
        return concatenate_pools(
            pool_rows(retain, RETAIN, augment=self.augment), forget._replace(label=wrong)
        )

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """One shuffled stream, or all forget rows before all retain rows."""
        if self.stream == "shuffled":
            return super().batch_indices(key, epoch, pool)
        key = jax.random.fold_in(key, epoch)
        passes = [
            shuffled_rows(
                jax.random.fold_in(key, role), jnp.flatnonzero(pool.role == role), self.batch_size
            )
            for role in (FORGET, RETAIN)
        ]
        return jnp.concatenate(passes)

    def losses(self, logits: jax.Array, batch: Batch, extra: Any, info: StepInfo) -> jax.Array:
        """Cross-entropy, on fresh labels where the forget rows get one every step."""
        del extra
        labels = batch.label
        if self.relabel == "every_step":
            drawn = jax.random.randint(info.key, labels.shape, 0, logits.shape[1])
            labels = jnp.where(batch.role == FORGET, drawn, labels)
        return functional.cross_entropy(logits, labels)


amnesiac = constructor(Amnesiac)
