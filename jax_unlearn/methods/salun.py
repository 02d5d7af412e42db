"""SalUn: random relabelling of which only the weights that matter to the forget set take part."""

from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import optax

from jax_unlearn import functional
from jax_unlearn.core import (
    Batch,
    Model,
    Problem,
    SearchRange,
    StepInfo,
    check_choice,
    check_number,
    split_variables,
    with_params,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import DescentState, needs_examples
from jax_unlearn.methods.edit import EvalLoss, as_rows, over_devices
from jax_unlearn.methods.gradients import keep_where
from jax_unlearn.methods.random_label import RandomLabel

MASKINGS = ("update", "gradient", "proximal")


class SalUn(RandomLabel):
    """Random relabelling masked to the weights that are most salient for the forget set.

    Saliency of a weight is the absolute value of the sum, over batches of the forget set, of the
    gradient of the mean cross-entropy, in eval mode; all weights are ranked together.

    Two published forms of masking exist. ``masking='update'`` (default, the corrected release of
    2026) masks what the optimizer finally applies: an unmasked weight keeps its value exactly.
    ``masking='gradient'`` (earlier releases, SFR-on's comparisons, and the SalUn of arXiv
    2405.15495) masks the gradient only, so that weight decay still moves unmasked weights.

    ``masking='proximal'`` is the paper's form without a mask: after each step all weights are
    pulled back towards the original's, by as much as it takes for a share of them to return. That
    share falls evenly from ``1 - keep`` to 0 at the last step. The release sets out anew from every
    epoch's first weights, and counts steps so that the share stays too high.

    Labels and stream are those of :class:`~jax_unlearn.methods.random_label.RandomLabel`.

    Attributes:
      keep: share of the weights that may change, in [0, 1]; with ``'proximal'`` at first.
      masking: ``'update'``, ``'gradient'`` or ``'proximal'``.

    Source: Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in
    Both Image Classification and Generation", ICLR 2024, arXiv 2310.12508.
    """

    keep: float = 0.5
    masking: str = "update"

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 3e-1),
        "keep": SearchRange("float", 0.05, 1.0),
    }
    title = "SalUn"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("keep", self.keep, low=0, high=1)
        check_choice("masking", self.masking, MASKINGS)

    def extra(self, key: chex.PRNGKey, problem: Problem) -> Any:
        """The mask, a pytree of bool like the parameters, True where a weight may change.

        With ``'proximal'`` the original's parameters instead.
        """
        del key
        if self.masking == "proximal":
            return split_variables(problem.variables)[0]
        return functional.top_share_mask(self.saliency(problem), self.keep)

    def saliency(self, problem: Problem) -> Any:
        """Saliency of every weight, a pytree like the parameters, divided by how many batches."""
        mean = functional.batch_importance(
            EvalLoss(problem.model, functional.cross_entropy),
            problem.variables,
            as_rows(needs_examples("forget", problem.forget)),
            self.batch_size,
            measure=_signed,
            **over_devices(problem),
        )
        return jax.tree.map(jnp.abs, mean)

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        """Gradients, and with ``'update'`` also what the optimizer makes of them, are masked."""
        if self.masking == "proximal":
            return optimizer
        mask = keep_where(extra)
        after = mask if self.masking == "update" else optax.identity()
        return optax.chain(mask, optimizer, after)

    def step(
        self, model: Model, state: DescentState, batch: Batch, info: StepInfo
    ) -> tuple[DescentState, dict[str, jax.Array]]:
        """One update of the weights, which ``'proximal'`` pulls back."""
        state, scalars = super().step(model, state, batch, info)
        if self.masking == "proximal":
            params, _ = split_variables(state.variables)
            params = functional.soft_threshold(params, state.extra, self.returning(info))
            state = state._replace(variables=with_params(state.variables, params))
        return state, scalars

    def returning(self, info: StepInfo) -> jax.Array:
        """The share of the weights that ``'proximal'`` returns to the original's at a step."""
        return (1 - self.keep) * (1 - (info.step + 1) / info.steps)


def _signed(gradient: jax.Array) -> jax.Array:
    return gradient


salun = constructor(SalUn)
