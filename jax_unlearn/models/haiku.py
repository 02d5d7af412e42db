"""Haiku networks as Models. Haiku itself is imported by whoever wrote the network."""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import Model, Variables
from jax_unlearn.models.adapting import check_image_shape, mode_keywords, name_of


def from_haiku(
    network: Any, image_shape: Sequence[int], *, mode: str | None = None, name: str = ""
) -> Model:
    """Make a Model of a Haiku network.

    Dropout (``hk.next_rng_key``) draws from the key of each step, in train mode. Running statistics
    are kept; Haiku's BatchNorm cannot leave out rows that pad a batch, of which a warning tells.

    Args:
      network: a function of images float32 [B, H, W, C] that gives logits [B, K] and, where it has
        modes, takes a keyword ``is_training``, ``train`` or ``training``; or what
        ``hk.transform`` or ``hk.transform_with_state`` make of one.
      image_shape: height, width and channels that the weights are made for.
      mode: the keyword that tells a transformed function that it is in train mode; None for none.
        That of a plain function is found.
      name: shown in tables and error messages; '' takes that of the function.

    Returns:
      A Model whose variables are ``params``, and ``state`` where the network has one, each by
      module and name as Haiku has them, but for scales and offsets, which are [channels].
    """
    shape = check_image_shape(image_shape)
    if hasattr(network, "init") and hasattr(network, "apply"):
        stateful, transformed = "State" in type(network).__name__, network
        told = _keyword(mode)
        label = name or "haiku"
    else:
        import haiku

        stateful, transformed = True, haiku.transform_with_state(network)
        told = mode_keywords(network)
        label = name_of(network, name)

    def made(key: chex.PRNGKey) -> tuple[Any, Any]:
        found = transformed.init(key, jnp.zeros((1, *shape), jnp.float32), **told(True))
        return found if stateful else (found, {})

    shapes, _ = jax.eval_shape(made, jax.random.key(0))

    @jax.jit
    def init(key: chex.PRNGKey) -> Variables:
        params, state = made(key)
        params = jax.tree_util.tree_map_with_path(_without_ones, params)
        return {"params": params, **({"state": state} if state else {})}

    def apply(
        variables: Variables,
        images: jax.Array,
        *,
        train: bool,
        key: chex.PRNGKey | None = None,
    ) -> tuple[jax.Array, Variables]:
        params = jax.tree.map(lambda x, s: x.reshape(s.shape), variables["params"], shapes)
        state = variables.get("state", {})
        given = (params, state, key) if stateful else (params, key)
        found = transformed.apply(*given, images, **told(train))
        logits, state = found if stateful else (found, {})
        kept = {**variables, "state": state} if train and "state" in variables else variables
        return logits, kept

    return Model(init, apply, label)


def _without_ones(path: Any, leaf: jax.Array) -> jax.Array:
    """Scales and offsets as vectors: with axes of length 1 they would pass for weights."""
    vector = path[-1].key in ("scale", "offset") and leaf.size == leaf.shape[-1]
    return leaf.reshape(-1) if vector else leaf


def _keyword(mode: str | None) -> Callable[[bool], dict[str, bool]]:
    return lambda train: {} if mode is None else {mode: train}
