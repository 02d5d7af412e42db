"""Gradient descent on a loss over the pool: what most unlearning methods are, but for the loss."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    InputError,
    Model,
    Pool,
    Problem,
    StepInfo,
    Unlearner,
    Variables,
    check_choice,
    check_number,
    concatenate_pools,
    method,
    pool_rows,
    split_variables,
    static,
    with_params,
)
from jax_unlearn.methods.reinit import reinit_linear_layers

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step")


class DescentState(NamedTuple):
    """State of a method that descends a loss.

    Attributes:
      variables: the weights being changed.
      opt_state: the optimizer's moments.
      extra: what else a method keeps, such as teachers or a mask.
    """

    variables: Variables
    opt_state: optax.OptState
    extra: Any = ()


@method
class Optimized(Unlearner):
    """Minimise a loss with SGD, Adam or AdamW; subclasses give loss, pool and number of steps.

    Attributes:
      learning_rate: peak rate, >= 0.
      weight_decay: for ``sgd`` and ``adam`` the coefficient of an L2 term added to the gradient (as
        in PyTorch), for ``adamw`` decoupled; acts on every parameter.
      momentum: of ``sgd``; heavy ball without dampening.
      optimizer: ``'sgd'``, ``'adam'`` or ``'adamw'`` (betas 0.9 and 0.999, eps 1e-8).
      schedule: ``'constant'``; ``'cosine'`` to zero, step by step; or ``'step'``: linear warm-up,
        then a tenth at 60 % and again at 80 % of all steps.
      warmup_epochs: length of the ``'step'`` schedule's warm-up.
      train_mode: whether BatchNorm uses the batch's statistics and updates its running ones.
      augment: whether retain and forget rows are cropped and flipped.
      reinit_linear: whether linear layers are re-initialised before the first step; arXiv
        2405.15495 does so for some methods when a whole class or sub-class is forgotten.
    """

    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    momentum: float = 0.9
    optimizer: str = static("sgd")
    schedule: str = static("constant")
    warmup_epochs: float = 0.0
    train_mode: bool = static(True)
    augment: bool = static(True)
    reinit_linear: bool = static(False)

    def __post_init__(self):
        check_number("batch_size", self.batch_size, low=1, whole=True)
        check_number("learning_rate", self.learning_rate, low=0)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("momentum", self.momentum, low=0, high=1)
        check_number("warmup_epochs", self.warmup_epochs, low=0)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)

    def direction(self) -> optax.GradientTransformation:
        """The optimizer without its rate: it gives the direction that the rate scales."""
        if self.optimizer == "adamw":
            return optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(self.weight_decay))
        scale = optax.scale_by_adam() if self.optimizer == "adam" else optax.trace(self.momentum)
        return optax.chain(optax.add_decayed_weights(self.weight_decay), scale)

    def rate(self, step_info: StepInfo) -> jax.Array:
        """Learning rate of this step."""
        if self.schedule == "cosine":
            multiplier = functional.cosine(step_info.step, step_info.steps)
        elif self.schedule == "step":
            warmup = self.warmup_epochs * step_info.steps / step_info.epochs
            multiplier = functional.step_decay(
                step_info.step, step_info.steps, jnp.round(warmup).astype(jnp.int32)
            )
        else:
            multiplier = functional.constant(step_info.step, step_info.steps)
        return self.learning_rate * multiplier

    def start(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The weights from which the method sets out."""
        if self.reinit_linear:
            return reinit_linear_layers(key, problem.variables)
        return problem.variables

    def extra(self, key: chex.PRNGKey, problem: Problem) -> Any:
        """What the state carries besides weights and moments."""
        del key, problem
        return ()

    def init(self, key: chex.PRNGKey, problem: Problem) -> DescentState:
        """Build the state from the original weights."""
        start_key, extra_key = jax.random.split(key)
        variables = self.start(start_key, problem)
        opt_state = self.direction().init(split_variables(variables)[0])
        return DescentState(variables, opt_state, self.extra(extra_key, problem))

    def loss(
        self,
        model: Model,
        key: chex.PRNGKey,
        state: DescentState,
        variables: Variables,
        batch: Batch,
        step_info: StepInfo,
    ) -> tuple[jax.Array, tuple[Variables, dict[str, jax.Array]]]:
        """Loss of ``variables`` on a batch, the variables after the forward pass, and scalars.

        The default is mean cross-entropy.
        """
        del key, state, step_info
        logits, variables = model.forward(
            variables, batch.image, train=self.train_mode, weight=batch.weight
        )
        loss = functional.weighted_mean(functional.cross_entropy(logits, batch.label), batch.weight)
        return loss, (variables, {"loss": loss})

    def edit_gradients(self, state: DescentState, gradients: Any) -> Any:
        """Change the gradients before the optimizer sees them."""
        del state
        return gradients

    def step(
        self,
        model: Model,
        key: chex.PRNGKey,
        state: DescentState,
        batch: Batch,
        step_info: StepInfo,
    ) -> tuple[DescentState, dict[str, jax.Array]]:
        """One update of the weights."""
        params, _ = split_variables(state.variables)

        def objective(params):
            variables = with_params(state.variables, params)
            return self.loss(model, key, state, variables, batch, step_info)

        gradients, (variables, info) = jax.grad(objective, has_aux=True)(params)
        gradients = self.edit_gradients(state, gradients)
        updates, opt_state = self.direction().update(gradients, state.opt_state, params)
        rate = self.rate(step_info)
        params = jax.tree.map(lambda p, u: p - (rate * u).astype(p.dtype), params, updates)
        return DescentState(with_params(variables, params), opt_state, state.extra), info


@method
class Descent(Optimized):
    """Minimise a loss in a number of passes over a pool; by default cross-entropy on all data.

    Attributes:
      epochs: passes over the pool.
    """

    epochs: int = 10

    def __post_init__(self):
        super().__post_init__()
        check_number("epochs", self.epochs, low=1, whole=True)

    @property
    def num_epochs(self) -> int:
        """Passes over the pool."""
        return self.epochs

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """Retain rows, then forget rows, each with its own label."""
        del key
        needs_examples("forget", problem.forget)
        return concatenate_pools(
            pool_rows(problem.retain, RETAIN, augment=self.augment),
            pool_rows(problem.forget, FORGET, augment=self.augment),
        )


def needs_examples(name: str, examples: Any) -> None:
    """Raise InputError where a method lacks the examples it works on."""
    if examples is None or len(examples.label) == 0:
        raise InputError(f"{name}=None: this method needs {name} examples; pass a non-empty set")
