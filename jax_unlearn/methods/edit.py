"""One-shot edits of the weights, and the losses in eval mode that they are computed from."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from jax_unlearn.batching import sharding_beside
from jax_unlearn.core import Examples, Model, Problem, Unlearner, Variables, to_unit


class Edited(NamedTuple):
    """State of a one-shot method.

    Attributes:
      variables: the unlearned weights.
    """

    variables: Variables


class Edit(Unlearner):
    """A method that edits the weights once, without steps; subclasses give :meth:`edit`.

    Attributes:
      batch_size: examples at a time where the result does not depend on it.
    """

    def edit(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The unlearned weights.

        It is not compiled, so it may go over data sets of any size batch by batch
        (:func:`jax_unlearn.functional.fold_batches`), and look at numbers.

        Args:
          key: randomness of the edit.
          problem: its weights are laid out on the run's devices.
        """
        raise NotImplementedError

    def init(self, key: chex.PRNGKey, problem: Problem) -> Edited:
        """The state: the edited weights."""
        return Edited(self.edit(key, problem))


@dataclasses.dataclass(frozen=True)
class EvalLoss:
    """A loss of each row of images in eval mode, as passes over data sets take it.

    Attributes:
      model: the network.
      of_logits: maps logits float32 [B, K] and what else a row holds, such as labels, to [B].
    """

    model: Model
    of_logits: Callable[..., jax.Array]

    def __call__(self, variables: Variables, image: jax.Array, *rest: jax.Array) -> jax.Array:
        """Loss of images [B, H, W, C], uint8 or float in [0, 1]."""
        return self.of_logits(self.model.logits(variables, to_unit(image)), *rest)


def as_rows(examples: Examples) -> tuple[Any, np.ndarray]:
    """Images [N, H, W, C] and labels int32 [N] of examples."""
    return examples.image, np.asarray(examples.label, np.int32)


def over_devices(problem: Problem) -> dict[str, Any]:
    """How a pass over a data set is spread: the argument ``sharding`` of each."""
    return {"sharding": sharding_beside(problem.variables)}
