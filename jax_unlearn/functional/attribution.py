"""Which pixels a logit rests on."""

import chex
import jax

from jax_unlearn.functional.sensitivity import LogitsFn


def input_times_gradient(logits_fn: LogitsFn, images: jax.Array, classes: jax.Array) -> jax.Array:
    """Return the relevance of every input value for one logit: x * d logit / d x.

    A ReLU network without biases has relevances that sum to the logit; biases and normalisation
    add what no input value is charged with. Where the input is 0, as on a black ground, so is the
    relevance. Zeiler and Fergus's occlusion or integrated gradients answer the same question at
    many times the cost.

    Args:
      logits_fn: maps images [B, ...] to logits [B, K], each example on its own (eval mode).
      images: float [B, ...].
      classes: int [B], the logit that is explained, in [0, K).

    Returns:
      The dtype and shape of ``images``; positive where the input speaks for the class.

    References:
      Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating
      Activation Differences", 2016, arXiv:1605.01713.
    """
    chex.assert_rank(classes, 1)
    logits, pull = jax.vjp(logits_fn, images)
    (gradient,) = pull(jax.nn.one_hot(classes, logits.shape[1], dtype=logits.dtype))
    return images * gradient
