"""Gradient descent on a loss over the pool: what most unlearning methods are, but for the loss."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from jax_unlearn import functional
from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Examples,
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
    pool_rows,
    split_variables,
    with_params,
)
from jax_unlearn.methods.gradients import decay_towards_start, widened
from jax_unlearn.methods.reinit import reinit_linear_layers

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "cosine_by_epoch", "step", "triangle_by_epoch")

_NETWORK = 0x6E657477
"""What a step's key is folded with for the network's own randomness."""

OptimizerFactory = Callable[[float], optax.GradientTransformation]
"""Makes an optax optimizer of a learning rate, as ``optax.adam`` does."""

Schedule = Callable[[jax.Array], jax.Array]
"""A multiplier of the learning rate by the number of the update, as optax's schedules are."""


class Forward:
    """The network at the weights that are being changed, for one or several forward passes.

    Each pass sees the statistics (BatchNorm's running ones) that the pass before left behind. It
    lives while a step is traced, and no longer.

    Attributes:
      model: the network.
      variables: its weights, with the statistics after the passes made so far.
      train: whether passes are in train mode where they do not say otherwise.
      key: randomness of all passes; each draws numbers of its own (dropout).
    """

    def __init__(
        self, model: Model, variables: Variables, *, train: bool, key: chex.PRNGKey | None
    ):
        self.model, self.variables, self.train, self.key = model, variables, train, key
        self._passes = 0

    def next_key(self) -> chex.PRNGKey | None:
        """Randomness of the pass that follows; None for a network that draws nothing."""
        if not self.model.takes_key or self.key is None:
            return None
        self._passes += 1
        return jax.random.fold_in(self.key, self._passes)

    @property
    def params(self) -> Any:
        """The weights that are trained: what a penalty on them is computed from."""
        return split_variables(self.variables)[0]

    def __call__(self, batch: Batch, *, train: bool | None = None) -> jax.Array:
        """Logits float32 [B, K] of a batch, whose rows of weight 0 are padding.

        Args:
          batch: what to show.
          train: whether BatchNorm uses the batch's statistics and updates its running ones, and
            dropout drops; None takes the method's ``train_mode``.
        """
        train = self.train if train is None else train
        logits, self.variables = self.model.forward(
            self.variables, batch.image, train=train, weight=batch.weight, key=self.next_key()
        )
        return logits

    def as_function(self, batch: Batch) -> Callable[[jax.Array], jax.Array]:
        """The network as a function of images [B, H, W, C] alone, for gradients in the input.

        What its passes do to the statistics is dropped. All of them draw the same random numbers:
        it is one function.
        """
        model, variables, train, key = self.model, self.variables, self.train, self.next_key()

        def logits_fn(images: jax.Array) -> jax.Array:
            weight = batch.weight
            return model.forward(variables, images, train=train, weight=weight, key=key)[0]

        return logits_fn


class DescentState(NamedTuple):
    """State of a method that descends a loss.

    Attributes:
      variables: the weights being changed.
      opt_state: the optimizer's moments, float32 where weights are narrower.
      extra: what else a method keeps, such as teachers or a mask.
    """

    variables: Variables
    opt_state: optax.OptState
    extra: Any = ()


def _check_roles(cls: type) -> None:
    """Raise InputError where a method declares ``roles`` that :meth:`Optimized.pool` lacks."""
    roles = cls.__dict__.get("roles", (RETAIN, FORGET))
    known = isinstance(roles, tuple) and roles and set(roles) <= {RETAIN, FORGET}
    if not known and "pool" not in cls.__dict__:
        raise InputError(
            f"roles={roles!r}: expected a tuple of RETAIN and FORGET; or give {cls.__name__} its "
            "own pool"
        )


class Optimized(Unlearner):
    """Minimise a loss; subclasses give the losses, the pool and the number of steps.

    Attributes:
      learning_rate: peak rate, >= 0.
      weight_decay: for ``'sgd'`` and ``'adam'`` the coefficient of an L2 term added to the gradient
        (as in PyTorch), for ``'adamw'`` decoupled; acts on every parameter.
      decay_towards: ``'zero'``, or ``'start'``: the weights from which the method sets out.
      momentum: of ``'sgd'``; heavy ball without dampening.
      optimizer: ``'sgd'``, ``'adam'`` or ``'adamw'`` (betas 0.9 and 0.999, eps 1e-8); or a function
        from the learning rate to an optax optimizer, such as ``optax.lion``, to which
        ``weight_decay`` and ``momentum`` do not apply.
      schedule: ``'constant'``; ``'cosine'`` to zero, step by step; ``'cosine_by_epoch'``, from the
        full rate, one rate an epoch; ``'triangle_by_epoch'``: up and down in even steps, one rate
        an epoch; ``'step'``: linear warm-up, then a tenth at 60 % and again at 80 % of all steps;
        or an optax schedule, a function from the number of the update to a multiplier of the
        learning rate.
      warmup_epochs: length of the ``'step'`` schedule's warm-up.
      train_mode: whether BatchNorm uses the batch's statistics and updates its running ones, and
        dropout drops.
      augment: whether retain and forget rows are augmented, as the problem says.
      reinit_linear: whether linear layers are re-initialised before the first step; arXiv
        2405.15495 does so for some methods when a whole class or sub-class is forgotten.
    """

    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    decay_towards: str = "zero"
    momentum: float = 0.9
    optimizer: str | OptimizerFactory = "sgd"
    schedule: str | Schedule = "constant"
    warmup_epochs: float = 0.0
    train_mode: bool = True
    augment: bool = True
    reinit_linear: bool = False

    roles: ClassVar[tuple[int, ...]] = (RETAIN, FORGET)
    """Which rows are shown, in the order in which they lie in the pool."""

    def __init_subclass__(cls, **options: Any):
        _check_roles(cls)
        if "roles" in cls.__dict__ and "needs_retain" not in cls.__dict__:
            cls.needs_retain = RETAIN in cls.roles
        super().__init_subclass__(**options)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("learning_rate", self.learning_rate, low=0)
        check_number("weight_decay", self.weight_decay, low=0)
        check_choice("decay_towards", self.decay_towards, ("zero", "start"))
        check_number("momentum", self.momentum, low=0, high=1)
        check_number("warmup_epochs", self.warmup_epochs, low=0)
        if not callable(self.optimizer):
            check_choice("optimizer", self.optimizer, OPTIMIZERS)
        if not callable(self.schedule):
            check_choice("schedule", self.schedule, SCHEDULES)

    def losses(self, logits: jax.Array, batch: Batch, extra: Any, info: StepInfo) -> jax.Array:
        """Loss of every row; the step minimises its mean over the rows that are not padding.

        The default is cross-entropy.

        Args:
          logits: float32 [B, K] of the weights that are being changed.
          batch: images, labels, roles and further leaves of the rows.
          extra: what :meth:`extra` made.
          info: step, epoch and this step's key.

        Returns:
          float32 [B].
        """
        del extra, info
        return functional.cross_entropy(logits, batch.label)

    def loss(
        self, forward: Forward, batch: Batch, extra: Any, info: StepInfo
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Loss of a batch and float32 scalars worth recording beside it.

        The default is one forward pass and the mean of :meth:`losses`. To be replaced where that
        does not do: several forward passes, penalties on weights, means over parts of a batch.

        Args:
          forward: the network at the weights that are being changed; ``forward(batch)`` are logits.
          batch: the rows of this step.
          extra: what :meth:`extra` made.
          info: step, epoch and this step's key.
        """
        losses = self.losses(forward(batch), batch, extra, info)
        if jnp.shape(losses) != batch.label.shape:
            raise InputError(
                f"losses={type(self).__name__}.losses: returns shape {jnp.shape(losses)}: expected "
                f"{batch.label.shape}, a loss for each row of the batch; the step takes the mean"
            )
        return functional.weighted_mean(losses, batch.weight), {}

    def extra(self, key: chex.PRNGKey, problem: Problem) -> Any:
        """What the state carries besides weights and moments, such as a teacher: a pytree."""
        del key, problem
        return ()

    def start(self, key: chex.PRNGKey, problem: Problem) -> Variables:
        """The weights from which the method sets out."""
        if self.reinit_linear:
            return reinit_linear_layers(key, problem.variables)
        return problem.variables

    def transform(
        self, optimizer: optax.GradientTransformation, extra: Any
    ) -> optax.GradientTransformation:
        """Compose the optimizer with what masks, clips or changes gradients and updates.

        The optimizer gives a direction, which the learning rate scales afterwards and the step
        subtracts. Transformations that take extra arguments get ``batch`` and ``info``.

        Args:
          optimizer: what :attr:`optimizer` names.
          extra: what :meth:`extra` made.
        """
        del extra
        return optimizer

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """The rows of every role in ``roles``, each with its own label."""
        del key
        pools = []
        for role in self.roles:
            name = "forget" if role == FORGET else "retain"
            examples = needs_examples(name, getattr(problem, name))
            pools.append(pool_rows(examples, role, augment=self.augment))
        return concatenate_pools(*pools) if len(pools) > 1 else pools[0]

    def rate(self, info: StepInfo) -> jax.Array:
        """Learning rate of this step."""
        return self.learning_rate * self.multiplier(info)

    def multiplier(self, info: StepInfo) -> jax.Array:
        """What the peak rate is multiplied by in this step: the schedule's value."""
        if callable(self.schedule):
            return jnp.asarray(self.schedule(info.step), float)
        if self.schedule == "cosine":
            return functional.cosine(info.step, info.steps)
        if self.schedule == "cosine_by_epoch":
            return functional.cosine_by_epoch(info.epoch, info.epochs)
        if self.schedule == "triangle_by_epoch":
            return functional.triangle_by_epoch(info.epoch, info.epochs)
        if self.schedule == "step":
            steps, epochs = (jnp.asarray(n, float) for n in (info.steps, info.epochs))
            warmup = self.warmup_epochs * steps / epochs
            warmup_steps = jnp.round(warmup).astype(jnp.int32)
            return functional.step_decay(info.step, info.steps, warmup_steps)
        return functional.constant(info.step, info.steps)

    def _direction(self, extra: Any) -> optax.GradientTransformationExtraArgs:
        """What turns gradients into the direction that the rate scales."""
        to_start = self.decay_towards == "start"
        decay = (decay_towards_start if to_start else optax.add_decayed_weights)(self.weight_decay)
        if callable(self.optimizer):
            # Its rate and sign are in it already: the step adds the schedule, and subtracts.
            optimizer = optax.chain(self.optimizer(self.learning_rate), optax.scale(-1.0))
        elif self.optimizer == "adamw":
            optimizer = optax.chain(optax.scale_by_adam(), decay)
        elif self.optimizer == "adam":
            optimizer = optax.chain(decay, optax.scale_by_adam())
        else:
            optimizer = optax.chain(decay, optax.trace(self.momentum))
        return optax.with_extra_args_support(self.transform(optimizer, extra))

    def init(self, key: chex.PRNGKey, problem: Problem) -> DescentState:
        """Build the state from the original weights."""
        start_key, extra_key = jax.random.split(key)
        variables, extra = self.start(start_key, problem), self.extra(extra_key, problem)
        return DescentState(variables, self.fresh_moments(variables, extra), extra)

    def fresh_moments(self, variables: Variables, extra: Any) -> optax.OptState:
        """The optimizer's state before its first update of these weights."""
        return self._direction(extra).init(widened(split_variables(variables)[0]))

    def step(
        self, model: Model, state: DescentState, batch: Batch, info: StepInfo
    ) -> tuple[DescentState, dict[str, jax.Array]]:
        """One update of the weights."""
        params, _ = split_variables(state.variables)

        # Far from the small numbers by which a method may fold or split the step's key itself.
        key = jax.random.fold_in(info.key, _NETWORK) if model.takes_key else None

        def objective(params: Any) -> tuple[jax.Array, tuple[Variables, dict[str, jax.Array]]]:
            variables = with_params(state.variables, params)
            forward = Forward(model, variables, train=self.train_mode, key=key)
            loss, scalars = self.loss(forward, batch, state.extra, info)
            return loss, (forward.variables, {"loss": loss, **scalars})

        gradients, (variables, scalars) = jax.grad(objective, has_aux=True)(params)
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam raises a float to a whole number
            updates, opt_state = self._direction(state.extra).update(
                widened(gradients), state.opt_state, widened(params), batch=batch, info=info
            )
        rate = self.multiplier(info) if callable(self.optimizer) else self.rate(info)
        params = jax.tree.map(lambda p, u: p - (rate * u).astype(p.dtype), params, updates)
        variables = as_before(with_params(variables, params), state.variables)
        return DescentState(variables, opt_state, state.extra), scalars


class Descent(Optimized):
    """Minimise a loss in a number of passes over a pool; by default cross-entropy on all data.

    Most methods are this class with other rows and losses::

        class GradientAscent(Descent):
            roles = (FORGET,)

            def losses(self, logits, batch, extra, info):
                return -cross_entropy(logits, batch.label)

    Attributes:
      epochs: passes over the pool.
    """

    epochs: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("epochs", self.epochs, low=1, whole=True)

    @property
    def num_epochs(self) -> int:
        """Passes over the pool."""
        return self.epochs


def as_before(tree: Any, before: Any) -> Any:
    """Leaves in the types that they had: a network may compute its statistics in another one."""
    return jax.tree.map(lambda new, old: new.astype(old.dtype), tree, before)


def needs_examples(name: str, examples: Examples | None) -> Examples:
    """The examples a method works on, or an InputError where it lacks them."""
    if examples is None or len(examples.label) == 0:
        given = "None" if examples is None else "[]"
        raise InputError(f"{name}={given}: this method needs {name} examples; pass a non-empty set")
    return examples
