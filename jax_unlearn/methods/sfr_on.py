"""SFR-on: rare steps of ascent on the forget set, masked by Fisher information, amid repair."""

import functools
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
    check_number,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import DescentState, Forward, Schedule, needs_examples
from jax_unlearn.methods.edit import EvalLoss, as_rows, over_devices
from jax_unlearn.methods.gradients import clip_to_norm, keep_where
from jax_unlearn.methods.rounds import Rounds, is_forget


class SFROn(Rounds):
    """Saliency-forgetting in the remain-preserving manifold, online: SFRon.

    Every iteration is a step of cross-entropy on a retain batch; every ``forget_every``-th begins
    with a step of ascent on a forget batch, by the same optimizer, whose momentum and decay both
    kinds share. The ascent weighs examples by 1 / loss^``focus``, is scaled by ``alpha`` and half a
    cosine that falls over the run, and moves only weights of which the Fisher information of the
    forget set is at least ``threshold`` times that of the retain set, both taken once at the start
    in eval mode (of batches, :func:`jax_unlearn.functional.batch_importance`). Its gradient is
    clipped to the norm ``max_norm``. Momentum and decay still move the masked weights.

    The paper's fast and slow weights: an iteration leaves (1 - ``average``) times the weights that
    it began with plus ``average`` times those it made. The released default of 1 averages nothing,
    an average spans one iteration only, and BatchNorm's statistics take no part in it.

    Attributes:
      alpha: factor of the ascent's loss, >= 0.
      focus: the paper's lambda, >= 0: the larger, the less do examples of large loss count.
      threshold: the paper's gamma, >= 0; 0 masks nothing.
      max_norm: largest norm of the ascent's gradient, > 0.
      average: share of the fast weights in what an iteration leaves, in [0, 1].
      schedule: where it counts epochs, these are iterations.

    Source: Huang, Cheng, Zheng et al., "Unified Gradient-Based Machine Unlearning with Remain
    Geometry Enhancement", NeurIPS 2024, arXiv 2409.19732; settings of CIFAR-10, random 10 %.
    """

    batch_size: int = static(128)
    schedule: str | Schedule = "cosine_by_epoch"
    alpha: float = 25.0
    focus: float = 0.5
    threshold: float = 1.0
    max_norm: float = 7.0
    average: float = 1.0

    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-4, 0.3),
        "alpha": SearchRange("log", 0.1, 100.0),
    }
    title = "SFR-on"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alpha", "focus", "threshold"):
            check_number(name, getattr(self, name), low=0)
        check_number("max_norm", self.max_norm, above=0)
        check_number("average", self.average, low=0, high=1)

    def extra(self, key: chex.PRNGKey, problem: Problem) -> dict[str, Any]:
        """The mask, and the weights with which the iteration under way began."""
        del key
        params, _ = split_variables(problem.variables)
        return {"mask": self.mask(problem), "slow": params}

    def mask(self, problem: Problem) -> Any:
        """A pytree of bool like the parameters, True where the ascent may move a weight."""
        loss = EvalLoss(problem.model, functional.cross_entropy)
        of_forget, of_retain = (
            functional.batch_importance(
                loss,
                problem.variables,
                as_rows(needs_examples(name, getattr(problem, name))),
                self.batch_size,
                **over_devices(problem),
            )
            for name in ("forget", "retain")
        )
        return functional.ratio_mask(of_forget, of_retain, self.threshold)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Cross-entropy of retain rows, or minus the weighted one of forget rows."""
        del extra
        losses = functional.cross_entropy(forward(batch), batch.label)
        mean = functional.weighted_mean(losses, batch.weight)
        count = functional.focal_weights(losses, batch.weight, self.focus)
        ascent = self.alpha * functional.cosine_by_epoch(info.epoch, info.epochs)
        weighed = -ascent.astype(mean.dtype) * functional.weighted_mean(losses, count)
        return jnp.where(is_forget(batch), weighed, mean), {}

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        """Gradients of the ascent are masked and then clipped."""
        ascent = optax.chain(keep_where(extra["mask"]), clip_to_norm(self.max_norm))

        def update(
            gradients: Any, state: Any, params: Any = None, *, batch: Batch, **given: Any
        ) -> Any:
            del given
            changed, state = ascent.update(gradients, state, params)
            choose = functools.partial(jnp.where, is_forget(batch))
            return jax.tree.map(choose, changed, gradients), state

        changes = optax.GradientTransformationExtraArgs(ascent.init, update)
        return optax.chain(changes, optimizer)

    def step(
        self, model: Model, state: DescentState, batch: Batch, info: StepInfo
    ) -> tuple[DescentState, dict[str, jax.Array]]:
        """One update; after a retain step the iteration ends, and with it its average."""
        iteration, place = self.place(info)
        info = info._replace(epoch=iteration, epochs=jnp.asarray(self.iterations, jnp.int32))
        before, _ = split_variables(state.variables)
        # A round's first retain step goes on with the iteration that its forget step began.
        slow = jax.tree.map(lambda s, b: jnp.where(place == 1, s, b), state.extra["slow"], before)
        state, scalars = super().step(model, state, batch, info)
        fast, _ = split_variables(state.variables)
        share = jnp.where(place == 0, 1.0, self.average)
        params = jax.tree.map(
            lambda s, f: ((1 - share) * s + share * f).astype(f.dtype), slow, fast
        )
        variables = with_params(state.variables, params)
        return state._replace(variables=variables, extra={**state.extra, "slow": slow}), scalars


sfr_on = constructor(SFROn)
