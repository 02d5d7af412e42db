"""Networks as small as those of which the golden files hold pretrained weights."""

import functools
import pathlib
import types

import numpy as np
import pytest

from jax_unlearn.models import MODELS

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
SETTINGS = {
    "vit": ("vit_tiny", 32, {"width": 16, "patch": 8, "depth": 2, "heads": 2}),
    "swin": ("swin_tiny", 64, {"width": 4, "depths": (2, 2, 2, 1), "heads": 2, "window": 2}),
    "resnet50": ("resnet50", 64, {"width": 2}),
}


@functools.cache
def model_of(kind, classes=5, **changes):
    name, side, settings = SETTINGS[kind]
    return MODELS[name](classes, (side, side, 3), **(settings | changes))


def images_of(kind):
    side = SETTINGS[kind][1]
    return np.random.RandomState(side).uniform(size=(4, side, side, 3)).astype(np.float32)


def file_of(name, ending="safetensors"):
    return GOLDEN / f"pretrained_{name}.{ending}"


@pytest.fixture(scope="session")
def tiny():
    """Models, images and files by kind (``vit``) and by name (``vit_timm``)."""
    return types.SimpleNamespace(model_of=model_of, images_of=images_of, file_of=file_of)
