"""Datasets in memory, forget requests and augmentation."""

from jax_unlearn.data.augment import crop_and_flip, draw_offsets
from jax_unlearn.data.dataset import Dataset, hold_out, subset, take
from jax_unlearn.data.folder import load_folder
from jax_unlearn.data.image_options import ImageOptions
from jax_unlearn.data.loading import load
from jax_unlearn.data.npz import load_npz, save_npz
from jax_unlearn.data.request import Request
from jax_unlearn.data.request_making import Scores, changed, make_request, stand_in
from jax_unlearn.data.request_sequences import (
    draws,
    last_step,
    step_before,
    steps_of,
    with_seeds,
    with_steps,
    without_group,
    without_seed,
)
from jax_unlearn.data.request_text import RequestSpec, parse_request
from jax_unlearn.data.requests import (
    by_class,
    by_ids,
    by_subclass,
    hardest,
    random,
    sequence,
    split,
    test_forgotten,
)
from jax_unlearn.data.strata import memorization, memorization_groups, memorization_strata
from jax_unlearn.data.stream import open_stream

__all__ = [
    "Dataset",
    "ImageOptions",
    "Request",
    "RequestSpec",
    "Scores",
    "by_class",
    "by_ids",
    "by_subclass",
    "changed",
    "crop_and_flip",
    "draw_offsets",
    "draws",
    "hardest",
    "hold_out",
    "last_step",
    "load",
    "load_folder",
    "load_npz",
    "make_request",
    "memorization",
    "memorization_groups",
    "memorization_strata",
    "open_stream",
    "parse_request",
    "random",
    "save_npz",
    "sequence",
    "split",
    "stand_in",
    "step_before",
    "steps_of",
    "subset",
    "take",
    "test_forgotten",
    "with_seeds",
    "with_steps",
    "without_group",
    "without_seed",
]
