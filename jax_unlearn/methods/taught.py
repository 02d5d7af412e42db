"""Descent towards, or away from, what the original says: methods whose teacher it is."""

import dataclasses
from typing import Any

import chex
import jax

from jax_unlearn.core import Batch, Pool, Problem
from jax_unlearn.methods.descent import Descent, Forward
from jax_unlearn.models.predict import predict_logits


class Taught(Descent):
    """Descend a loss that also sees the original's logits, taken in eval mode.

    Rows that are augmented have them computed at every step, for what the original says changes
    with every crop; otherwise they are computed once and lie in the pool.
    """

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """The original's weights, where they are asked at every step."""
        del key
        return {"teacher": problem.variables} if self.augment else {}

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The rows of every role, with the original's logits where they stay the same."""
        pool = super().pool(key, problem)
        if self.augment:
            return pool
        logits = predict_logits(problem.model, problem.variables, pool.image)
        return pool._replace(extra={**pool.extra, "teacher": logits})

    def count_rows(self, problem: Problem) -> int:
        """Number of rows of the pool; nothing is computed."""
        return super(Taught, dataclasses.replace(self, augment=True)).count_rows(problem)

    def teacher(self, forward: Forward, batch: Batch, extra: Any) -> jax.Array:
        """The original's logits of a batch, float32 [B, K]."""
        if self.augment:
            return forward.model.logits(extra["teacher"], batch.image)
        return batch.extra["teacher"]
