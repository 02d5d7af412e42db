"""The battery that every method passes, for methods of this library and of your own.

Needs no test runner: a fact that does not hold raises AssertionError with a sentence. In a test::

    def test_my_method():
        jax_unlearn.testing.check_method(MyMethod, epochs=2)
"""

import contextlib
import dataclasses
import functools
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import (
    FORGET,
    RETAIN,
    Batch,
    Examples,
    InputError,
    Model,
    Problem,
    StepInfo,
    Unlearner,
    split_variables,
)
from jax_unlearn.data.augment import crop_and_flip
from jax_unlearn.engine.loop import run
from jax_unlearn.engine.run_spec import Result
from jax_unlearn.engine.signals import Interrupted
from jax_unlearn.engine.steps import run_keys, take_batch
from jax_unlearn.methods.constructors import checked, method_class
from jax_unlearn.sharding import make_mesh
from jax_unlearn.user_code import briefly
from jax_unlearn.validation import same_structure
from jax_unlearn.warn import warn_user

SMALL = {
    **{"batch_size": 10, "epochs": 2, "optimizer": "sgd"},
    **{"iterations": 6, "forget_every": 1},
}
"""What a method with these fields gets where the caller says nothing. SGD, since Adam divides a
gradient by its size: where one is zero but for rounding, no two ways to compute agree."""

CLASSES, SIDE, HIDDEN = 5, 4, 8


def small_model() -> Model:
    """Convolution, batch normalisation, ReLU, linear, by hand: it compiles in a moment.

    The convolution's kernel is as large as the image, so it is computed as the product that it is.
    """

    def init(key: jax.Array) -> dict[str, Any]:
        first, second = jax.random.split(key)
        return {
            "params": {
                "first": jax.random.normal(first, (SIDE, SIDE, 1, HIDDEN)) / SIDE,
                "scale": jnp.ones(HIDDEN),
                "shift": jnp.zeros(HIDDEN),
                "second": jax.random.normal(second, (HIDDEN, CLASSES)) * HIDDEN**-0.5,
                "bias": jnp.zeros(CLASSES),
            },
            "batch_stats": {"mean": jnp.zeros(HIDDEN), "var": jnp.ones(HIDDEN)},
        }

    def apply(
        variables: Any, images: jax.Array, *, train: bool, weight: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        params, stats = variables["params"], variables["batch_stats"]
        x = (2 * images.reshape(len(images), -1) - 1) @ params["first"].reshape(-1, HIDDEN)
        mean, var = stats["mean"], stats["var"]
        if train:
            weight = jnp.ones(len(images), x.dtype) if weight is None else weight
            weight = (weight / weight.sum())[:, None]
            mean = (weight * x).sum(0)
            var = (weight * (x - mean[None]) ** 2).sum(0)
            stats = {
                "mean": 0.9 * stats["mean"] + 0.1 * mean,
                "var": 0.9 * stats["var"] + 0.1 * var,
            }
        x = (x - mean[None]) * jax.lax.rsqrt(var + 1e-5)[None]
        x = jax.nn.relu(x * params["scale"][None] + params["shift"][None])
        return x @ params["second"] + params["bias"][None], {**variables, "batch_stats": stats}

    return Model(init, apply, "small")


def small_problem(*, whole_classes: bool = False) -> Problem:
    """Ten forget and sixty retain images of five classes for :func:`small_model`, untrained.

    Twenty more are held out for validation.

    Args:
      whole_classes: whether the forget set is all of two classes, and the retain set of the others.
    """
    rng = np.random.default_rng(0)
    model = small_model()

    def examples(count: int, first: int) -> Examples:
        label = (np.arange(count) % CLASSES).astype(np.int32)
        if whole_classes and first < 70:
            label = label % 2 if first == 0 else 2 + label % 3
        image = rng.integers(0, 128, (count, SIDE, SIDE, 1), np.uint8)
        image[np.arange(count), label % SIDE] += 100
        return Examples(image, label, np.arange(first, first + count))

    return Problem(
        model=model,
        variables=model.init(jax.random.key(0)),
        forget=examples(10, 0),
        retain=examples(60, 10),
        num_classes=CLASSES,
        initial=model.init(jax.random.key(1)),
        augment=crop_and_flip(padding=1, flip=False),
        validation=examples(20, 70),
    )


def check_method(constructor: Callable[..., Unlearner], **arguments: Any) -> None:
    """Check that a method keeps what the engine promises of every method.

    It is pure: traced anew, in one compiled loop, spread over devices and fed from the host it
    gives the same result; the same key gives the same bits, another key others; a
    resumed run equals an uninterrupted one; numbers that are traced compile nothing anew; rows that
    pad a batch change nothing; the state's types stay; the original's weights and the examples are
    left alone and the unlearned weights are finite and of the same structure; missing or empty sets
    are refused before anything runs, or make no difference; what diverges ends as collapsed, with
    sound weights.
    Of a method that edits once it is what applies: same bits, devices, placement, the original left
    alone, nothing compiled anew for other numbers, missing sets. With a single device a warning
    says that several are not tried.

    Args:
      constructor: the method's class or constructor, or a function that returns the method.
      **arguments: its hyperparameters, to make a short run; ``batch_size`` is 10, ``epochs`` 2 and
        ``optimizer`` ``'sgd'`` where the method has them and nothing is said. There are 10 forget
        and 60 retain images of 5 classes.

    Raises:
      AssertionError: a fact does not hold, or one of the method's functions raises something; the
        message is a sentence about it.
      InputError: what is given makes no method, or has no such hyperparameter.
    """
    battery = _battery(constructor, arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*collapsed by step")
        for check in _CHECKS if battery.unlearner.num_epochs else _ONE_SHOT:
            try:
                check(battery)
            except AssertionError:
                raise
            except Exception as error:  # a user's code can raise anything
                raise AssertionError(f"{battery.name}: {_raised(check, error)}") from error


def _raised(check: Callable[..., None], error: Exception) -> str:
    """What a method raised where, in a line."""
    where = check.__name__.strip("_").replace("_", " ")
    return f"the check of {where} ends in {type(error).__name__}: {briefly(error)}"


def small(constructor: Callable[..., Unlearner], **arguments: Any) -> Unlearner:
    """A method with hyperparameters for a short run: those of ``SMALL`` that it has.

    Args:
      constructor: the method's class or constructor, or a function that returns the method.
      **arguments: further hyperparameters, or others in their place.
    """
    constructor = checked(constructor, "constructor")
    names = {field.name for field in dataclasses.fields(method_class(constructor))}
    given = {name: value for name, value in SMALL.items() if name in names}
    return constructor(**{**given, **arguments})


def _battery(constructor: Callable[..., Unlearner], arguments: dict[str, Any]) -> "_Battery":
    """A method's short run on the small problem, on one device."""
    unlearner = small(constructor, **arguments)
    problem = small_problem(whole_classes=unlearner.whole_classes)
    return _Battery(unlearner, problem, make_mesh(1))


class _Battery:
    """A method on a problem, and its short run."""

    def __init__(self, unlearner: Unlearner, problem: Problem, mesh: jax.sharding.Mesh):
        self.traces: list[bool] = []
        model = _counted(problem.model, self.traces)
        self.problem = dataclasses.replace(problem, model=model)
        self.unlearner, self.mesh = unlearner, mesh
        self.name = type(unlearner).__name__

    def run(self, key: int = 0, **options: Any) -> Result:
        """Another run of the method; by default just the same."""
        options = {"mesh": self.mesh, "loop": "python", **options}
        problem = options.pop("problem", self.problem)
        unlearner = options.pop("unlearner", self.unlearner)
        return run(unlearner, problem, jax.random.key(key), **options)

    @functools.cached_property
    def result(self) -> Result:
        return self.run()

    @functools.cached_property
    def first(self) -> tuple[Any, Batch, StepInfo]:
        """State, batch and step info of the second of four steps, as the engine makes them."""
        keys = run_keys(jax.random.key(7))
        pool = self.unlearner.pool(keys.pool, self.problem)
        rows = self.unlearner.batch_indices(keys.batch_indices, 0, pool)[0]
        state = self.unlearner.init(keys.init, self.problem)
        take = jax.jit(take_batch, static_argnames="augment")
        batch = take(pool, rows, keys.step, augment=self.problem.augment)
        step, steps, epoch, epochs = (jnp.int32(n) for n in (1, 4, 0, 2))
        info = StepInfo(step, steps, epoch, epochs, jax.random.key(3))
        return jax.tree.map(jnp.asarray, state), batch, info

    @functools.cached_property
    def step(self) -> Callable[..., Any]:
        """The step of a method, compiled, without donation."""
        return self.new_step()

    def new_step(self) -> Callable[..., Any]:
        """The same, to be traced once more."""
        model = self.problem.model
        return jax.jit(lambda unlearner, *given: unlearner.step(model, *given))

    def changed(self, **changes: Any) -> Unlearner:
        """The method with other hyperparameters."""
        return dataclasses.replace(self.unlearner, **changes)

    def require(self, holds: Any, sentence: str) -> None:
        """Raise AssertionError with the sentence unless the fact holds."""
        if not bool(holds):
            raise AssertionError(f"{self.name}: {sentence}")

    def require_close(self, a: Any, b: Any, sentence: str, rtol: float, atol: float) -> None:
        """Require two trees to agree within a tolerance."""
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            x, y = (np.asarray(jax.device_get(z), np.float64) for z in (x, y))
            gap = float(np.abs(x - y).max(initial=0))
            self.require(np.allclose(x, y, rtol, atol), f"{sentence} (they differ by {gap:.2g})")

    def require_same(self, a: Any, b: Any, sentence: str) -> None:
        """Require two trees to agree bit for bit."""
        same = [
            np.array_equal(jax.device_get(x), jax.device_get(y))
            for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        ]
        self.require(all(same), sentence)

    def require_numbers(self, tree: Any, whose: str) -> None:
        """Require that no float of a tree is NaN, which would not even equal itself."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            lost = _is_float(leaf) and bool(jnp.isnan(leaf).any())
            self.require(not lost, f"{whose}{jax.tree_util.keystr(path)} is NaN")


def _counted(model: Model, traces: list[bool]) -> Model:
    """A model that notes down every call of its ``apply``, so every trace."""

    def apply(
        variables: Any, images: jax.Array, *, train: bool, weight: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        traces.append(train)
        return model.apply(variables, images, train=train, weight=weight)

    return Model(model.init, apply, model.name)


def _distance(a: Any, b: Any) -> float:
    gaps = jax.tree.map(lambda x, y: np.abs(np.asarray(x) - np.asarray(y)).max(), a, b)
    return max(map(float, jax.tree.leaves(gaps)))


def _is_a_pytree(b: _Battery) -> None:
    leaves, structure = jax.tree.flatten(b.unlearner)
    b.require(
        jax.tree.unflatten(structure, leaves) == b.unlearner,
        "flattened and put together again it is another method",
    )
    b.require(
        all(isinstance(leaf, (int, float, np.number, jax.Array)) for leaf in leaves),
        f"traced fields hold {leaves}: expected numbers; declare the others otherwise",
    )
    try:
        hash(structure)
    except TypeError as error:
        raise AssertionError(
            f"{b.name}: a static field cannot be hashed ({error}); give a tuple, not a list"
        ) from error
    field = dataclasses.fields(b.unlearner)[0].name
    try:
        setattr(b.unlearner, field, None)
    except dataclasses.FrozenInstanceError:
        return
    raise AssertionError(f"{b.name}: its fields can be set; expected a frozen dataclass")


def _keeps_structure(b: _Battery) -> None:
    result, before = b.result, b.problem.variables
    b.require(result.status in ("finished", "stopped"), f"its short run ended {result.status}")
    b.require(
        bool(result.steps) == bool(b.unlearner.num_epochs),
        f"it says that it took {result.steps} steps in {b.unlearner.num_epochs} epochs",
    )
    leaves = jax.tree.leaves(result.variables)
    b.require(
        all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves if _is_float(leaf)),
        "its weights are not finite",
    )
    if not b.unlearner.keeps_structure:
        return
    b.require(
        same_structure(result.variables, before),
        "the unlearned weights have another structure; declare keeps_structure = False",
    )
    kinds = [jax.tree.map(lambda x: (x.shape, str(x.dtype)), t) for t in (result.variables, before)]
    b.require(kinds[0] == kinds[1], "the unlearned weights have other shapes or types")
    moved = _distance(split_variables(result.variables)[0], split_variables(before)[0])
    b.require(moved > 0, "it changes no weight")


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _leaves_the_original_alone(b: _Battery) -> None:
    fresh = small_problem(whole_classes=b.unlearner.whole_classes)
    for name, whose in (("variables", "the original's"), ("initial", "the untrained")):
        mine = getattr(b.problem, name)
        b.require(
            not any(leaf.is_deleted() for leaf in jax.tree.leaves(mine)),
            f"it gave the problem's own {name} away, and the first step overwrote them",
        )
        b.require_same(mine, getattr(fresh, name), f"it changed {whose} weights in place")
    for name in ("forget", "retain", "validation"):
        mine, theirs = (getattr(problem, name) for problem in (b.problem, fresh))
        b.require_same(mine, theirs, f"it changed the {name} examples in place")


def _follows_its_key(b: _Battery) -> None:
    again, other = b.run(), b.run(1)
    b.require_same(b.result.variables, again.variables, "the same key gives other weights")
    b.require(b.result.history == again.history, "the same key gives another history")
    if b.unlearner.num_epochs:
        moved = _distance(b.result.variables, other.variables)
        b.require(moved > 0, "another key gives the same weights, so it ignores its keys")


def _loops_agree(b: _Battery) -> None:
    scanned = b.run(loop="scan")
    sentence = "in one compiled loop its weights are others than step by step"
    b.require_close(b.result.variables, scanned.variables, sentence, 1e-4, 1e-5)
    for entry, other in zip(b.result.history, scanned.history, strict=True):
        b.require(set(entry) == set(other), "in one compiled loop it reports other quantities")
        for name, value in entry.items():
            b.require(
                np.isclose(other[name], value, 1e-3, 1e-4),
                f"in one compiled loop {name} is {other[name]}, step by step {value}",
            )


def _devices_agree(b: _Battery) -> None:
    count = max(n for n in (1, 2, 4, 8) if n <= jax.device_count())
    if count == 1:
        warn_user(
            f"{b.name}: with one device it is not checked that several give the same weights; "
            "expected more, such as jax.config.update('jax_num_cpu_devices', 4) before the first "
            "array"
        )
        return
    spread = b.run(mesh=make_mesh(count))
    b.require(
        {len(leaf.devices()) for leaf in jax.tree.leaves(spread.variables)} == {count},
        f"on {count} devices its weights do not lie on all of them",
    )
    sentence = f"on {count} devices its weights are others than on one"
    b.require_close(b.result.variables, spread.variables, sentence, 1e-3, 2e-5)


def _placements_agree(b: _Battery) -> None:
    sent = b.run(placement="host")
    sentence = "with rows sent from the host its weights are others"
    b.require_same(b.result.variables, sent.variables, sentence)


def _resumes(b: _Battery) -> None:
    from jax_unlearn.engine.checkpointing.checkpoints import Checkpoints

    looks: list[None] = []
    ended = False

    def interrupted() -> int | None:
        looks.append(None)
        return 15 if len(looks) == 2 else None

    with tempfile.TemporaryDirectory() as folder:
        with Checkpoints(folder, {"of": b.name}, every_seconds=0) as checkpoints:
            try:
                b.run(checkpoints=checkpoints, interrupted=interrupted)
            except Interrupted:
                ended = True
        b.require(ended, "its run is too short to be interrupted; give arguments for more steps")
        with Checkpoints(folder, {"of": b.name}) as checkpoints:
            resumed = b.run(checkpoints=checkpoints)
    sentence = "a resumed run ends with other weights than an uninterrupted one"
    b.require_same(b.result.variables, resumed.variables, sentence)
    b.require(b.result.history == resumed.history, "a resumed run has another history")


def _step_is_pure(b: _Battery) -> None:
    state, batch, info = b.first
    leaves = jax.tree.leaves(state)
    b.require(
        all(isinstance(leaf, jax.Array) for leaf in leaves), "its state holds what is no array"
    )
    after, reported = b.step(b.unlearner, state, batch, info)
    b.require_numbers(after, "after a step its state")
    b.require_numbers(reported, "what a step reports, ")
    again, _ = b.step(b.unlearner, state, batch, info)
    b.require_same(after, again, "a step of the same state and batch gives another state")
    anew, scalars = b.new_step()(b.unlearner, state, batch, info)
    traced = "a step that is traced anew"
    b.require_same(
        after, anew, f"{traced} gives another state; it depends on more than it is given"
    )
    b.require(set(reported) == set(scalars), f"{traced} reports other quantities")
    for name, value in reported.items():
        b.require(jnp.ndim(value) == 0, f"a step reports {name} of shape {jnp.shape(value)}")
        b.require_same(value, scalars[name], f"{traced} reports another {name}")


def _floats(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if _is_float(leaf)]


def _state_keeps_its_types(b: _Battery) -> None:
    narrow = jax.tree.map(
        lambda x: x.astype(jnp.bfloat16) if _is_float(x) else x, b.problem.variables
    )
    problem = dataclasses.replace(b.problem, variables=narrow, initial=narrow)
    keys = run_keys(jax.random.key(7))
    for of, kind in ((b.problem, "float32"), (problem, "bfloat16")):
        # Narrow weights meet float32 images; what a step may mix is another check's.
        with jax.numpy_dtype_promotion("standard"):
            state = b.unlearner.init(keys.init, of)
            step = functools.partial(b.unlearner.step, of.model)
            after = jax.eval_shape(step, state, *b.first[1:])[0]
        b.require(
            same_structure(after, state),
            f"with {kind} weights a step changes the structure of the state",
        )
        pairs = zip(jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(after), strict=True)
        for (path, old), new in pairs:
            kinds = [(x.shape, str(x.dtype)) for x in (old, new)]
            b.require(
                kinds[0] == kinds[1],
                f"with {kind} weights a step changes {jax.tree_util.keystr(path)} of its state "
                f"from {kinds[0]} to {kinds[1]}; a compiled loop cannot carry that",
            )


def _mixes_no_types(b: _Battery) -> None:
    with jax.numpy_dtype_promotion("strict"):
        try:
            jax.eval_shape(functools.partial(b.unlearner.step, b.problem.model), *b.first)
        except jax.dtypes.TypePromotionError as error:
            told = " ".join(str(error).split())
            raise AssertionError(
                f"{b.name}: a step mixes types without saying so ({told})"
            ) from error


def _lets_the_network_draw(b: _Battery) -> None:
    given = []

    def apply(
        variables: Any,
        images: jax.Array,
        *,
        train: bool,
        weight: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        given.append(not train or key is not None)
        return b.problem.model.apply(variables, images, train=train, weight=weight)

    model = Model(b.problem.model.init, apply, "drawing")
    jax.eval_shape(functools.partial(b.unlearner.step, model), *b.first)
    b.require(all(given), "a step shows a network with dropout a batch in train mode without a key")


def _padding_changes_nothing(b: _Battery) -> None:
    state, batch, info = b.first
    garbage = np.random.default_rng(1).uniform(size=(6, *batch.image.shape[1:]))

    def padded(x: Any, with_: Any) -> jax.Array:
        x = np.asarray(x)
        more = np.broadcast_to(with_, (6, *x.shape[1:])).astype(x.dtype)
        return jnp.asarray(np.concatenate([x, more]))

    longer = Batch(
        padded(batch.image, garbage),
        padded(batch.label, 3),
        padded(batch.role, np.asarray(batch.role)[0]),
        padded(batch.weight, 0),
        jax.tree.map(lambda x: padded(x, 1), batch.extra),
    )
    new, scalars = b.step(b.unlearner, state, batch, info)
    other, reported = b.step(b.unlearner, state, longer, info)
    sentence = "rows of weight 0, which pad a batch, change the step"
    b.require_close(_floats(new.variables), _floats(other.variables), sentence, 1e-4, 1e-5)
    for name, value in scalars.items():
        b.require(np.isclose(reported[name], value, 1e-4, 1e-6), f"{sentence}'s {name}")


def _numbers_compile_once(b: _Battery) -> None:
    b.run()
    once = len(b.traces)
    floats = {
        field.name: other
        for field in dataclasses.fields(b.unlearner)
        if field.type is float and field.name in b.unlearner.traced_fields
        if (other := _other_value(b, field.name)) is not None
    }
    if floats:
        b.run(unlearner=b.changed(**floats))
        names = ", ".join(floats)
        b.require(len(b.traces) == once, f"other values of {names} compile anew")


def _other_value(b: _Battery, name: str) -> float | None:
    """A number that the method takes, too; None where its own is the only one."""
    value = getattr(b.unlearner, name)
    for other in (0.9 * value, 1.1 * value):
        with contextlib.suppress(ValueError):
            b.changed(**{name: other})
            return other
    return None


def _takes_traced_numbers(b: _Battery) -> None:
    if "learning_rate" not in b.unlearner.traced_fields:
        return
    before = split_variables(b.first[0].variables)[0]

    def after(rate: float) -> Any:
        state, _ = b.step(b.changed(learning_rate=rate), *b.first)
        return split_variables(state.variables)[0]

    b.require_same(after(0.0), before, "at rate 0 a step moves weights")
    moved = _distance(after(0.01), before)
    b.require(moved > 0, "at rate 0.01 a step moves no weight")


def _missing_sets(b: _Battery) -> None:
    without = dataclasses.replace(b.problem, retain=None)
    if b.unlearner.needs_retain:
        _refused(b, "^retain=None: .* needs retain examples", problem=without)
    else:
        try:
            result = b.run(problem=without)
        except Exception as error:  # a user's code can raise anything
            raise AssertionError(
                f"{b.name}: needs_retain is False, and without retain examples it ends in "
                f"{type(error).__name__}: {briefly(error)}"
            ) from error
        finite = [np.isfinite(np.asarray(x)).all() for x in _floats(result.variables)]
        b.require(all(finite), "without retain examples its weights are not finite")
        sentence = "needs_retain is False, and without retain examples its weights are others"
        b.require_close(b.result.variables, result.variables, sentence, 1e-4, 1e-5)
    for part in ("forget", "retain"):
        examples = getattr(b.problem, part)
        empty = Examples(*(field[:0] for field in examples))
        changes: dict[str, Any] = {part: empty}
        problem = dataclasses.replace(b.problem, **changes)
        _refused(b, rf"^{part}=\[\]: expected at least one example", problem=problem)
    roles = set(getattr(b.unlearner, "roles", (RETAIN, FORGET)))
    if FORGET in roles and b.unlearner.num_epochs:
        problem = dataclasses.replace(b.problem, forget=None)
        _refused(b, "^forget=None: ", problem=problem)


def _large_batches(b: _Battery) -> None:
    large = dataclasses.replace(b.unlearner, batch_size=5000)
    _refused(b, r"^batch_size=5000: .* has only \d+ examples to show", unlearner=large)
    pool = b.unlearner.pool(jax.random.key(0), b.problem)
    rows, counted = len(pool.label), b.unlearner.count_rows(b.problem)
    b.require(rows == counted, f"count_rows says {counted} of a pool of {rows} rows")


def _refused(b: _Battery, pattern: str, **changed: Any) -> None:
    import re

    try:
        b.run(watch=lambda variables: b.require(False, "it runs before it refuses"), **changed)
    except InputError as error:
        told = str(error)
        b.require(re.search(pattern, told), f"expected an error like {pattern!r}, not {told!r}")
        b.require("\n" not in told, f"an error has more than one line: {told!r}")
        return
    raise AssertionError(f"{b.name}: expected an InputError like {pattern!r}, and it ran")


def _rows_of_an_epoch(b: _Battery) -> None:
    pool = b.unlearner.pool(jax.random.key(0), b.problem)
    rows = np.asarray(b.unlearner.batch_indices(jax.random.key(1), 0, pool))
    b.require(
        rows.ndim == 2 and np.issubdtype(rows.dtype, np.integer),
        f"batch_indices gives {rows.dtype}{list(rows.shape)}: expected int32 [steps, batch]",
    )
    b.require(
        rows.min() >= -1 and rows.max() < len(pool.label),
        f"batch_indices names rows {rows.min()} to {rows.max()} of {len(pool.label)}",
    )
    b.require((rows >= 0).any(axis=1).all(), "batch_indices has a step that shows nothing")


def _collapses_are_caught(b: _Battery) -> None:
    if "learning_rate" not in b.unlearner.traced_fields:
        return
    wild = b.run(unlearner=b.changed(learning_rate=1e30))
    finite = [np.isfinite(np.asarray(leaf)).all() for leaf in _floats(wild.variables)]
    b.require(all(finite), f"at rate 1e30 it ends {wild.status} with weights that are not finite")


_ONE_SHOT = (
    _is_a_pytree,
    _keeps_structure,
    _leaves_the_original_alone,
    _follows_its_key,
    _devices_agree,
    _placements_agree,
    _numbers_compile_once,
    _missing_sets,
)
_CHECKS = (
    _is_a_pytree,
    # What a single step shows comes before what whole runs show: it names the fault.
    _rows_of_an_epoch,
    _step_is_pure,
    _state_keeps_its_types,
    _mixes_no_types,
    _lets_the_network_draw,
    _padding_changes_nothing,
    _takes_traced_numbers,
    _keeps_structure,
    _leaves_the_original_alone,
    _follows_its_key,
    _loops_agree,
    _devices_agree,
    _placements_agree,
    _resumes,
    _numbers_compile_once,
    _missing_sets,
    _large_batches,
    _collapses_are_caught,
)
