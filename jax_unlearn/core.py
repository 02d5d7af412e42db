"""The words of the library: every other file speaks in these.

A :class:`Model` is a pair of pure functions. A :class:`Problem` is what an unlearning method may
see. An :class:`Unlearner` is the method: it lays out a :class:`Pool` of rows on the device, says
in which order they are shown, and gives one pure update step. The engine owns the loop.
"""

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.checks import (
    InputError,
    check_choice,
    check_flag,
    check_labels,
    check_number,
    check_traced,
)
from jax_unlearn.hyperparameters import Hyperparameters, static

__all__ = [
    "FORGET",
    "HYBRID",
    "RETAIN",
    "Augmentation",
    "Batch",
    "Examples",
    "InputError",
    "Model",
    "Outputs",
    "Pool",
    "Predictions",
    "Problem",
    "SearchRange",
    "State",
    "StepInfo",
    "Unlearner",
    "Variables",
    "at_least_float32",
    "check_choice",
    "check_labels",
    "check_number",
    "concatenate_pools",
    "pool_rows",
    "shuffled_rows",
    "split_variables",
    "static",
    "to_unit",
    "with_params",
]

Variables = Any
"""Any pytree. A mapping with the key ``'params'`` is trained under that key only, and its other
entries (``'batch_stats'``) are state that ``apply`` updates; any other pytree is trained whole."""

State = Any
"""What a method carries from step to step: a pytree of arrays, with a field ``variables``."""

RETAIN = 0
"""Role of a pool's row: a retain example."""

FORGET = 1
"""Role of a pool's row: a forget example."""

HYBRID = 2
"""Role of a pool's row: a blend of a forget and a retain example (NatMU)."""


class Augmentation(Protocol):
    """Random changes of the images of a batch; hashable, since it is part of the compiled step."""

    def __call__(self, key: chex.PRNGKey, images: jax.Array, /) -> jax.Array:
        """Images uint8 [B, H, W, C] from images uint8 [B, H, W, C]."""
        ...


def _default_augmentation() -> Augmentation:
    from jax_unlearn.data.augment import crop_and_flip

    return crop_and_flip()


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
        A network that draws random numbers in train mode (dropout) also takes the keyword ``key``:
        a key for this one pass, or None in eval mode. It keeps no key of its own, so that a run
        which was cut off draws what it would have drawn.
      name: shown in tables and error messages.
      config: how a network of this library was built, as JSON, for ``save_pretrained``; '' for a
        network of another origin.
    """

    init: Callable[[chex.PRNGKey], Variables]
    apply: Callable[..., tuple[jax.Array, Variables]]
    name: str = "model"
    config: str = ""

    @functools.cached_property
    def takes_weight(self) -> bool:
        """Whether ``apply`` accepts the keyword ``weight``."""
        return "weight" in inspect.signature(self.apply).parameters

    @functools.cached_property
    def takes_key(self) -> bool:
        """Whether ``apply`` accepts the keyword ``key``."""
        return "key" in inspect.signature(self.apply).parameters

    def forward(
        self,
        variables: Variables,
        images: jax.Array,
        *,
        train: bool,
        weight: jax.Array,
        key: chex.PRNGKey | None,
    ) -> tuple[jax.Array, Variables]:
        """Apply to a batch of which the rows with ``weight`` 0 are padding.

        Warns, while tracing, where padding cannot be kept out of a state that training updates.

        Args:
          variables: the weights.
          images: float32 [B, H, W, C] in [0, 1].
          train: whether statistics are the batch's, and dropout drops.
          weight: float32 [B].
          key: randomness of this one pass; read in train mode, by a network that takes one.
        """
        # Counters among the rest have no use for padding.
        rest = jax.tree.leaves(split_variables(variables)[1])
        averaged = any(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in rest)
        if train and not self.takes_weight and averaged:
            warnings.warn(
                f"model={self.name!r}: it updates a state but apply takes no weight: rows that "
                "pad a batch enter batch statistics, and results depend on the number of devices; "
                "expected the keyword weight (see jax_unlearn.Model)",
                stacklevel=2,
            )
        masked = {"weight": weight} if train and self.takes_weight else {}
        drawn = {"key": key} if train and self.takes_key else {}
        logits, variables = self.apply(variables, images, train=train, **masked, **drawn)
        return at_least_float32(logits), variables

    def logits(self, variables: Variables, images: jax.Array) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in eval mode."""
        return at_least_float32(self.apply(variables, images, train=False)[0])


def at_least_float32(x: jax.Array) -> jax.Array:
    """Widen half-precision values to float32; float32 and float64 pass unchanged."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def to_unit(images: jax.Array) -> jax.Array:
    """Pixels uint8 0..255, as data is stored, as float32 in [0, 1], as networks see them.

    Images of a floating type are in [0, 1] already and pass unchanged.
    """
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    return images.astype(jnp.float32) / 255.0


def flat_images(images: Any) -> Any:
    """Images [N, H, W, C] as rows of pixels [N, H * W * C], in which a step picks some of many.

    A TPU stores an array of images with the examples innermost: to pick some of them, it would
    first copy the whole array into another order.
    """
    return images.reshape(len(images), -1)


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
      image: uint8 [N, H, W, C]; or :class:`jax_unlearn.data.lazy.LazyImages`, which stay unread.
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
      focus: by name of a measure of the request's own the outputs that it is taken on, labelled by
        the answers that it counts; empty for most requests.
    """

    forget: Outputs
    retain: Outputs
    test: Outputs
    test_forgotten: np.ndarray
    focus: Mapping[str, Outputs] = {}


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
      augment: random changes of those rows that a method marks for it, drawn afresh at every step
        (:func:`jax_unlearn.crop_and_flip` or a function ``(key, images) -> images`` of your own on
        uint8 [B, H, W, C]); None for none.
      validation: examples held out of the training data, which neither the original nor an oracle
        has seen, for methods that choose by them (SCRUB+R); never of the test set. None where
        there are none.
    """

    model: Model
    variables: Variables
    forget: Examples | None
    retain: Examples | None
    num_classes: int
    initial: Variables | None = None
    augment: Augmentation | None = dataclasses.field(default_factory=_default_augmentation)
    validation: Examples | None = None


class Pool(NamedTuple):
    """The rows that steps draw from; the engine lays them out on devices.

    Attributes:
      image: uint8 [M, H, W, C].
      label: int32 [M].
      role: int32 [M], one of RETAIN, FORGET, HYBRID.
      augment: bool [M], whether the problem's augmentation applies to the row.
      extra: further leaves per row by name, arrays [M, ...]: soft targets, weights. Every batch
        carries its rows of them.
    """

    image: jax.Array | np.ndarray
    label: jax.Array | np.ndarray
    role: jax.Array | np.ndarray
    augment: jax.Array | np.ndarray
    extra: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default; nothing ever changes it


class Batch(NamedTuple):
    """One step's rows, augmented where the pool says so.

    Attributes:
      image: float32 [B, H, W, C] in [0, 1].
      label: int32 [B].
      role: int32 [B].
      weight: float32 [B], 1 for a row and 0 for padding.
      extra: the rows of the pool's further leaves by name, arrays [B, ...].
    """

    image: jax.Array
    label: jax.Array
    role: jax.Array
    weight: jax.Array
    extra: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default; nothing ever changes it


class StepInfo(NamedTuple):
    """Where in the run a step stands, and its randomness; traced, so a longer run compiles nothing.

    Attributes:
      step: number of this step, from 0, int32.
      steps: number of steps planned, int32.
      epoch: number of this epoch, from 0, int32.
      epochs: number of epochs planned, int32.
      key: randomness of this step alone.
    """

    step: jax.Array
    steps: jax.Array
    epoch: jax.Array
    epochs: jax.Array
    key: chex.PRNGKey


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
    """Join pools row by row, in the order given, on the host; images not yet read stay unread.

    Raises:
      InputError: one pool has a further leaf that another lacks.
    """
    for pool in pools[1:]:
        for name in sorted(set(pool.extra) ^ set(pools[0].extra)):
            raise InputError(
                f"extra={sorted(pool.extra)}: not every pool has the leaf {name!r}: expected the "
                "same further leaves in all; add it to the others"
            )
    images, labels, roles, augments, extras = zip(*pools, strict=True)
    return Pool(
        image=np.concatenate(images),
        label=np.concatenate(labels),
        role=np.concatenate(roles),
        augment=np.concatenate(augments),
        extra=jax.tree.map(lambda *parts: np.concatenate(parts), *extras),
    )


def shuffled_rows(
    key: chex.PRNGKey,
    rows: jax.Array | np.ndarray,
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
    per_pass = -(-rows.shape[0] // batch_size)
    first, offset = divmod(start, per_pass)
    return _deal(key, rows, first, offset, batch_size, per_pass if steps is None else steps)


# Step by step the calls of a short epoch cost as much as a small network's step.
@functools.partial(jax.jit, static_argnames=("batch_size", "steps"))
def _deal(
    key: chex.PRNGKey,
    rows: jax.Array,
    first: jax.typing.ArrayLike,
    offset: jax.typing.ArrayLike,
    batch_size: int,
    steps: int,
) -> jax.Array:
    """Steps ``offset`` and following of pass ``first``; passes enough for any offset are made."""
    per_pass = -(-rows.shape[0] // batch_size)
    pad = jnp.full(per_pass * batch_size - rows.shape[0], -1, jnp.int32)
    rows = rows.astype(jnp.int32)

    def one_pass(number: jax.Array) -> jax.Array:
        order = jax.random.permutation(jax.random.fold_in(key, number), rows)
        return jnp.concatenate([order, pad])

    # A loop: few rows go round hundreds of times, and each written out takes its time to compile.
    count = 1 + -(-(steps - 1) // per_pass) if steps else 1
    dealt = jax.lax.map(one_pass, first + jnp.arange(count)).reshape(-1, batch_size)
    return jax.lax.dynamic_slice_in_dim(dealt, offset, steps)


class SearchRange(NamedTuple):
    """Where a search draws a hyperparameter from.

    Attributes:
      scale: ``'log'`` or ``'float'`` (even on that scale), or ``'int'``.
      low: smallest value.
      high: largest value.
    """

    scale: str
    low: float
    high: float


def _check_range(cls: "type[Unlearner]", name: str, range_: Any) -> None:
    """Raise InputError for a search range that is none, or of no field."""
    fields = [field.name for field in dataclasses.fields(cls)]
    check_choice(f"{cls.__name__}.search_space: field", name, fields)
    told = f"{cls.__name__}.search_space: {name}={range_!r}"
    if not isinstance(range_, Sequence) or len(range_) != 3 or isinstance(range_, str):
        raise InputError(f"{told}: expected SearchRange(scale, low, high)")
    scale, low, high = range_
    check_choice(f"{told}: scale", scale, ("log", "float", "int"))
    check_number(f"{told}: low", low, above=0 if scale == "log" else -np.inf)
    check_number(f"{told}: high", high, above=low)


class Unlearner(Hyperparameters):
    """An unlearning method as pure functions over pytrees; subclasses fill in ``step``.

    The engine calls ``init`` and ``pool`` once, then for every epoch ``batch_indices`` once and
    ``step`` for each of its rows, then ``measure`` and ``stop``, and ``finish`` at the end. A
    method never loops over batches, never reads or writes files and never asks about devices.

    Attributes:
      batch_size: rows per step.
    """

    batch_size: int = static(128)

    needs_retain: ClassVar[bool] = True
    """Whether ``Problem.retain`` must be given; where it need not, it makes no difference."""

    whole_classes: ClassVar[bool] = False
    """Whether it forgets whole classes alone: none of their examples may be retained."""

    samples_only: ClassVar[bool] = False
    """Whether it forgets single examples alone: of each of their classes some must be retained."""

    keeps_structure: ClassVar[bool] = True
    """Whether the unlearned weights have the structure, shapes and types of the original's."""

    title: ClassVar[str] = ""
    """How a reader knows the method; '' makes it of the class's name."""

    search_space: ClassVar[Mapping[str, SearchRange]] = {}
    """What a search varies, by the field's name; empty where nothing is worth searching."""

    history_figure: ClassVar[str] = ""
    """Name of the figure that a report draws of the run's history; '' for none of its own."""

    history_unit: ClassVar[str] = "epoch"
    """What passes between two entries of the history, in a word."""

    pool_figure: ClassVar[str] = ""
    """Name of the figure that a report draws of the rows shown; '' for none of its own."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        for name, range_ in cls.search_space.items():
            _check_range(cls, name, range_)

    def __post_init__(self) -> None:
        check_number("batch_size", self.batch_size, low=1, whole=True)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is bool:
                check_flag(field.name, value)
            if isinstance(value, list):
                # What is compiled is found again by its structure, which must have a hash.
                object.__setattr__(self, field.name, tuple(value))
        for name in self.traced_fields:
            check_traced(name, getattr(self, name))

    @property
    def num_epochs(self) -> int:
        """How often ``batch_indices`` is asked for rows; 0 for a one-shot method."""
        return 0

    def check(self, problem: Problem, *, exact: bool = True) -> None:
        """Raise InputError where the method cannot work on a problem, as far as sizes tell.

        Asked before anything is trained; the model must not be.

        Args:
          problem: what the method is to see; its weights may be missing.
          exact: whether the forget set is the one meant. Otherwise only its size is, and labels
            say nothing.
        """
        if self.whole_classes:
            _check_whole_classes(type(self).__name__, problem, exact=exact)
        if self.samples_only and exact:
            _check_samples(type(self).__name__, problem)

    def count_rows(self, problem: Problem) -> int:
        """Number of rows of the pool; ``batch_size`` must not exceed it. Nothing is computed."""
        if not self.num_epochs:
            # There is no pool, and a pass over few examples takes fewer at a time by itself.
            return self.batch_size
        # A pool of the pixels would be a copy of the data set.
        return len(self.pool(jax.random.key(0), without_pixels(problem)).label)

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
        return shuffled_rows(key, np.arange(pool.label.shape[0]), self.batch_size)

    def split_batches(self, devices: int) -> Self:
        """The method with a device's share of each batch, for ``placement='sharded'``.

        Its ``batch_indices`` is asked once for each device, with the device's rows as the pool; the
        step gets their batches side by side. To be replaced where other fields, too, are numbers of
        rows.

        Raises:
          InputError: the devices do not divide the batch.
        """
        return self._divided(devices, "batch_size")

    def _divided(self, devices: int, *sizes: str) -> Self:
        for name in sizes:
            if getattr(self, name) % devices:
                raise InputError(
                    f"{name}={getattr(self, name)}: placement='sharded' gives each of {devices} "
                    f"devices its share of every batch: expected a multiple of {devices}; or pass "
                    "placement='device' or 'host'"
                )
        return dataclasses.replace(self, **{name: getattr(self, name) // devices for name in sizes})

    def step(
        self, model: Model, state: State, batch: Batch, info: StepInfo
    ) -> tuple[State, dict[str, jax.Array]]:
        """One update: the new state and float32 scalars worth recording. Pure; jitted outside."""
        raise NotImplementedError

    def measure(self, model: Model, state: State, problem: Problem) -> dict[str, float]:
        """Quantities that ``stop`` looks at, taken before the first and after every epoch."""
        del model, state, problem
        return {}

    def stop(self, history: Sequence[Mapping[str, float]], problem: Problem) -> bool:
        """Whether to end early; ``history[0]`` is before the first epoch, one entry per epoch."""
        del history, problem
        return False

    def collapsed(self, history: Sequence[Mapping[str, float]], problem: Problem) -> bool:
        """Whether the last entry shows a destroyed model; the engine then keeps the one before."""
        del problem
        return not all(np.isfinite(value) for value in history[-1].values())

    def note(self, status: str, problem: Problem) -> str:
        """What a report says of a run in place of its status; '' where that says enough.

        A collapse must stay one: reports leave such models out.

        Args:
          status: how it ended: ``'finished'``, ``'stopped'`` or ``'collapsed'``.
          problem: what it was run on.
        """
        del status, problem
        return ""

    def finish(self, state: State, history: Sequence[Mapping[str, float]]) -> Variables:
        """The unlearned weights; the history tells a method that keeps several which to return."""
        del history
        return state.variables


def _check_whole_classes(name: str, problem: Problem, *, exact: bool) -> None:
    """Raise InputError unless the retain set lacks every class of the forget set.

    A set that is not known yet is one that scores choose, example by example.
    """
    if problem.forget is None or problem.retain is None:
        return
    shared = np.intersect1d(problem.forget.label, problem.retain.label)
    if not exact or len(shared):
        told = f"class {shared[0]} is in both sets" if exact else "examples are chosen one by one"
        raise InputError(
            f"forget: {told}: expected whole classes, which are all that {name} can forget; "
            "ask for class:NAME, or take another method"
        )


def _check_samples(name: str, problem: Problem) -> None:
    """Raise InputError where the retain set lacks a class of the forget set."""
    if problem.forget is None or problem.retain is None:
        return
    gone = np.setdiff1d(problem.forget.label, problem.retain.label)
    if len(gone):
        raise InputError(
            f"forget: no example of class {gone[0]} is retained: expected single examples, which "
            f"are all that {name} can forget; ask for random:SHARE, or take another method"
        )


def without_pixels(problem: Problem) -> Problem:
    """The problem with empty images, for what asks of labels and sizes alone."""

    def bare(examples: Examples | None) -> Examples | None:
        if examples is None:
            return None
        return examples._replace(image=np.empty((len(examples.label), 0, 0, 0), np.uint8))

    return dataclasses.replace(
        problem,
        forget=bare(problem.forget),
        retain=bare(problem.retain),
        validation=bare(problem.validation),
    )
