"""How far one model's predictions lie from another's, example by example, averaged.

All take logits on the same examples in the same order and compute in float64; NaN logits give
NaN. Divergences are in nats and are means over examples, never divided by the number of classes.
"""

import numpy as np

from jax_unlearn.audit.probabilities import log_softmax, softmax
from jax_unlearn.core import InputError


def kl_oracle_to_unlearned(oracle_logits: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean over examples of KL(oracle || unlearned), in nats, >= 0.

    Taken on the forget set this is one reading of the KL_avg in He et al., "Towards Natural
    Machine Unlearning", 2024, arXiv:2405.15495; :func:`kl_training_targets` is the other.

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K] of the unlearned model.

    Raises:
      InputError: if the shapes differ.
    """
    _check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    return float(np.mean(_kl(log_softmax(oracle_logits), log_softmax(logits))))


def kl_training_targets(targets: np.ndarray, oracle_logits: np.ndarray) -> float:
    """Return the mean over training instances of KL(target || oracle), in nats, >= 0.

    The second reading of the KL_avg in He et al., 2024, arXiv:2405.15495: how unnatural are the
    things a method teaches? The instances are those the method trains on for the sake of
    forgetting (relabelled forget images, hybrids), the oracle is asked about the same instances.
    For a one-hot target it is the oracle's cross-entropy.

    Args:
      targets: floating [N, K], the probabilities the method is trained towards.
      oracle_logits: floating [N, K], the oracle on the same instances.

    Raises:
      InputError: if the shapes differ, or a row of targets is no distribution.
    """
    _check_same_shape("targets", targets, "oracle_logits", oracle_logits)
    targets = np.asarray(targets, np.float64)
    bad = ~(np.all(targets >= 0, axis=1) & (np.abs(targets.sum(axis=1) - 1) < 1e-4))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"targets[{row}]=a row that sums to {targets[row].sum():g}: expected probabilities "
            ">= 0 that sum to 1; pass softmax or one-hot rows"
        )
    with np.errstate(divide="ignore"):
        return float(np.mean(_kl(np.log(targets), log_softmax(oracle_logits))))


def jensen_shannon(oracle_logits: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean Jensen-Shannon divergence, in nats, in [0, log 2].

    0.5 KL(p || m) + 0.5 KL(q || m) with m = (p + q) / 2; symmetric in its arguments.

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K].

    Raises:
      InputError: if the shapes differ.
    """
    _check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    p, q = log_softmax(oracle_logits), log_softmax(logits)
    with np.errstate(invalid="ignore"):
        m = np.logaddexp(p, q) - np.log(2.0)
    return float(np.mean(0.5 * _kl(p, m) + 0.5 * _kl(q, m)))


def activation_distance(oracle_logits: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean Euclidean distance between the two softmax vectors, in [0, sqrt 2].

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K].

    Raises:
      InputError: if the shapes differ.

    References:
      Golatkar et al., "Mixed-Privacy Forgetting in Deep Networks", 2021, arXiv:2012.13431.
    """
    _check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    return float(np.mean(np.linalg.norm(softmax(logits) - softmax(oracle_logits), axis=1)))


def completeness(oracle_logits: np.ndarray, logits: np.ndarray) -> float:
    """Return the share of examples, in [0, 1], on which both models choose the same class.

    Args:
      oracle_logits: floating [N, K].
      logits: floating [N, K].

    Raises:
      InputError: if the shapes differ.
    """
    _check_same_shape("oracle_logits", oracle_logits, "logits", logits)
    if not (np.isfinite(oracle_logits).all() and np.isfinite(logits).all()):
        return float("nan")
    return float(np.mean(np.argmax(oracle_logits, axis=1) == np.argmax(logits, axis=1)))


def _kl(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    p = np.exp(log_p)
    # A class of probability zero adds nothing, although its logarithm is -inf; NaN stays NaN.
    with np.errstate(invalid="ignore"):
        return np.sum(np.where(p == 0, 0.0, p * (log_p - log_q)), axis=1)


def _check_same_shape(name: str, array: np.ndarray, other_name: str, other: np.ndarray) -> None:
    shape, other_shape = np.shape(array), np.shape(other)
    if shape != other_shape or len(shape) != 2 or not shape[0]:
        raise InputError(
            f"{name}={list(shape)} and {other_name}={list(other_shape)}: expected the same shape "
            "[N, K], N >= 1; predict the same examples with both models"
        )
