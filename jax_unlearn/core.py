"""The words of the library: every other file speaks in these.

A :class:`Model` is a pair of pure functions. A :class:`Problem` is what an unlearning method may
see. An :class:`Unlearner` is the method: it lays out a :class:`Pool` of rows on the device, says
in which order they are shown, and gives one pure update step. The engine owns the loop.
"""

import dataclasses
import difflib
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.lazy import concatenate_images

Variables = Any
"""Any pytree. A mapping with the key ``'params'`` is trained under that key only, and its other
entries (``'batch_stats'``) are state that ``apply`` updates; any other pytree is trained whole."""

State = Any
"""What a method carries from step to step: a pytree of arrays, with a field ``variables``."""

RETAIN, FORGET, HYBRID = 0, 1, 2
"""Roles of a pool's rows: a retain example, a forget example, a blend of both (NatMU)."""


class InputError(ValueError):
    """A value that a user gave is wrong: one line with the argument, its value and the remedy."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A classifier as two pure functions; any network fits behind it.

    Attributes:
      init: ``init(key) -> variables``, a fresh set of weights.
      apply: ``apply(variables, images, *, train) -> (logits, variables)`` with images float32
        [B, H, W, C] in [0, 1] and logits float32 [B, K]. Normalisation is part of the model.
        ``train=False`` must treat every example independently and return ``variables`` unchanged.
        A network whose layers mix the examples of a batch (BatchNorm) also takes the keyword
        ``weight``, float32 [B] or None: rows of weight 0 are padding and must stay out of the mix.
      name: shown in tables and error messages.
    """

    init: Callable[[chex.PRNGKey], Variables]
    apply: Callable[..., tuple[jax.Array, Variables]]
    name: str = "model"

    @functools.cached_property
    def takes_weight(self) -> bool:
        """Whether ``apply`` accepts the keyword ``weight``."""
        return "weight" in inspect.signature(self.apply).parameters

    def forward(
        self, variables: Variables, images: jax.Array, *, train: bool, weight: jax.Array
    ) -> tuple[jax.Array, Variables]:
        """Apply to a batch of which the rows with ``weight`` 0 are padding.

        Warns, while tracing, where padding cannot be kept out of a state that training updates.
        """
        if train and not self.takes_weight and jax.tree.leaves(split_variables(variables)[1]):
            warnings.warn(
                f"model={self.name!r}: it updates a state but apply takes no weight: rows that "
                "pad a batch enter batch statistics, and results depend on the number of devices; "
                "expected the keyword weight (see jax_unlearn.Model)",
                stacklevel=2,
            )
        masked = {"weight": weight} if train and self.takes_weight else {}
        return self.apply(variables, images, train=train, **masked)

    def logits(self, variables: Variables, images: jax.Array) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in eval mode."""
        return self.apply(variables, images, train=False)[0]


def split_variables(variables: Variables) -> tuple[Any, Any]:
    """Split variables into what is trained and the rest (``{}`` where everything is trained)."""
    if isinstance(variables, Mapping) and "params" in variables:
        return variables["params"], {k: v for k, v in variables.items() if k != "params"}
    return variables, {}


def with_params(variables: Variables, params: Any) -> Variables:
    """Return the variables with the trained part replaced by ``params``."""
    if isinstance(variables, Mapping) and "params" in variables:
        return {**variables, "params": params}
    return params


class Examples(NamedTuple):
    """Labelled images.

    Attributes:
      image: uint8 [N, H, W, C]; or :class:`jax_unlearn.lazy.LazyImages`, which stay unread.
      label: int32 [N], in [0, num_classes).
      id: int64 [N], the dataset's own id of each example; a forget request names ids.
    """

    image: np.ndarray
    label: np.ndarray
    id: np.ndarray


class Outputs(NamedTuple):
    """What one model says about one set of examples.

    Attributes:
      logits: float32 [N, K].
      label: int32 [N].
      id: int64 [N].
    """

    logits: np.ndarray
    label: np.ndarray
    id: np.ndarray


class Predictions(NamedTuple):
    """All that the audit needs of one model; un-augmented images, eval mode.

    Attributes:
      forget: outputs on the forget set (training images).
      retain: outputs on the retain set (training images).
      test: outputs on the whole test set.
      test_forgotten: bool [T], True for test images of a class or sub-class that the request
        forgets as a whole; all False for a sample-wise request.
    """

    forget: Outputs
    retain: Outputs
    test: Outputs
    test_forgotten: np.ndarray


@dataclasses.dataclass(frozen=True)
class Problem:
    """What an unlearning method may see.

    Attributes:
      model: the network.
      variables: weights of the original model, trained on forget and retain examples together.
      forget: the examples to forget, or None while an original model is trained.
      retain: the remaining training examples, or None where the method must do without them.
      num_classes: number of outputs K.
      initial: the weights from which the original was trained; retraining starts there. None
        draws fresh ones.
      padding: pixels by which augmentation pads before it crops; 0 crops nothing.
      flip: whether augmentation flips images horizontally.
    """

    model: Model
    variables: Variables
    forget: Examples | None
    retain: Examples | None
    num_classes: int
    initial: Variables | None = None
    padding: int = 4
    flip: bool = True


class Pool(NamedTuple):
    """The rows that steps draw from; the engine lays them out on devices.

    Attributes:
      image: uint8 [M, H, W, C].
      label: int32 [M].
      role: int32 [M], one of RETAIN, FORGET, HYBRID.
      augment: bool [M], whether crop and flip apply to the row.
    """

    image: jax.Array | np.ndarray
    label: jax.Array | np.ndarray
    role: jax.Array | np.ndarray
    augment: jax.Array | np.ndarray


class Batch(NamedTuple):
    """One step's rows, augmented where the pool says so.

    Attributes:
      image: float32 [B, H, W, C] in [0, 1].
      label: int32 [B].
      role: int32 [B].
      weight: float32 [B], 1 for a row and 0 for padding.
    """

    image: jax.Array
    label: jax.Array
    role: jax.Array
    weight: jax.Array


class StepInfo(NamedTuple):
    """Where in the run a step stands; int32 scalars, traced, so a longer run compiles nothing.

    Attributes:
      step: number of this step, from 0.
      steps: number of steps planned.
      epoch: number of this epoch, from 0.
      epochs: number of epochs planned.
    """

    step: jax.Array
    steps: jax.Array
    epoch: jax.Array
    epochs: jax.Array


def pool_rows(examples: Examples, role: int, *, augment: bool) -> Pool:
    """Lay examples out as pool rows of one role, with their own labels."""
    n = len(examples.label)
    return Pool(
        image=examples.image,
        label=np.asarray(examples.label, np.int32),
        role=np.full(n, role, np.int32),
        augment=np.full(n, augment),
    )


def concatenate_pools(*pools: Pool) -> Pool:
    """Join pools row by row, in the order given, on the host; images not yet read stay unread."""
    images, *others = zip(*pools, strict=True)
    return Pool(concatenate_images(images), *(np.concatenate(parts) for parts in others))


def static(default: Any = dataclasses.MISSING) -> Any:
    """Declare a method's field as structure: part of the compiled program, never traced."""
    return dataclasses.field(default=default, metadata={"static": True})


_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(static,))
def method(cls: type[_T]) -> type[_T]:
    """Make a class an unlearning method: a frozen dataclass that is also a pytree.

    Fields are numbers that may be traced (a sweep over them compiles once) unless they are
    declared with :func:`static`.
    """
    cls = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    fields = dataclasses.fields(cls)
    traced = tuple(field.name for field in fields if not field.metadata.get("static"))
    fixed = tuple(field.name for field in fields if field.metadata.get("static"))

    def flatten_with_keys(instance):
        children = [(jax.tree_util.GetAttrKey(name), getattr(instance, name)) for name in traced]
        return children, tuple(getattr(instance, name) for name in fixed)

    def flatten(instance):
        return [getattr(instance, name) for name in traced], tuple(
            getattr(instance, name) for name in fixed
        )

    def unflatten(structure, leaves):
        # Not through __init__: JAX rebuilds trees with placeholders that no check should see.
        instance = object.__new__(cls)
        instance.__dict__.update(zip(traced, leaves, strict=True))
        instance.__dict__.update(zip(fixed, structure, strict=True))
        return instance

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def shuffled_rows(
    key: chex.PRNGKey,
    rows: jax.Array,
    batch_size: int,
    *,
    start: int = 0,
    steps: int | None = None,
) -> jax.Array:
    """Deal rows out in random order: int32 [steps, batch_size], every row once, -1 pads the end.

    Args:
      key: randomness of the order.
      rows: int [M], positions in the pool.
      batch_size: rows per step.
      start: number of steps to leave out at the front.
      steps: number of steps; None means one pass. More than a pass goes round again, each pass in
        an order of its own.
    """
    m = rows.shape[0]
    per_pass = -(-m // batch_size)
    end = start + (per_pass if steps is None else steps)
    first, last = start // per_pass, -(-end // per_pass)
    rows = rows.astype(jnp.int32)
    pad = jnp.full(per_pass * batch_size - m, -1, jnp.int32)
    dealt = [
        jnp.concatenate([jax.random.permutation(jax.random.fold_in(key, p), rows), pad])
        for p in range(first, last)
    ]
    dealt = jnp.concatenate(dealt).reshape(-1, batch_size)
    return dealt[start - first * per_pass : end - first * per_pass]


@method
class Unlearner:
    """An unlearning method as pure functions over pytrees; subclasses fill in ``step``.

    The engine calls ``init`` and ``pool`` once, then for every epoch ``order`` once and ``step``
    for each of its rows, then ``measure`` and ``stop``, and ``finish`` at the end. A method never
    loops over batches, never reads or writes files and never asks about devices.

    Attributes:
      batch_size: rows per step.
    """

    batch_size: int = static(128)

    needs_retain: ClassVar[bool] = True
    """Whether ``Problem.retain`` must be given."""

    @property
    def num_epochs(self) -> int:
        """How often ``order`` is asked for rows; 0 for a one-shot method."""
        return 0

    def init(self, key: chex.PRNGKey, problem: Problem) -> State:
        """Build the state; the place to edit weights and to make teachers and masks."""
        raise NotImplementedError

    def pool(self, key: chex.PRNGKey, problem: Problem) -> Pool:
        """Lay out the rows that steps draw from."""
        raise NotImplementedError

    def batch_indices(self, key: chex.PRNGKey, epoch: int, pool: Pool) -> jax.Array:
        """Rows of each step of an epoch: int32 [steps, batch]; -1 is padding.

        The key is the same in every epoch, so that an order may run on from one to the next.
        """
        key = jax.random.fold_in(key, epoch)
        return shuffled_rows(key, jnp.arange(pool.label.shape[0]), self.batch_size)

    def step(
        self, model: Model, key: chex.PRNGKey, state: State, batch: Batch, step_info: StepInfo
    ) -> tuple[State, dict[str, jax.Array]]:
        """One update: the new state and float32 scalars worth recording. Pure; jitted outside."""
        raise NotImplementedError

    def measure(self, model: Model, state: State, problem: Problem) -> dict[str, float]:
        """Quantities that ``stop`` looks at, taken before the first and after every epoch."""
        del model, state, problem
        return {}

    def stop(self, history: list[dict[str, float]]) -> bool:
        """Whether to end early; ``history[0]`` is before the first epoch, one entry per epoch."""
        del history
        return False

    def collapsed(self, history: list[dict[str, float]]) -> bool:
        """Whether the last entry shows a destroyed model; the engine then keeps the one before."""
        return not all(np.isfinite(value) for value in history[-1].values())

    def finish(self, state: State) -> Variables:
        """The unlearned weights."""
        return state.variables


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    above: float = -np.inf,
    whole: bool = False,
) -> None:
    """Raise InputError unless ``value`` is a finite number in range; traced values pass unseen.

    Args:
      name: the argument's name, for the message.
      value: what the user gave.
      low: smallest value allowed.
      high: largest value allowed.
      above: value that must be exceeded.
      whole: whether it must be an integer.
    """
    if isinstance(value, jax.core.Tracer):
        return
    if isinstance(value, jax.Array) and value.ndim == 0:
        value = value.item()
    numbers = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    number = isinstance(value, numbers) and not isinstance(value, bool)
    kind = "a whole number" if whole else "a number"
    limits = ((">=", low), (">", above), ("<=", high))
    bounds = [f"{sign} {limit:g}" for sign, limit in limits if np.isfinite(limit)]
    expected = " ".join([kind, " and ".join(bounds)]).strip()
    if not (number and np.isfinite(value) and low <= value <= high and value > above):
        raise InputError(f"{name}={value!r}: expected {expected}")


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raise InputError unless ``value`` is one of ``choices``, naming those that come near."""
    choices = sorted(map(str, choices))
    if value in choices:
        return
    near = difflib.get_close_matches(str(value), choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise InputError(f"{name}={value!r}: {hint}expected one of {', '.join(choices)}")
