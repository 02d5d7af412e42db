"""Whose sensitivity falls from one model to another."""

import numpy as np

from jax_unlearn.core import InputError


def falling_share(before: np.ndarray, after: np.ndarray) -> float:
    """Return the percentage of examples whose value is lower after than before.

    Of input sensitivities from the original to its oracle: an example that was left out of
    training should lose by it, one that stayed in need not (Cheng, Huang, Huang et al., "Machine
    Unlearning by Suppressing Sample Contribution", 2024, arXiv:2402.15109). Where nothing
    distinguishes the two models half of the examples fall; equal values count half.

    Args:
      before: float [N], N >= 1.
      after: float [N], of the same examples in the same order.

    Returns:
      In [0, 100]; NaN if a value is NaN.

    Raises:
      InputError: if the shapes differ or there is no example.
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    if before.shape != after.shape or before.ndim != 1 or not before.size:
        raise InputError(
            f"before {before.shape} and after {after.shape}: expected the same examples, [N] with "
            "N >= 1; take both of the same images"
        )
    if np.isnan(before).any() or np.isnan(after).any():
        return float("nan")
    return 100.0 * float(np.mean((after < before) + 0.5 * (after == before)))
