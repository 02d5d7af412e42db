"""Datasets in memory, forget requests and augmentation."""

from jax_unlearn.data.augment import crop_and_flip, draw_offsets
from jax_unlearn.data.dataset import Dataset, hold_out, subset, take
from jax_unlearn.data.loading import load
from jax_unlearn.data.npz import load_npz, save_npz
from jax_unlearn.data.request_text import RequestSpec, make_request, parse_request
from jax_unlearn.data.requests import (
    Request,
    by_class,
    by_ids,
    by_subclass,
    hardest,
    random,
    split,
    test_forgotten,
)
from jax_unlearn.data.stream import open_stream

__all__ = [
    "Dataset",
    "Request",
    "RequestSpec",
    "by_class",
    "by_ids",
    "by_subclass",
    "crop_and_flip",
    "draw_offsets",
    "hardest",
    "hold_out",
    "load",
    "load_npz",
    "make_request",
    "open_stream",
    "parse_request",
    "random",
    "save_npz",
    "split",
    "subset",
    "take",
    "test_forgotten",
]
