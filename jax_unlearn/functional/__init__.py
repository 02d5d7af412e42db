"""Unlearning's formulas: arrays in, arrays out."""

from jax_unlearn.batching import fold_batches, map_batches
from jax_unlearn.functional.attribution import input_times_gradient
from jax_unlearn.functional.divergences import (
    entropy,
    js_divergence,
    kl_divergence,
    without_class,
)
from jax_unlearn.functional.losses import (
    cross_entropy,
    l1_norm,
    smoothed_cross_entropy,
    weighted_mean,
)
from jax_unlearn.functional.mixing import (
    draw_partners,
    mix,
    mixing_masks,
    patch_masks,
    target_classes,
    uniform_masks,
)
from jax_unlearn.functional.saliency import soft_threshold, top_share_mask, where_mask
from jax_unlearn.functional.schedules import (
    constant,
    cosine,
    cosine_by_epoch,
    step_decay,
    triangle_by_epoch,
)
from jax_unlearn.functional.sensitivity import (
    class_sensitivities,
    draw_irrelevant,
    input_sensitivity,
    mean_irrelevant_sensitivity,
    mumis_loss,
    mumis_terms,
    other_classes,
)

__all__ = [
    "class_sensitivities",
    "constant",
    "cosine",
    "cosine_by_epoch",
    "cross_entropy",
    "draw_irrelevant",
    "draw_partners",
    "entropy",
    "fold_batches",
    "input_sensitivity",
    "input_times_gradient",
    "js_divergence",
    "kl_divergence",
    "l1_norm",
    "map_batches",
    "mean_irrelevant_sensitivity",
    "mix",
    "mixing_masks",
    "mumis_loss",
    "mumis_terms",
    "other_classes",
    "patch_masks",
    "smoothed_cross_entropy",
    "soft_threshold",
    "step_decay",
    "target_classes",
    "top_share_mask",
    "triangle_by_epoch",
    "uniform_masks",
    "weighted_mean",
    "where_mask",
    "without_class",
]
