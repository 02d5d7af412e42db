"""How transformers and timm describe their networks, in the words of the constructors here."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax_unlearn.core import InputError

_VIT_BY_WIDTH = {192: "vit_tiny", 384: "vit_small", 768: "vit_base"}
_WIDTHS = {name: width for width, name in _VIT_BY_WIDTH.items()}
_TIMM_VIT = re.compile(r"vit_(tiny|small|base)_patch(\d+)_(\d+)")
_TIMM_SWIN = "swin_tiny_patch4_window7_224"
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def weights_are_foreign(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is another package's, and the weights have its names."""
    return "model_type" in config or "architecture" in config


def network_of(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The network's name and the arguments of its constructor.

    Args:
      config: ``config.json`` of transformers or timm.
      folder: holds it, and for transformers ``preprocessor_config.json``, which says how pixels
        are normalised; where it is missing they are as the network's authors had them.

    Raises:
      InputError: the network is none of ViT, Swin and ResNet-50, or of a form that is not known.
    """
    try:
        return _timm(config) if "architecture" in config else _transformers(config, folder)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"source={str(folder)!r}: config.json lacks a setting, or holds one of another form "
            f"({type(error).__name__}: {error}); expected that of a ViT, Swin or ResNet-50"
        ) from error


def _transformers(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    kind = config["model_type"]
    pixels = _preprocessor(folder)
    if kind in ("vit", "deit"):
        width = config["hidden_size"]
        found = {
            "network": _VIT_BY_WIDTH.get(width, "vit_base"),
            "width": width,
            "patch": config["patch_size"],
            "depth": config["num_hidden_layers"],
            "heads": config["num_attention_heads"],
            "epsilon": config.get("layer_norm_eps", 1e-12),
        }
        usual = {"intermediate_size": 4 * width, "hidden_act": "gelu", "qkv_bias": True}
        normalize: Any = ((0.5,), (0.5,))
    elif kind == "swin":
        heads = config["num_heads"]
        found = {
            "network": "swin_tiny",
            "width": config["embed_dim"],
            "window": config["window_size"],
            "depths": config["depths"],
            "heads": heads[0],
        }
        usual = {
            "patch_size": 4,
            "mlp_ratio": 4.0,
            "hidden_act": "gelu",
            "qkv_bias": True,
            "use_absolute_embeddings": False,
            "num_heads": [heads[0] * 2**stage for stage in range(len(heads))],
        }
        normalize = _IMAGENET
    elif kind == "resnet":
        width = config["embedding_size"]
        found = {"network": "resnet50", "width": width}
        usual = {
            "layer_type": "bottleneck",
            "depths": [3, 4, 6, 3],
            "hidden_sizes": [4 * width * 2**stage for stage in range(4)],
            "downsample_in_bottleneck": False,
            "hidden_act": "relu",
        }
        normalize = _IMAGENET
    else:
        raise InputError(
            f"source={str(folder)!r}: a network of type {kind!r}; expected a vit, deit, swin or "
            "resnet (ResNet-50); build another network here and use import_torch"
        )
    _check_usual(config, usual, folder)
    side = config.get("image_size") or _side(pixels)
    return found | {
        "num_classes": len(config["id2label"]) if "id2label" in config else 2,
        "image_shape": (side, side, config.get("num_channels", 3)),
        "normalize": _pixels_of(pixels) or normalize,
    }


def _timm(config: Mapping[str, Any]) -> dict[str, Any]:
    name, given = config["architecture"], config.get("model_args") or {}
    pixels = config["pretrained_cfg"]
    channels, height, width = pixels["input_size"]
    found: dict[str, Any] = {
        "num_classes": config.get("num_classes", pixels.get("num_classes", 1000)),
        "image_shape": (height, width, given.get("in_chans", channels)),
        "normalize": (tuple(pixels["mean"]), tuple(pixels["std"])),
    }
    vit = _TIMM_VIT.fullmatch(name)
    if vit:
        network = f"vit_{vit[1]}"
        found |= {
            "network": network,
            "width": given.get("embed_dim", _WIDTHS[network]),
            "patch": given.get("patch_size", int(vit[2])),
            "depth": given.get("depth", 12),
            "heads": given.get("num_heads"),
        }
    elif name == _TIMM_SWIN:
        heads = given.get("num_heads")
        found |= {
            "network": "swin_tiny",
            "width": given.get("embed_dim", 96),
            "window": given.get("window_size", 7),
            "depths": given.get("depths", (2, 2, 6, 2)),
            "heads": heads[0] if heads else None,
        }
    elif name == "resnet50":
        found["network"] = name
    else:
        raise InputError(
            f"source: timm's {name}; expected vit_tiny, vit_small or vit_base with a patch and a "
            f"size, {_TIMM_SWIN}, or resnet50; build another network here and use import_torch"
        )
    return found


def _check_usual(config: Mapping[str, Any], usual: Mapping[str, Any], folder: Path) -> None:
    """Refuse what weights do not show, so that no other function is computed in silence."""
    for name, value in usual.items():
        if config.get(name, value) != value:
            raise InputError(
                f"source={str(folder)!r}: {name}={config[name]!r} in config.json: expected "
                f"{value!r}, the only form that is known here; take another network"
            )


def _preprocessor(folder: Path) -> Mapping[str, Any]:
    path = folder / "preprocessor_config.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _pixels_of(pixels: Mapping[str, Any]) -> Any:
    if "image_mean" not in pixels or not pixels.get("do_normalize", True):
        return None
    return tuple(pixels["image_mean"]), tuple(pixels["image_std"])


def _side(pixels: Mapping[str, Any]) -> int:
    """Height and width of an image, which the configuration of a ResNet does not tell."""
    size = pixels.get("size", 224)
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge") or 224
    return int(size)
