"""NegMerge: fine-tune several models on the forget set and go against what they agree on."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    Batch,
    Model,
    Pool,
    Problem,
    SearchRange,
    StepInfo,
    Variables,
    check_number,
    shuffled_rows,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.methods.constructors import constructor
from jax_unlearn.methods.descent import Descent, DescentState
from jax_unlearn.methods.turns import in_turn


class NegMerge(Descent):
    """Subtract from the original the merged task vectors of models fine-tuned on the forget set.

    A task vector is what fine-tuning changed. Of several it keeps, at their mean, the entries whose
    sign all share. The models learn side by side: one program steps all of them, each with a rate
    of its own, and the rows in an order and with augmentation of its own.

    The authors vary augmentation, rates and more from model to model, as one would search them, and
    choose the coefficient of 21 by accuracy on control data, of which at least 95 % must stay: here
    it is a hyperparameter. Their code is of CLIP's image encoders alone; how they fine-tuned
    ResNets is not known to us, and the defaults are ours.

    Attributes:
      models: how many are fine-tuned; with one it is plain negation of its task vector.
      spread: the models' rates lie evenly on a log scale from ``learning_rate`` / ``spread`` to
        ``learning_rate`` * ``spread``; >= 1.
      coefficient: how far to go against the merged vector, >= 0.
      merge_statistics: whether BatchNorm's running statistics go the same way, as whatever is a
        float does in the released code; a variance may then become negative. Otherwise they stay
        the original's.

    Source: Kim, Han, Choe, "NegMerge: Sign-Consensual Weight Merging for Machine Unlearning", ICML
    2025, arXiv 2410.05583.
    """

    models: int = static(5)
    spread: float = 3.0
    coefficient: float = 1.0
    merge_statistics: bool = False

    roles = (FORGET,)
    search_space: ClassVar = {
        "learning_rate": SearchRange("log", 1e-5, 1e-1),
        "coefficient": SearchRange("log", 0.05, 20.0),
    }
    title = "NegMerge"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("models", self.models, low=1, whole=True)
        check_number("spread", self.spread, low=1)
        check_number("coefficient", self.coefficient, low=0)

    def init(self, key: chex.PRNGKey, problem: Problem) -> DescentState:
        """All models at the original's weights, and those once more, to go back from."""
        one = super().init(key, problem)

        def repeat(x: jax.Array) -> jax.Array:
            return jnp.broadcast_to(x, (self.models, *jnp.shape(x)))

        variables, moments = jax.tree.map(repeat, (one.variables, one.opt_state))
        return DescentState(variables, moments, problem.variables)

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """Rows of each step: int32 [steps, batch_size * models], one of each model in turn."""
        key, rows = jax.random.fold_in(key, epoch), np.arange(pool.label.shape[0])
        orders = [
            shuffled_rows(k, rows, self.batch_size) for k in jax.random.split(key, self.models)
        ]
        return jnp.asarray(in_turn(*orders))

    def step(
        self, model: Model, state: DescentState, batch: Batch, info: StepInfo
    ) -> tuple[DescentState, dict[str, jax.Array]]:
        """One update of every model; what is reported is the mean over them."""
        ends = np.linspace(-1, 1, self.models) if self.models > 1 else np.zeros(1)
        rates = self.learning_rate * jnp.asarray(self.spread) ** jnp.asarray(ends)
        own = jax.tree.map(self._in_turn, batch)

        def update(models: Any, given: tuple[Any, ...]) -> tuple[Any, Any]:
            number, rate, key, batch = given
            method = dataclasses.replace(self, learning_rate=rate)
            before = DescentState(*jax.tree.map(lambda x: x[number], models))
            now = info._replace(key=key)
            after, scalars = super(NegMerge, method).step(model, before, batch, now)
            changed = (after.variables, after.opt_state)
            # In its place: what a scan stacks would be copied into the donated state afterwards.
            return jax.tree.map(lambda x, new: x.at[number].set(new), models, changed), scalars

        keys = jax.random.split(info.key, self.models)
        # One after another: all at once their weight gradients would be convolutions of groups,
        # with windows as large as the images, for which accelerators have no fast kernels.
        given = (jnp.arange(self.models), rates, keys, own)
        models, scalars = jax.lax.scan(update, (state.variables, state.opt_state), given)
        means = {name: values.mean() for name, values in scalars.items()}
        return DescentState(*models, state.extra), means

    def _in_turn(self, x: jax.Array) -> jax.Array:
        """[batch_size * models, ...], and padding behind it, as [models, batch_size, ...]."""
        of_all = x[: self.batch_size * self.models].reshape(-1, self.models, *x.shape[1:])
        return jnp.moveaxis(of_all, 1, 0)

    def finish(self, state: DescentState, history: Sequence[Mapping[str, float]]) -> Variables:
        """The original minus the merged vector."""
        del history
        start, rest = split_variables(state.extra)
        tuned, tuned_rest = split_variables(state.variables)
        variables = with_params(state.extra, self.negated(start, tuned))
        if rest and self.merge_statistics:
            return {**variables, **self.negated(rest, tuned_rest)}
        return variables

    def negated(self, start: Any, tuned: Any) -> Any:
        """Go from a tree against what its leaves became in all models, arrays [models, ...]."""

        def go(start: jax.Array, tuned: jax.Array) -> jax.Array:
            if not jnp.issubdtype(start.dtype, jnp.inexact):
                return start
            return functional.negate_task_vector(
                start, functional.sign_consensus(tuned - start[None]), self.coefficient
            )

        return jax.tree.map(go, start, tuned)


negmerge = constructor(NegMerge)
