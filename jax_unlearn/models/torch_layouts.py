"""Names that PyTorch's packages give to the arrays of the networks here.

A layout is a list of replacements, from a name here with PyTorch's words for its last part
(``blocks_0.attn.qkv.weight``) to the name there. Where a package holds queries, keys and values
apart, ``{}`` stands for the word that tells them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Replacement = tuple[str, str | Callable[[re.Match[str]], str]]

PARTS = ("query", "key", "value")
"""Of what is one layer here, in the order in which it holds them."""

_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}

_WRAPPERS = re.compile(r"^((module|net|model|_orig_mod)\.)+")
_PACKAGES = re.compile(r"^(vit|deit|swin|resnet)\.")
_LINEAR = re.compile(r"^(fc|linear|classifier(\.\d+)?)\.(?=weight$|bias$)")
_UNUSED = re.compile(
    # Counters, tables of indices and masks that follow from shapes, and layers beside the network.
    r"num_batches_tracked$|relative_position_index$|attn_mask$|^pooler\.|mask_token$"
)


class Layout(NamedTuple):
    """How a package names a network's arrays.

    Attributes:
      package: what uses these names.
      rename: a name there from one here.
      usual: other names for the same, as found, to those that ``rename`` gives.
    """

    package: str
    rename: Callable[[str], str]
    usual: Callable[[str], str]

    def names(self, ours: str) -> tuple[str, ...]:
        """The array, or the three that are one here, in which an array is found."""
        *modules, leaf = ours.removeprefix("params.").removeprefix("batch_stats.").split(".")
        theirs = self.rename(".".join([*modules, _LEAVES.get(leaf, leaf)]))
        return tuple(theirs.format(part) for part in PARTS) if "{}" in theirs else (theirs,)

    def found(self, name: str) -> str:
        """The usual name of an array that was found; '' for one that no network here has."""
        name = _PACKAGES.sub("", _WRAPPERS.sub("", name))
        return "" if _UNUSED.search(name) else self.usual(name)


def layouts_of(ours: Sequence[str]) -> list[Layout]:
    """The layouts in which a network's weights come, by its names; none where it is another's."""
    heads = {name.split(".")[1] for name in ours if "." in name}
    if "cls_token" in heads and "blocks_0" in heads:
        return [Layout(package, _by(rules), _usual_mlp) for package, rules in _VIT.items()]
    if "stages_0_0" in heads:
        return [Layout(package, _by(rules), _usual_mlp) for package, rules in _SWIN.items()]
    if "layer1_0" in heads:
        return [
            Layout("torchvision", _by(_RESNET), _usual_linear("fc")),
            Layout("transformers", _by(_TRANSFORMERS_RESNET), str),
        ]
    layers = sorted(head for head in heads if re.fullmatch(r"conv\d_\d", head))
    if layers:
        return [Layout("torchvision", _vgg(layers), _usual_linear("classifier"))]
    return []


def _by(rules: Sequence[Replacement]) -> Callable[[str], str]:
    def rename(name: str) -> str:
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        return name

    return rename


def _usual_linear(linear: str) -> Callable[[str], str]:
    """CIFAR code has other words for a shortcut and for the linear layer."""

    def usual(name: str) -> str:
        return _LINEAR.sub(f"{linear}.", name.replace(".shortcut.", ".downsample."))

    return usual


def _usual_mlp(name: str) -> str:
    """Files of torchvision's first ViTs call the MLP's layers otherwise than it does now."""
    return name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.")


def _vgg(layers: Sequence[str]) -> Callable[[str], str]:
    def rename(name: str) -> str:
        place = re.match(r"(conv|bn)(\d)_(\d)", name)
        if place is None:
            return re.sub(r"^fc\.", "classifier.", name)
        # PyTorch counts convolution, normalisation and ReLU of each layer, and each stage's pool.
        kind, stage, layer = place.groups()
        index = 3 * layers.index(f"conv{stage}_{layer}") + int(stage) - 1 + (kind == "bn")
        return f"features.{index}{name[place.end() :]}"

    return rename


def _moved(template: str, number: Callable[[int], int]) -> Callable[[re.Match[str]], str]:
    """A replacement that counts otherwise: ``number`` of the first group, the rest as they are."""
    return lambda match: template.format(number(int(match[1])), *match.groups()[1:])


_TORCHVISION_MLP: list[Replacement] = [(r"\.mlp\.fc1\.", ".mlp.0."), (r"\.mlp\.fc2\.", ".mlp.3.")]
_TRANSFORMERS: list[Replacement] = [
    (r"^patch_embed\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^fc\.", "classifier."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
]

_VIT: Mapping[str, list[Replacement]] = {
    "timm": [
        (r"^patch_embed\.", "patch_embed.proj."),
        (r"^blocks_(\d+)", r"blocks.\1"),
        (r"^fc\.", "head."),
    ],
    "torchvision": [
        (r"^patch_embed\.", "conv_proj."),
        (r"^cls_token$", "class_token"),
        (r"^pos_embed$", "encoder.pos_embedding"),
        (r"^norm\.", "encoder.ln."),
        (r"^fc\.", "heads.head."),
        (r"^blocks_(\d+)", r"encoder.layers.encoder_layer_\1"),
        (r"\.norm(\d)\.", r".ln_\1."),
        (r"\.attn\.qkv\.", ".self_attention.in_proj_"),
        (r"\.attn\.proj\.", ".self_attention.out_proj."),
        *_TORCHVISION_MLP,
    ],
    "transformers": [
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^pos_embed$", "embeddings.position_embeddings"),
        (r"^blocks_(\d+)", r"encoder.layer.\1"),
        (r"\.attn\.qkv\.", ".attention.attention.{}."),
        *_TRANSFORMERS,
    ],
}

_TIMM_SWIN: list[Replacement] = [
    (r"^patch_embed\.", "patch_embed.proj."),
    (r"^patch_norm\.", "patch_embed.norm."),
    (r"^stages_(\d+)_(\d+)", r"layers.\1.blocks.\2"),
]

_SWIN: Mapping[str, list[Replacement]] = {
    "timm": [
        *_TIMM_SWIN,
        (r"^merge_(\d+)_norm", r"layers.\1.downsample.norm"),
        (r"^merge_(\d+)_linear", r"layers.\1.downsample.reduction"),
        (r"^fc\.", "head.fc."),
    ],
    # As its authors have it: what halves the map ends a stage.
    "timm before 0.9": [
        *_TIMM_SWIN,
        (r"^merge_(\d+)_norm", _moved("layers.{}.downsample.norm", lambda n: n - 1)),
        (r"^merge_(\d+)_linear", _moved("layers.{}.downsample.reduction", lambda n: n - 1)),
        (r"^fc\.", "head."),
    ],
    "torchvision": [
        (r"^patch_embed\.", "features.0.0."),
        (r"^patch_norm\.", "features.0.2."),
        (r"^stages_(\d+)_(\d+)", _moved("features.{}.{}", lambda n: 2 * n + 1)),
        (r"^merge_(\d+)_norm", _moved("features.{}.norm", lambda n: 2 * n)),
        (r"^merge_(\d+)_linear", _moved("features.{}.reduction", lambda n: 2 * n)),
        (r"^fc\.", "head."),
        *_TORCHVISION_MLP,
    ],
    "transformers": [
        (r"^patch_norm\.", "embeddings.norm."),
        (r"^stages_(\d+)_(\d+)", r"encoder.layers.\1.blocks.\2"),
        (r"^merge_(\d+)_norm", _moved("encoder.layers.{}.downsample.norm", lambda n: n - 1)),
        (r"^merge_(\d+)_linear", _moved("encoder.layers.{}.downsample.reduction", lambda n: n - 1)),
        (r"\.attn\.qkv\.", ".attention.self.{}."),
        (r"\.attn\.relative", ".attention.self.relative"),
        *_TRANSFORMERS,
    ],
}

_RESNET: list[Replacement] = [
    (r"^layer(\d)_(\d+)", r"layer\1.\2"),
    (r"downsample_conv", "downsample.0"),
    (r"downsample_bn", "downsample.1"),
]

_TRANSFORMERS_RESNET: list[Replacement] = [
    (r"^conv1\.", "embedder.embedder.convolution."),
    (r"^bn1\.", "embedder.embedder.normalization."),
    (r"^layer(\d)_(\d+)", _moved("encoder.stages.{}.layers.{}", lambda n: n - 1)),
    (r"\.conv(\d)\.", _moved(".layer.{}.convolution.", lambda n: n - 1)),
    (r"\.bn(\d)\.", _moved(".layer.{}.normalization.", lambda n: n - 1)),
    (r"\.downsample_conv\.", ".shortcut.convolution."),
    (r"\.downsample_bn\.", ".shortcut.normalization."),
    (r"^fc\.", "classifier.1."),
]
