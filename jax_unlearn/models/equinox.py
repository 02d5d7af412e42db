"""Equinox networks as Models. Equinox is imported where the first of them is made."""

import inspect
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import InputError, Model, Variables
from jax_unlearn.models.adapting import Names, name_of

_THEIRS, _OURS = (0, 1), (-1, -2)
"""Where a weight has its outputs and inputs."""


def from_equinox(
    make: Callable[[chex.PRNGKey], Any],
    *,
    channels_first: bool = True,
    axis_name: str = "batch",
    name: str = "",
) -> Model:
    """Make a Model of an Equinox network, which maps one image to the logits of K classes.

    Dropout draws from the key of each step, another for each image; ``inference`` flags are set
    by mode. A network with a state, such as BatchNorm's running values, is made by
    ``eqx.nn.make_with_state`` and called as ``module(image, state, key=...)``; its BatchNorm cannot
    leave out rows that pad a batch, of which a warning tells. ::

        model = ju.from_equinox(lambda key: Network(key))
        model = ju.from_equinox(lambda key: eqx.nn.make_with_state(Network)(key))

    Args:
      make: ``make(key) -> module``, or ``-> (module, state)``; the module is called as
        ``module(image, key=key)``, ``key`` where it takes one.
      channels_first: whether the module takes an image as [C, H, W], as Equinox's layers do, and
        not as [H, W, C].
      axis_name: of the axis of examples, as the network's BatchNorm names it.
      name: shown in tables and error messages; '' takes that of the module's class.

    Returns:
      A Model whose variables are nested dicts by the modules' fields: ``params``, all arrays of
      floating point numbers; and ``state``, which is the network's and all other arrays.
      Weights lie there as everywhere here, inputs and outputs last: [in, out] of a linear layer,
      [height, width, in, out] of a convolution, whose bias is [out].

    Raises:
      InputError: ``make`` gives no Equinox module.
    """
    import equinox as eqx

    split: list[Any] = []

    def parts(key: chex.PRNGKey) -> tuple[Any, Any]:
        made = make(key)
        stateful = isinstance(made, tuple) and len(made) == 2
        module, state = made if stateful else (made, None)
        if not isinstance(module, eqx.Module):
            raise InputError(
                f"make={name_of(make, name)!r}: gives an object of type {type(module).__name__}: "
                "expected an eqx.Module, or one and its state; see eqx.nn.make_with_state"
            )
        params, rest = eqx.partition(module, eqx.is_inexact_array)
        arrays, static = eqx.partition((rest, state), eqx.is_array)
        split[:] = [static, stateful, type(module), _kinds(module, params)]
        return params, arrays

    shapes = jax.eval_shape(parts, jax.random.key(0))
    static, stateful, network_class, kinds = split
    names = [Names.of(tree) for tree in shapes]
    takes_key = "key" in inspect.signature(network_class.__call__).parameters

    @jax.jit
    def init(key: chex.PRNGKey) -> Variables:
        return packed(*parts(key))

    def packed(params: Any, arrays: Any) -> Variables:
        kept = {"state": names[1].pack(arrays)} if names[1].paths else {}
        return {"params": names[0].pack(jax.tree.map(_to_ours, kinds, params)), **kept}

    def apply(
        variables: Variables,
        images: jax.Array,
        *,
        train: bool,
        key: chex.PRNGKey | None = None,
    ) -> tuple[jax.Array, Variables]:
        params = jax.tree.map(_to_theirs, kinds, names[0].unpack(variables["params"]), shapes[0])
        arrays = names[1].unpack(variables.get("state", {}))
        rest, state = eqx.combine(arrays, static)
        network = eqx.nn.inference_mode(eqx.combine(params, rest), value=not train)
        images = jnp.moveaxis(images, -1, 1) if channels_first else images
        keys = None if key is None or not takes_key else jax.random.split(key, len(images))

        def one(image: jax.Array, key: Any, state: Any) -> Any:
            drawn = {"key": key} if takes_key else {}
            return network(image, state, **drawn) if stateful else (network(image, **drawn), None)

        over = jax.vmap(one, in_axes=(0, 0, None), out_axes=(0, None), axis_name=axis_name)
        logits, after = over(images, keys, state)
        if not (train and stateful):
            return logits, variables
        kept, _ = eqx.partition((rest, after), eqx.is_array)
        return logits, {**variables, "state": names[1].pack(kept)}

    return Model(init, apply, name or network_class.__name__)


def _kinds(module: Any, params: Any) -> Any:
    """What each array is: ``'weight'``, a convolution's ``'bias'``, or neither, ``''``."""
    import equinox as eqx

    layers = (eqx.nn.Linear, eqx.nn.Conv, eqx.nn.ConvTranspose)
    found, _ = jax.tree_util.tree_flatten_with_path(module, is_leaf=lambda x: isinstance(x, layers))
    at = {path for path, node in found if isinstance(node, layers)}

    def kind(path: Any, leaf: jax.Array) -> str:
        name = getattr(path[-1], "name", "")
        if path[:-1] in at and name in ("weight", "bias"):
            return name
        # A kernel that a network convolves with itself.
        return "weight" if leaf.ndim == 4 else ""

    return jax.tree_util.tree_map_with_path(kind, params)


def _to_ours(kind: str, leaf: jax.Array) -> jax.Array:
    if kind == "weight":
        return jnp.moveaxis(leaf, _THEIRS, _OURS)
    return leaf.reshape(-1) if kind == "bias" else leaf


def _to_theirs(kind: str, leaf: jax.Array, like: jax.ShapeDtypeStruct) -> jax.Array:
    if kind == "weight":
        return jnp.moveaxis(leaf, _OURS, _THEIRS)
    return leaf.reshape(like.shape) if kind == "bias" else leaf
