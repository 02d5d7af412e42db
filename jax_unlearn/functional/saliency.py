"""Which parameters a method may change, and by how much."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from jax_unlearn.core import InputError, check_number


def top_share_mask(scores: Any, share: jax.Array | float) -> Any:
    """Mark the entries with the largest scores, ranked over all leaves at once.

    The weight saliency of SalUn (Fan and others, SalUn: Empowering Machine Unlearning via
    Gradient-based Weight Saliency, 2023, arXiv 2310.12508) is this mask of the absolute gradient
    of the forget loss. Equal scores rank by position, so the count is met exactly.

    Args:
      scores: pytree of finite float arrays with N entries in all, larger = more salient.
      share: share of entries to keep, in [0, 1]; may be traced. share * N is taken in float32
        and rounded down: 0 keeps none, 1 keeps all.

    Returns:
      A pytree of bool arrays with the structure and shapes of ``scores``.

    Raises:
      InputError: for a share out of range or a tree without entries.
    """
    check_number("share", share, low=0, high=1)
    if sum(leaf.size for leaf in jax.tree.leaves(scores)) == 0:
        raise InputError("scores: the tree holds no entries; expected arrays of scores")
    return _top_share_mask(scores, share)


@jax.jit
def _top_share_mask(scores: Any, share: jax.Array | float) -> Any:
    leaves, structure = jax.tree.flatten(scores)
    flat = jnp.concatenate([leaf.ravel() for leaf in leaves])
    count = flat.size
    kept = _count_of(share, count)
    threshold = jnp.sort(flat)[jnp.clip(count - kept, 0, count - 1)]
    above, level = flat > threshold, flat == threshold
    chosen = above | (level & (jnp.cumsum(level) <= kept - jnp.sum(above)))
    chosen = chosen & (kept > 0)

    parts, offset = [], 0
    for leaf in leaves:
        parts.append(chosen[offset : offset + leaf.size].reshape(leaf.shape))
        offset += leaf.size
    return jax.tree.unflatten(structure, parts)


@jax.jit
def ratio_mask(scores: Any, others: Any, threshold: jax.Array | float) -> Any:
    """Mark the entries whose score is at least ``threshold`` times another score.

    1e-15 is added to both, so that where neither has any, the ratio is 1.

    Args:
      scores: pytree of float arrays, >= 0.
      others: pytree of the same structure and shapes, >= 0.
      threshold: >= 0; may be traced.

    Returns:
      A pytree of bool arrays with the structure and shapes of ``scores``.

    References:
      Huang et al., "Unified Gradient-Based Machine Unlearning with Remain Geometry Enhancement",
      NeurIPS 2024, arXiv 2409.19732.
    """
    chex.assert_trees_all_equal_shapes(scores, others)
    return jax.tree.map(lambda a, b: (a + 1e-15) / (b + 1e-15) >= threshold, scores, others)


def where_mask(mask: Any, new: Any, old: Any) -> Any:
    """Take entries of ``new`` where the mask holds, and of ``old``, bit for bit, elsewhere.

    Args:
      mask: pytree of bool arrays.
      new: pytree of the same structure and shapes.
      old: pytree of the same structure, shapes and dtypes as ``new``.

    Returns:
      A pytree like ``new``.
    """
    chex.assert_trees_all_equal_shapes(mask, new, old)
    return jax.tree.map(jnp.where, mask, new, old)


def soft_threshold(params: Any, start: Any, share: jax.Array | float) -> Any:
    """Pull parameters back towards where they were, so far that a share of them gets there.

    With t the distance below or at which the share of all entries lies, ranked over all leaves at
    once, an entry moves by t towards its start, and one that is no further away than t returns to
    it: the proximal step of t * ||theta - theta_start||_1.

    Args:
      params: pytree of float arrays with N entries in all.
      start: pytree of the same structure, shapes and dtypes.
      share: in [0, 1]; may be traced. share * N is rounded down; 0 leaves all where they are.

    Returns:
      A pytree like ``params``.
    """
    chex.assert_trees_all_equal_shapes(params, start)
    moved = jax.tree.map(jnp.subtract, params, start)
    distances = jnp.concatenate([jnp.abs(leaf).ravel() for leaf in jax.tree.leaves(moved)])
    count = _count_of(share, distances.size)
    threshold = jnp.sort(distances)[jnp.maximum(count - 1, 0)]
    threshold = jnp.where(count > 0, threshold, 0)

    def pull(p: jax.Array, d: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.where(jnp.abs(d) > threshold, p - jnp.sign(d) * threshold.astype(p.dtype), s)

    pulled = jax.tree.map(pull, params, moved, start)
    return jax.tree.map(lambda new, old: jnp.where(count > 0, new, old), pulled, params)


def _count_of(share: jax.Array | float, count: int) -> jax.Array:
    """``share * count`` rounded down, int32; a share of 1 or more is all."""
    share = jnp.asarray(share, jnp.float32)
    # 0.29 * 100 may come out just below 29; the thousandth gives such products back.
    kept = jnp.floor(share * jnp.float32(count) + jnp.float32(1e-3)).astype(jnp.int32)
    return jnp.where(share >= 1, count, jnp.minimum(kept, count))
