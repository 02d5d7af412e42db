"""What a network's input gradients tell: how strongly logits depend on images, and on which pixels.

Source of the sensitivities: Cheng, Huang, Huang et al., "Machine Unlearning by Suppressing Sample
Contribution", 2024, arXiv:2402.15109. An example that was trained on leaves the network more
sensitive to it.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import Model, Variables, to_unit


class Sensitivities(NamedTuple):
    """Squared L2 norms of input gradients, of images in [0, 1].

    Attributes:
      true_class: float32 [N], of the label's logit.
      irrelevant: float32 [N], of the other classes' logits, the mean over them.
    """

    true_class: jax.Array | np.ndarray
    irrelevant: jax.Array | np.ndarray


def input_sensitivities(
    model: Model, variables: Variables, images: np.ndarray, labels: np.ndarray, num_classes: int
) -> Sensitivities:
    """Take the sensitivities of the true and of the irrelevant classes, in eval mode.

    Costs a forward pass and K backward passes.

    Args:
      model: the network.
      variables: its weights.
      images: uint8 [N, H, W, C], N >= 1.
      labels: int [N], in [0, K).
      num_classes: number of classes K, >= 2.
    """
    rows = functional.rows_at_once(images.shape[1:])
    size = max(1, rows // num_classes)

    def both(images: jax.Array, labels: jax.Array) -> Sensitivities:
        return _sensitivities(model, variables, images, labels, num_classes, rows // size)

    return functional.map_batches(both, (images, np.asarray(labels, np.int32)), size)


def relevance_maps(
    model: Model, variables: Variables, images: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Take input x gradient of the label's logit, summed over channels, in eval mode.

    Args:
      model: the network.
      variables: its weights.
      images: uint8 [N, H, W, C], N >= 1.
      labels: int [N].

    Returns:
      float32 [N, H, W], positive where a pixel speaks for the label.
    """

    def maps(images: jax.Array, labels: jax.Array) -> jax.Array:
        return _relevance(model, variables, images, labels)

    # These keep what the forward pass made, each for itself.
    size = max(1, functional.rows_at_once(images.shape[1:]) // 4)
    return functional.map_batches(maps, (images, np.asarray(labels, np.int32)), size)


@functools.partial(jax.jit, static_argnames=("model", "num_classes", "at_once"))
def _sensitivities(
    model: Model,
    variables: Variables,
    images: jax.Array,
    labels: jax.Array,
    num_classes: int,
    at_once: int,
) -> Sensitivities:
    logits_fn, images = functools.partial(model.logits, variables), to_unit(images)
    return Sensitivities(
        functional.input_sensitivity(logits_fn, images, labels),
        functional.mean_irrelevant_sensitivity(
            logits_fn, images, labels, num_classes, at_once=at_once
        ),
    )


@functools.partial(jax.jit, static_argnames="model")
def _relevance(
    model: Model, variables: Variables, images: jax.Array, labels: jax.Array
) -> jax.Array:
    logits_fn = functools.partial(model.logits, variables)
    return functional.input_times_gradient(logits_fn, to_unit(images), labels).sum(axis=-1)
