"""What a classifier's probabilities say about each example: the features that attacks use."""

import numpy as np

from jax_unlearn.core import check_choice

MODIFIED_ENTROPY_VARIANTS = ("definition", "salun", "sfron")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax, float64 [N, K], in nats.

    Args:
      logits: floating [N, K]; -inf excludes a class, a row that holds NaN or inf gives NaN.
    """
    from scipy import special

    logits = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        found = special.log_softmax(logits, axis=-1)
    # SciPy leaves -inf to the other classes of such a row.
    return np.where(np.isposinf(logits).any(axis=-1, keepdims=True), np.nan, found)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return class probabilities float64 [N, K] of logits [N, K]."""
    return np.exp(log_softmax(logits))


def confidence(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the probability of the true class, float64 [N] in [0, 1].

    Args:
      probabilities: floating [N, K], rows sum to 1.
      label: integer [N], in [0, K).
    """
    return np.asarray(probabilities, np.float64)[np.arange(len(label)), label]


def correctness(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return 1 where the most probable class is the true one and 0 elsewhere, float64 [N].

    Args:
      probabilities: floating [N, K].
      label: integer [N], in [0, K).
    """
    return (np.argmax(probabilities, axis=-1) == label).astype(np.float64)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return the Shannon entropy of each row, float64 [N], in nats.

    Args:
      probabilities: floating [N, K], rows sum to 1; a zero adds nothing.
    """
    # The sum of scipy.special.entr differs in the last bit of some rows.
    p = np.asarray(probabilities, np.float64)
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)


def cross_entropy(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return -log p_y, the loss of each example, float64 [N], in nats, >= 0.

    Args:
      logits: floating [N, K]; a row that holds NaN or inf gives NaN.
      label: integer [N], in [0, K).
    """
    return -log_softmax(logits)[np.arange(len(label)), label]


def modified_entropy(
    probabilities: np.ndarray, label: np.ndarray, *, variant: str = "definition"
) -> np.ndarray:
    """Return -(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i), float64 [N], in nats.

    Unlike the entropy it is small for a confident right answer and large for a confident wrong
    one. 1 - p of the most probable class is summed from the other classes, so a nearly certain
    answer loses no digits; a probability of exactly 0 counts as the smallest positive float64.

    Args:
      probabilities: floating [N, K], rows sum to 1.
      label: integer [N], in [0, K).
      variant: 'definition', or 'salun' and 'sfron' for what two released codes compute, one and
        the same: log p_i stands in the place of log(1 - p_i), and 1 - p_i in the place of p_i
        for every class that is the label of ANY example of the set, not only of this one. Where
        all K classes occur that is -sum over i of (1 - p_i) log p_i: it knows no label and is
        LARGE for every confident answer. A probability of 0 counts as 1e-30, as there.

    Raises:
      InputError: for an unknown variant.

    References:
      Song and Mittal, "Systematic Evaluation of Privacy Risks of Machine Learning Models", 2021,
      arXiv:2003.10595. The variants: Fan et al., "SalUn: Empowering Machine Unlearning via
      Gradient-based Weight Saliency", 2024, arXiv:2310.12508; Huang et al., "Unified
      Gradient-Based Machine Unlearning with Remain Geometry Enhancement", 2024, arXiv:2409.19732.
    """
    check_choice("variant", variant, MODIFIED_ENTROPY_VARIANTS)
    p = np.asarray(probabilities, np.float64)
    if variant != "definition":
        weight = p.copy()
        columns = np.unique(label)
        weight[:, columns] = 1.0 - p[:, columns]
        return -np.sum(weight * np.log(np.where(p > 0, p, 1e-30)), axis=-1)
    rows = np.arange(len(p))
    top = np.argmax(p, axis=-1)
    others = p.copy()
    others[rows, top] = 0.0
    complement = 1.0 - p
    complement[rows, top] = others.sum(axis=-1)
    tiny = np.finfo(np.float64).tiny
    terms = p * np.log(np.maximum(complement, tiny))
    terms[rows, label] = complement[rows, label] * np.log(np.maximum(p[rows, label], tiny))
    return -terms.sum(axis=-1)
