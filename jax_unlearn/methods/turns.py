"""Rows of several kinds in one batch, in turn, so that each of several devices has its share."""

import functools
import itertools
import math
from typing import Any

import jax
import numpy as np


def in_turn(*parts: Any) -> np.ndarray:
    """Deal the rows of every kind into as many groups as their numbers have in common.

    Args:
      *parts: int arrays [steps, B_k], rows of each kind.

    Returns:
      [steps, sum of B_k]: group after group, and in each its share of every kind.
    """
    parts = tuple(map(np.asarray, parts))
    groups = math.gcd(*(part.shape[1] for part in parts))
    dealt = [part.reshape(len(part), groups, -1) for part in parts]
    return np.concatenate(dealt, axis=2).reshape(len(parts[0]), -1)


def apart(batch: Any, *sizes: int) -> list[Any]:
    """Take the rows of every kind out of a batch of :func:`in_turn`; padding stays out.

    Args:
      batch: pytree of arrays [B, ...].
      *sizes: number B_k of the rows of each kind.

    Returns:
      A pytree of arrays [B_k, ...] for each kind.
    """
    groups, total = math.gcd(*sizes), sum(sizes)
    ends = np.cumsum([0, *sizes]) // groups

    def taken(x: jax.Array, start: int, end: int) -> jax.Array:
        of_group = x[:total].reshape(groups, total // groups, *x.shape[1:])
        return of_group[:, start:end].reshape(-1, *x.shape[1:])

    return [
        jax.tree.map(functools.partial(taken, start=start, end=end), batch)
        for start, end in itertools.pairwise(ends)
    ]
