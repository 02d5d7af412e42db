"""Networks by name, each a :class:`jax_unlearn.core.Model`; reading and writing their weights.

Names are looked up when they are first used: Flax imports much that a user of the primitives, or
of another kind of network, does not need.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jax_unlearn.models.conv import convnet
    from jax_unlearn.models.linen import CENTRED, NORMALIZATIONS, Normalization, from_linen
    from jax_unlearn.models.registry import MODELS, find_network, make_model
    from jax_unlearn.models.resnet import resnet8, resnet10, resnet18, resnet20, resnet34
    from jax_unlearn.models.safetensors_io import (
        load_safetensors,
        safetensors_metadata,
        save_safetensors,
    )
    from jax_unlearn.models.torch_weights import import_torch
    from jax_unlearn.models.vgg import vgg16_bn

__all__ = [
    "CENTRED",
    "MODELS",
    "NORMALIZATIONS",
    "Normalization",
    "convnet",
    "find_network",
    "from_linen",
    "import_torch",
    "load_safetensors",
    "make_model",
    "resnet8",
    "resnet10",
    "resnet18",
    "resnet20",
    "resnet34",
    "safetensors_metadata",
    "save_safetensors",
    "vgg16_bn",
]

_MODULES = {
    "conv": ("convnet",),
    "linen": ("CENTRED", "NORMALIZATIONS", "Normalization", "from_linen"),
    "registry": ("MODELS", "find_network", "make_model"),
    "resnet": ("resnet8", "resnet10", "resnet18", "resnet20", "resnet34"),
    "safetensors_io": ("load_safetensors", "safetensors_metadata", "save_safetensors"),
    "torch_weights": ("import_torch",),
    "vgg": ("vgg16_bn",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
