"""What a method teaches for the sake of forgetting, and what a network makes of it.

Source: He, Li, Cheng, Huang, Huang, "Towards Natural Machine Unlearning", 2024, arXiv:2405.15495.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn import functional
from jax_unlearn.core import FORGET, HYBRID, RETAIN, Model, Pool, Variables
from jax_unlearn.models.predict import predict_logits


class Taught(NamedTuple):
    """Training instances that stand for the forget set, with what a method teaches about them.

    Attributes:
      image: uint8 [M, H, W, C], un-augmented.
      target: float32 [M, K], probabilities.
    """

    image: np.ndarray
    target: np.ndarray


def taught_targets(
    pool: Pool, forget_label: np.ndarray, num_classes: int, *, temperature: float = 1.0
) -> Taught | None:
    """Take from a method's pool what it teaches about the forget set.

    Those are hybrids, forget images under labels that are not theirs, and forget images with a
    teacher's logits (the pool's further leaf ``teacher``). Who shows forget images under their own
    labels moves away from these labels, or reads something else from the images: that is no target.
    Of labels that are drawn afresh at every step the pool holds one draw.

    Args:
      pool: what the method lays out, see :meth:`jax_unlearn.Unlearner.pool`.
      forget_label: int [F], the forget set's own labels.
      num_classes: number of classes K.
      temperature: by which the teacher's logits are divided.

    Returns:
      The instances; None for a method without targets for the forget set.
    """
    role = np.asarray(pool.role)
    rows = np.flatnonzero(role != RETAIN)
    label = np.asarray(pool.label)[rows]
    if "teacher" in pool.extra:
        logits = jnp.asarray(pool.extra["teacher"])[rows] / temperature
        target = np.asarray(jax.nn.softmax(logits, axis=-1))
    elif len(rows) and _is_relabelled(role[rows], label, forget_label):
        target = np.eye(num_classes, dtype=np.float32)[label]
    else:
        return None
    return Taught(np.asarray(pool.image)[rows], target) if len(rows) else None


def _is_relabelled(role: np.ndarray, label: np.ndarray, own: np.ndarray) -> bool:
    shown = label[role == FORGET]
    other = len(shown) != len(own) or bool(np.any(shown != own))
    return bool(np.any(role == HYBRID)) or (len(shown) > 0 and other)


def masked_forget_accuracy(
    model: Model, variables: Variables, forget: np.ndarray, hybrids: Any
) -> float:
    """Return PFA: how often a network gives the masked forget image alone its hybrid's label.

    The forget image is blended with black under the hybrid's mask, x_f * m. High means that the
    network took the label for something that it sees in the forget image itself: the relabelling
    that NatMU's injected images are to avoid.

    Args:
      model: the network.
      variables: its weights.
      forget: uint8 [F, H, W, C].
      hybrids: with ``label`` int [F, n] and ``mask`` float32 [n, H, W, 1], as
        :meth:`jax_unlearn.methods.natmu.NatMU.hybrids` gives them.

    Returns:
      Percent of the F * n masked images.
    """
    label = np.asarray(hybrids.label)
    black = np.zeros((*label.shape, *forget.shape[1:]), np.uint8)
    masked = functional.mix(jnp.asarray(forget), jnp.asarray(black), jnp.asarray(hybrids.mask))
    images = np.asarray(masked).reshape(label.size, *forget.shape[1:])
    predicted = predict_logits(model, variables, images).argmax(axis=1)
    return 100.0 * float(np.mean(predicted == label.ravel()))
