"""Unlearning's formulas: arrays in, arrays out."""

from jax_unlearn.batching import fold_batches, map_batches
from jax_unlearn.functional.attacks import (
    Adversaries,
    fgsm,
    nearest_adversaries,
    project_l2,
    random_offsets,
    targeted_adversaries,
    targeted_pgd,
)
from jax_unlearn.functional.attribution import input_times_gradient
from jax_unlearn.functional.consolidation import hold_unimportant, weighted_distance
from jax_unlearn.functional.curvature import (
    Solution,
    WoodFisher,
    conjugate_gradients,
    hessian_vector_product,
    woodfisher,
    woodfisher_step,
)
from jax_unlearn.functional.dampening import dampen
from jax_unlearn.functional.divergences import entropy, js_divergence, kl_divergence, without_class
from jax_unlearn.functional.error_noise import error_maximizing_noise
from jax_unlearn.functional.gradients import LossFn, mean_gradient, per_example_gradients
from jax_unlearn.functional.importances import (
    Measure,
    batch_importance,
    exact_importance,
    fisher_information,
)
from jax_unlearn.functional.losses import (
    cross_entropy,
    focal_weights,
    l1_norm,
    smoothed_cross_entropy,
    squared_norm,
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
from jax_unlearn.functional.noise import Gaussian, bounded_noise, scrubbing_noise
from jax_unlearn.functional.saliency import ratio_mask, soft_threshold, top_share_mask, where_mask
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
    rows_at_once,
)
from jax_unlearn.functional.smoothness import local_lipschitz, perturb
from jax_unlearn.functional.task_vectors import negate_task_vector, sign_consensus

__all__ = [
    "Adversaries",
    "Gaussian",
    "LossFn",
    "Measure",
    "Solution",
    "WoodFisher",
    "batch_importance",
    "bounded_noise",
    "class_sensitivities",
    "conjugate_gradients",
    "constant",
    "cosine",
    "cosine_by_epoch",
    "cross_entropy",
    "dampen",
    "draw_irrelevant",
    "draw_partners",
    "entropy",
    "error_maximizing_noise",
    "exact_importance",
    "fgsm",
    "fisher_information",
    "focal_weights",
    "fold_batches",
    "hessian_vector_product",
    "hold_unimportant",
    "input_sensitivity",
    "input_times_gradient",
    "js_divergence",
    "kl_divergence",
    "l1_norm",
    "local_lipschitz",
    "map_batches",
    "mean_gradient",
    "mean_irrelevant_sensitivity",
    "mix",
    "mixing_masks",
    "mumis_loss",
    "mumis_terms",
    "nearest_adversaries",
    "negate_task_vector",
    "other_classes",
    "patch_masks",
    "per_example_gradients",
    "perturb",
    "project_l2",
    "random_offsets",
    "ratio_mask",
    "rows_at_once",
    "scrubbing_noise",
    "sign_consensus",
    "smoothed_cross_entropy",
    "soft_threshold",
    "squared_norm",
    "step_decay",
    "target_classes",
    "targeted_adversaries",
    "targeted_pgd",
    "top_share_mask",
    "triangle_by_epoch",
    "uniform_masks",
    "weighted_distance",
    "weighted_mean",
    "where_mask",
    "without_class",
    "woodfisher",
    "woodfisher_step",
]
