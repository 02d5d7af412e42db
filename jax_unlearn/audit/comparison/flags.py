"""Runs that must not pass for results: collapsed models, and models that never changed."""

from collections.abc import Sequence

import numpy as np

from jax_unlearn.audit.measures.accuracy import accuracy
from jax_unlearn.core import Outputs, Predictions


def chance_level(outputs: Outputs) -> float:
    """Return the percentage right of the best answer that ignores the image, in [0, 100].

    It is the share of the most frequent label: no constant or random answer does better on
    average, and in a class-wise request it is above 100 / K.
    """
    label = np.asarray(outputs.label)
    return 100.0 * float(np.bincount(label).max()) / len(label)


def is_finite(predictions: Predictions) -> bool:
    """Return whether no logit is NaN or infinite."""
    outputs = predictions.forget, predictions.retain, predictions.test
    return all(bool(np.isfinite(o.logits).all()) for o in outputs)


def best_model(models: Sequence[Predictions]) -> Predictions | None:
    """Return the model that answers most of the retain set: it shows what can be learnt.

    The first oracle will not do, for it may have learnt nothing itself.

    Args:
      models: originals and oracles.

    Returns:
      Its predictions; None where no model has finite logits.
    """
    finite = [predictions for predictions in models if is_finite(predictions)]
    return max(finite, key=lambda predictions: accuracy(predictions.retain), default=None)


def is_collapsed(predictions: Predictions, original: Predictions) -> bool:
    """Return whether a model holds NaN or infinite logits, or answers retain examples by chance.

    By chance: the retain accuracy lies within a margin above :func:`chance_level`, or below it.
    The margin is three standard deviations of a random answer on as many examples, or a tenth of
    the original's lead over chance where that is more: nine tenths of what was learnt are gone,
    which is farther from any oracle than a weak method comes.

    Args:
      predictions: the model in question.
      original: a model that works on the same sets, whose lead shows what can be learnt.
    """
    if not is_finite(predictions):
        return True
    chance = chance_level(predictions.retain)
    spread = np.sqrt(chance * (100.0 - chance) / len(predictions.retain.label))
    lead = accuracy(original.retain) - chance
    margin = np.fmax(3.0 * spread, 0.1 * lead)
    return bool(accuracy(predictions.retain) <= chance + margin)


def is_no_op(predictions: Predictions, original: Predictions) -> bool:
    """Return whether every logit equals the original's but for float32 rounding.

    Args:
      predictions: the model in question.
      original: the original model of the same seed on the same sets.
    """
    return all(
        np.allclose(mine.logits, theirs.logits, rtol=1e-5, atol=1e-5)
        for mine, theirs in zip(predictions[:3], original[:3], strict=True)
    )
