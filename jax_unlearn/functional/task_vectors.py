"""Arithmetic of task vectors: what fine-tuning changed in a network's weights."""

from typing import Any

import chex
import jax
import jax.numpy as jnp


@jax.jit
def sign_consensus(vectors: Any) -> Any:
    """Merge task vectors: their mean where all of them have one sign, 0 elsewhere.

    An entry that is exactly 0 in one of them has no sign in common with the others. One vector is
    its own consensus.

    Args:
      vectors: pytree of float arrays [M, ...], of M models.

    Returns:
      A pytree of arrays [...].

    Source: Kim, Han, Choe, "NegMerge: Sign-Consensual Weight Merging for Machine Unlearning", ICML
    2025, arXiv 2410.05583.
    """

    def merge(vector: jax.Array) -> jax.Array:
        agreed = jnp.abs(jnp.sign(vector).sum(axis=0)) == vector.shape[0]
        return jnp.where(agreed, vector.mean(axis=0), 0)

    return jax.tree.map(merge, vectors)


def negate_task_vector(start: Any, vector: Any, coefficient: chex.Numeric) -> Any:
    """Go from ``start`` against a task vector: start - coefficient * vector.

    Args:
      start: pytree of float arrays.
      vector: pytree of the same shapes.
      coefficient: how far; 0 is ``start``.

    Returns:
      A pytree like ``start``.

    Source: Ilharco et al., "Editing Models with Task Arithmetic", ICLR 2023, arXiv 2212.04089.
    """
    chex.assert_trees_all_equal_shapes(start, vector)
    return jax.tree.map(lambda s, v: s - (coefficient * v).astype(s.dtype), start, vector)
