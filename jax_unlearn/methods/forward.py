"""Forward passes of the network whose weights a loss is differentiated in."""

from collections.abc import Callable
from typing import Any

import jax

from jax_unlearn.core import Batch, Model, Variables, split_variables


class Forward:
    """The network at the weights that are being changed, for one or several forward passes.

    Each pass sees the statistics (BatchNorm's running ones) that the pass before left behind. It
    lives while a step is traced, and no longer.

    Attributes:
      model: the network.
      variables: its weights, with the statistics after the passes made so far.
      train: whether passes are in train mode where they do not say otherwise.
    """

    def __init__(self, model: Model, variables: Variables, *, train: bool):
        self.model, self.variables, self.train = model, variables, train

    @property
    def params(self) -> Any:
        """The weights that are trained: what a penalty on them is computed from."""
        return split_variables(self.variables)[0]

    def __call__(self, batch: Batch, *, train: bool | None = None) -> jax.Array:
        """Logits float32 [B, K] of a batch, whose rows of weight 0 are padding.

        Args:
          batch: what to show.
          train: whether BatchNorm uses the batch's statistics and updates its running ones; None
            takes the method's ``train_mode``.
        """
        train = self.train if train is None else train
        logits, self.variables = self.model.forward(
            self.variables, batch.image, train=train, weight=batch.weight
        )
        return logits

    def as_function(self, batch: Batch) -> Callable[[jax.Array], jax.Array]:
        """The network as a function of images [B, H, W, C] alone, for gradients in the input.

        What its passes do to the statistics is dropped.
        """
        model, variables, train = self.model, self.variables, self.train

        def logits_fn(images: jax.Array) -> jax.Array:
            return model.forward(variables, images, train=train, weight=batch.weight)[0]

        return logits_fn
