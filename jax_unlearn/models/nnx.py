"""Flax NNX networks as Models, and their weights to and from the modules themselves."""

import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from jax_unlearn.core import InputError, Model, Variables
from jax_unlearn.models.adapting import Names, mode_keywords, name_of

_KINDS = (nnx.RngState, nnx.Param, nnx.BatchStat, nnx.Variable, ...)
"""How a module's state is divided: random streams, made afresh for every pass; what variables hold;
and bare arrays, which are constants."""

_COLLECTIONS = ("params", "batch_stats", "state")
"""What is called what in variables; what holds nothing is left out."""

_WEIGHT: contextvars.ContextVar[jax.Array | None] = contextvars.ContextVar("weight", default=None)


def from_nnx(
    network: Callable[..., nnx.Module] | nnx.Module, *, name: str = "", **settings: Any
) -> Model:
    """Make a Model of an NNX network.

    Dropout draws from the key of each step, whatever streams the module has. BatchNorm keeps its
    running statistics, and rows that pad a batch stay out of them. Modes are set by
    ``module.train()`` and ``module.eval()``, and by a keyword ``train``, ``training``,
    ``is_training`` or ``deterministic`` of ``__call__``, where it has one. ::

        model = ju.from_nnx(Network)  # a class; or a function: ju.from_nnx(lambda rngs: ...)
        model = ju.from_nnx(Network, width=32)

    Args:
      network: a class or function that builds the module from an ``nnx.Rngs`` (the argument
        ``rngs``, or the first). A module that is built already has no fresh weights to give:
        everything works but ``init``, and :func:`nnx_variables` are its weights.
      name: shown in tables and error messages; '' takes that of the class or function.
      **settings: further arguments of what builds the module.

    Returns:
      A Model whose variables are nested dicts: ``params``, and ``batch_stats`` (BatchNorm's
      running values) and ``state`` (all else that is no weight) where the module has such.

    Raises:
      InputError: ``network`` gives no ``nnx.Module``.
    """
    try:
        return _from_nnx(network, name_of(network, name), **settings)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _from_nnx.__wrapped__(network, name_of(network, name), **settings)


def nnx_variables(module: nnx.Module) -> Variables:
    """The weights of a module, as Models of :func:`from_nnx` and a ``Problem`` take them."""
    states = _split(module).states
    return _packed([Names.of(state) for state in states], states)


def update_nnx(module: nnx.Module, variables: Variables) -> None:
    """Write weights, as unlearning returns them, back into a module of the same kind."""
    states = _split(module).states
    names = [Names.of(state) for state in states]
    nnx.update(module, *_unpacked(names, variables))


class _Split(NamedTuple):
    """A module, its random streams, what its variables hold by kind, and its constants."""

    graph: Any
    streams: Any
    states: list[Any]
    constants: Any


def _split(module: nnx.Module) -> _Split:
    graph, streams, *states = nnx.split(module, *_KINDS)
    return _Split(graph, streams, states[:-1], states[-1])


class _Parts(NamedTuple):
    """What is known of a module without its numbers.

    Attributes:
      graphs: by whether it is train mode, the module without its state.
      streams: shapes of its random streams' keys and counters.
      names: of the arrays of each collection.
      constants: arrays that are no variable of the module.
      mode: how ``__call__`` is told the mode.
      takes_weight: whether ``__call__`` takes ``weight`` itself.
    """

    graphs: dict[bool, Any]
    streams: Any
    names: list[Names]
    constants: Any
    mode: Callable[[bool], dict[str, bool]]
    takes_weight: bool


@functools.lru_cache(maxsize=256)
def _from_nnx(network: Any, name: str, **settings: Any) -> Model:
    build = _builder(network, settings)
    parts = _read(build, name)

    @jax.jit
    def init(key: chex.PRNGKey) -> Variables:
        if isinstance(network, nnx.Module):
            raise InputError(
                f"model={name!r}: fresh weights are asked for of a module that is built already: "
                f"expected what builds it; give from_nnx the class, or lambda rngs: {name}(...)"
            )
        return _packed(parts.names, _split(build(nnx.Rngs(key))).states)

    def apply(
        variables: Variables,
        images: jax.Array,
        *,
        train: bool,
        weight: jax.Array | None = None,
        key: chex.PRNGKey | None = None,
    ) -> tuple[jax.Array, Variables]:
        if train and key is None and jax.tree.leaves(parts.streams):
            raise InputError(
                f"key=None: {name} draws random numbers in train mode: expected a key for this "
                "pass; give key=jax.random.key(0)"
            )
        streams = _streams(parts.streams, jax.random.key(0) if key is None else key)
        states = _unpacked(parts.names, variables)
        module = nnx.merge(parts.graphs[train], streams, *states, parts.constants, copy=True)
        told = parts.mode(train) | ({"weight": weight} if parts.takes_weight else {})
        with _padding(weight):
            logits = module(images, **told)
        if not train:
            return logits, variables
        # Parameters are the trainer's to change; what else a pass wrote is kept.
        after = _split(module).states
        return logits, _packed(parts.names, [states[0], *after[1:]])

    return Model(init, apply, name)


def _builder(network: Any, settings: dict[str, Any]) -> Callable[[nnx.Rngs], nnx.Module]:
    if isinstance(network, nnx.Module):
        return lambda rngs: nnx.clone(network)
    # The signature of a module's class is its metaclass's, which says nothing.
    called = network.__init__ if isinstance(network, type) else network  # type: ignore[misc]
    if "rngs" in inspect.signature(called).parameters:
        return lambda rngs: network(rngs=rngs, **settings)
    return lambda rngs: network(rngs, **settings)


def _read(build: Callable[[nnx.Rngs], nnx.Module], name: str) -> _Parts:
    """Take the module apart; it is built without computing anything where that can be."""
    graphs: dict[bool, Any] = {}
    kinds: list[Any] = []
    bare: list[Any] = []

    def states() -> _Split:
        module = build(nnx.Rngs(0))
        if not isinstance(module, nnx.Module):
            raise InputError(
                f"network={name!r}: gives an object of type {type(module).__name__}: expected an "
                "nnx.Module; for other networks see from_linen, from_haiku and from_equinox"
            )
        kinds.append(type(module))
        for _, part in nnx.iter_modules(module):
            bare.extend(x for x in vars(part).values() if isinstance(x, jax.Array))
            if type(part) is nnx.BatchNorm:
                part.__class__ = _PaddedBatchNorm
        for train in (True, False):
            (module.train if train else module.eval)()
            split = _split(module)
            graphs[train] = split.graph
        return split._replace(graph=None)

    shapes = jax.eval_shape(states)
    # NNX takes an array that is traced for a part of the program, unless it is a variable.
    _, streams, found, constants = states() if bare else shapes
    names = [Names.of(state) for state in found]
    call = kinds[0].__call__
    takes_weight = "weight" in inspect.signature(call).parameters
    return _Parts(graphs, streams, names, constants, mode_keywords(call), takes_weight)


def _streams(shapes: Any, key: chex.PRNGKey) -> Any:
    """Fresh random streams: each draws from a key of its own, from its first number on."""
    leaves, structure = jax.tree.flatten(shapes)
    fresh = [
        _keys(jax.random.fold_in(key, number), leaf.shape)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.zeros(leaf.shape, leaf.dtype)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, fresh)


def _keys(key: chex.PRNGKey, shape: tuple[int, ...]) -> chex.PRNGKey:
    return jax.random.split(key, shape) if shape else key


def _packed(names: list[Names], states: list[Any]) -> Variables:
    packed = {
        collection: name.pack(state)
        for collection, name, state in zip(_COLLECTIONS, names, states, strict=True)
    }
    return {key: value for key, value in packed.items() if value or key == "params"}


def _unpacked(names: list[Names], variables: Variables) -> list[Any]:
    collections = zip(_COLLECTIONS, names, strict=True)
    return [name.unpack(variables.get(collection, {})) for collection, name in collections]


class _PaddedBatchNorm(nnx.BatchNorm):
    """BatchNorm that leaves rows of weight 0, which pad a batch, out of its statistics."""

    def __call__(
        self, x: jax.Array, use_running_average: bool | None = None, *, mask: Any = None
    ) -> jax.Array:
        weight = _WEIGHT.get()
        if mask is None and weight is not None and len(x) == len(weight):
            mask = (weight > 0).reshape(-1, *[1] * (x.ndim - 1))
        return super().__call__(x, use_running_average, mask=mask)


@contextlib.contextmanager
def _padding(weight: jax.Array | None) -> Iterator[None]:
    """Tell the BatchNorm layers of the module that is called which rows are padding."""
    token = _WEIGHT.set(weight)
    try:
        yield
    finally:
        _WEIGHT.reset(token)
