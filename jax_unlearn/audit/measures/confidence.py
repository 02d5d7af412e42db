"""Logit-scaled confidence: the one number per model and example that comparisons of banks use."""

import numpy as np

from jax_unlearn.core import InputError
from jax_unlearn.wording import counted


def logit_confidence(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return log p_y - log(1 - p_y), the log-odds of the true class, in nats, float64 [..., N].

    Computed as z_y - logsumexp of the other logits, so that nearly certain answers keep their
    digits. The same number is the margin of KLOM. Unlike the probability it is close to Gaussian
    over retrained models. Range: all reals. Needs one model.

    Args:
      logits: floating [..., N, K], K >= 2; a row that holds NaN or inf gives NaN.
      label: integer [N], in [0, K).

    Raises:
      InputError: if the shapes do not fit or a label is no class.

    References:
      Carlini et al., "Membership Inference Attacks From First Principles", 2022, arXiv:2112.03570.
    """
    logits = np.asarray(logits, np.float64)
    label = np.asarray(label)
    if logits.ndim < 2 or logits.shape[-1] < 2 or label.shape != logits.shape[-2:-1]:
        raise InputError(
            f"logits={list(logits.shape)} and label={list(label.shape)}: expected [..., N, K] with "
            "K >= 2 and [N]; pass the logits of all classes"
        )
    if not np.issubdtype(label.dtype, np.integer):
        raise InputError(f"label={label.dtype} array: expected integers, the true classes")
    classes = logits.shape[-1]
    if label.size and not (label.min() >= 0 and label.max() < classes):
        raise InputError(
            f"label={label.min()}..{label.max()}: expected classes in [0, {classes}), the columns "
            "of logits"
        )
    true = np.broadcast_to(label[..., None], (*logits.shape[:-1], 1))
    true_logit = np.take_along_axis(logits, true, axis=-1)
    others = logits.copy()
    np.put_along_axis(others, true, -np.inf, axis=-1)
    with np.errstate(invalid="ignore"):
        top = others.max(axis=-1, keepdims=True)
        confidence = true_logit - top - np.log(np.exp(others - top).sum(axis=-1, keepdims=True))
    return np.where(np.isfinite(logits).all(axis=-1), confidence[..., 0], np.nan)


def check_banks(
    name: str, bank: np.ndarray, other_name: str, other: np.ndarray, *, at_least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return two banks' values as float64 [models, examples], or say what does not fit.

    Args:
      name: of the first argument, for the message.
      bank: floating [N, E], one row per model.
      other_name: of the second argument.
      other: floating [M, E], the same examples.
      at_least: models that each bank must hold.

    Raises:
      InputError: if a bank is no matrix, the numbers of examples differ, or models are too few.
    """
    bank, other = np.asarray(bank, np.float64), np.asarray(other, np.float64)
    if bank.ndim != 2 or other.ndim != 2 or bank.shape[1:] != other.shape[1:] or not bank.shape[1]:
        raise InputError(
            f"{name}={list(bank.shape)} and {other_name}={list(other.shape)}: expected "
            "[models, examples] with the same examples, at least one; predict one set with both"
        )
    for argument, models in ((name, len(bank)), (other_name, len(other))):
        if models < at_least:
            raise InputError(
                f"{argument}={counted(models, 'model')}: expected at least {at_least}; train a "
                "larger bank"
            )
    return bank, other
