"""Networks by name, each a :class:`jax_unlearn.core.Model`; reading and writing their weights.

Names are looked up when they are first used: Flax imports much that a user of the primitives, or
of another kind of network, does not need.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jax_unlearn.models.bottleneck import resnet50
    from jax_unlearn.models.conv import convnet
    from jax_unlearn.models.equinox import from_equinox
    from jax_unlearn.models.haiku import from_haiku
    from jax_unlearn.models.linen import CENTRED, NORMALIZATIONS, Normalization, from_linen
    from jax_unlearn.models.nnx import from_nnx, nnx_variables, update_nnx
    from jax_unlearn.models.pretrained import Pretrained, from_pretrained, save_pretrained
    from jax_unlearn.models.registry import MODELS, find_network, make_model
    from jax_unlearn.models.resnet import (
        resnet8,
        resnet8_halved,
        resnet10,
        resnet18,
        resnet20,
        resnet34,
    )
    from jax_unlearn.models.safetensors_io import (
        load_safetensors,
        safetensors_metadata,
        save_safetensors,
    )
    from jax_unlearn.models.swin import swin_tiny
    from jax_unlearn.models.torch_weights import import_torch
    from jax_unlearn.models.vgg import vgg16_bn
    from jax_unlearn.models.vit import vit_base, vit_small, vit_tiny

__all__ = [
    "CENTRED",
    "MODELS",
    "NORMALIZATIONS",
    "Normalization",
    "Pretrained",
    "convnet",
    "find_network",
    "from_equinox",
    "from_haiku",
    "from_linen",
    "from_nnx",
    "from_pretrained",
    "import_torch",
    "load_safetensors",
    "make_model",
    "nnx_variables",
    "resnet8",
    "resnet8_halved",
    "resnet10",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "safetensors_metadata",
    "save_pretrained",
    "save_safetensors",
    "swin_tiny",
    "update_nnx",
    "vgg16_bn",
    "vit_base",
    "vit_small",
    "vit_tiny",
]

_MODULES = {
    "bottleneck": ("resnet50",),
    "conv": ("convnet",),
    "equinox": ("from_equinox",),
    "haiku": ("from_haiku",),
    "linen": ("CENTRED", "NORMALIZATIONS", "Normalization", "from_linen"),
    "nnx": ("from_nnx", "nnx_variables", "update_nnx"),
    "pretrained": ("Pretrained", "from_pretrained", "save_pretrained"),
    "registry": ("MODELS", "find_network", "make_model"),
    "resnet": ("resnet8", "resnet8_halved", "resnet10", "resnet18", "resnet20", "resnet34"),
    "safetensors_io": ("load_safetensors", "safetensors_metadata", "save_safetensors"),
    "swin": ("swin_tiny",),
    "torch_weights": ("import_torch",),
    "vgg": ("vgg16_bn",),
    "vit": ("vit_base", "vit_small", "vit_tiny"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
