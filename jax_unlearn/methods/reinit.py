"""Edits of a network's weights before a method starts."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import InputError, Variables, split_variables, with_params


def reinit_linear_layers(key: chex.PRNGKey, variables: Variables) -> Variables:
    """Draw every linear layer's weight anew: Xavier normal with gain sqrt(2); biases stay.

    A linear layer's weight is a parameter of two axes, [inputs, outputs]. The standard deviation
    is sqrt(2) * sqrt(2 / (inputs + outputs)).

    Args:
      key: randomness of the new weights.
      variables: weights of a network.

    Raises:
      InputError: the network has no linear layer.

    Source: He et al., "Towards Natural Machine Unlearning", 2024, arXiv 2405.15495 (class-wise).
    """
    params, _ = split_variables(variables)
    leaves, treedef = jax.tree.flatten(params)
    linear = [i for i, leaf in enumerate(leaves) if jnp.ndim(leaf) == 2]
    if not linear:
        raise InputError(
            "reinit_linear=True: expected a network with a parameter [inputs, outputs]; "
            "set it to False"
        )

    def redraw(index: int, leaf: Any) -> jax.Array:
        deviation = jnp.sqrt(4.0 / sum(leaf.shape)).astype(leaf.dtype)
        draw = jax.random.normal(jax.random.fold_in(key, index), leaf.shape, leaf.dtype)
        return deviation * draw

    leaves = [redraw(i, x) if i in linear else x for i, x in enumerate(leaves)]
    return with_params(variables, jax.tree.unflatten(treedef, leaves))
