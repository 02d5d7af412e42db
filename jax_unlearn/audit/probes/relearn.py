"""Relearning: fine-tuning on the forget set, and the course of the loss there."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.audit.measures.relearn_time import RelearnCurve, mean_loss
from jax_unlearn.core import (
    FORGET,
    Examples,
    Model,
    Outputs,
    Pool,
    Problem,
    State,
    Variables,
    check_number,
    shuffled_rows,
    static,
)
from jax_unlearn.engine import run
from jax_unlearn.methods.descent import Descent, needs_examples
from jax_unlearn.models.predict import predict_logits


class Relearn(Descent):
    """Fine-tune on the forget set alone, measuring its loss every few steps.

    Defaults: SGD at the constant rate of the fine-tuning it undoes, without augmentation, decay
    or momentum, and with BatchNorm's running statistics, so that losses change by learning alone.

    Attributes:
      epochs: number of measurements; the run makes ``epochs * every`` updates at most.
      every: updates between two measurements.
      target: the run ends at the first measurement at which the loss is here or below.
    """

    epochs: int = 100
    batch_size: int = static(128)
    every: int = static(1)
    target: float = -math.inf
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    momentum: float = 0.0
    train_mode: bool = False
    augment: bool = False

    roles = (FORGET,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("every", self.every, low=1, whole=True)

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """The next ``every`` steps of a stream of passes over the forget set."""
        rows = jnp.arange(pool.label.shape[0])
        return shuffled_rows(key, rows, self.batch_size, start=epoch * self.every, steps=self.every)

    def measure(self, model: Model, state: State, problem: Problem) -> dict[str, float]:
        """Mean loss on the forget set."""
        forget = needs_examples("forget", problem.forget)
        logits = predict_logits(model, state.variables, forget.image)
        return {"forget_loss": mean_loss(Outputs(logits, forget.label, forget.id))}

    def stop(self, history: Sequence[Mapping[str, float]], problem: Problem) -> bool:
        """Whether the loss is back at the target."""
        del problem
        return history[-1]["forget_loss"] <= self.target


def relearn_curve(
    recipe: Relearn,
    model: Model,
    variables: Variables,
    forget: Examples,
    key: chex.PRNGKey,
    *,
    num_classes: int,
    **options: Any,
) -> RelearnCurve:
    """Fine-tune a model on the forget set and return the course of its loss there.

    Models are comparable under one recipe and one key. Costs one pass over the forget set per
    measurement, and its updates.

    Args:
      recipe: rate, batch size, number of measurements, target.
      model: the network.
      variables: the weights to start from: an unlearned model's or the oracle's.
      forget: the forget examples.
      key: the order of the examples.
      num_classes: number of outputs K.
      **options: further arguments of :func:`~jax_unlearn.engine.run`.
    """
    problem = Problem(
        model=model, variables=variables, forget=forget, retain=None, num_classes=num_classes
    )
    history = run(recipe, problem, key, **options).history
    return RelearnCurve(
        np.array([entry["step"] for entry in history], np.int64),
        np.array([entry["forget_loss"] for entry in history], np.float64),
    )
