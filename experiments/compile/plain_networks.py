"""The same networks written plainly, with flax's own Conv and BatchNorm: what ours are held to.

No convolution of ours, no mask of padding, no casts but those that flax makes of its own accord.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax

from jax_unlearn.core import Model
from jax_unlearn.models import CENTRED, Normalization, from_linen
from jax_unlearn.models.vgg import STAGES

from .plain_layers import Plain
from .plain_resnets import PlainResNet, PlainResNet50


class PlainConvNet(Plain):
    """Three convolutions."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = self.enter(images)
        for factor, stride in ((1, 1), (2, 2), (4, 2)):
            x = self.conv(factor * self.width, stride=stride)(x)
            x = nn.relu(self.norm(x, train))
        return self.leave(x)


class PlainVGG(Plain):
    """VGG-16 with batch normalisation."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = self.enter(images)
        for factor, count in STAGES:
            for _ in range(count):
                x = self.conv(factor * self.width, bias=True)(x)
                x = nn.relu(self.norm(x, train))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        return self.leave(x)


def _resnet(width: int, *blocks: int) -> tuple[Callable[..., nn.Module], int]:
    return functools.partial(PlainResNet, blocks=blocks), width


PLAIN: Mapping[str, tuple[Callable[..., nn.Module], int]] = MappingProxyType(
    {
        "convnet": (PlainConvNet, 16),
        "resnet8": _resnet(16, 1, 1, 1),
        "resnet10": _resnet(16, 1, 1, 1, 1),
        "resnet18": _resnet(64, 2, 2, 2, 2),
        "resnet20": _resnet(16, 3, 3, 3),
        "resnet34": _resnet(64, 3, 4, 6, 3),
        "resnet50": (PlainResNet50, 64),
        "vgg16_bn": (PlainVGG, 64),
    }
)
"""Plain modules and their usual widths, by the name of the network that they are the same as."""


def plain_model(
    name: str,
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int | None = None,
    normalize: Normalization = CENTRED,
    dtype: str = "float32",
) -> Model | None:
    """The network of a name, written plainly; None where it is not among :data:`PLAIN`.

    Arguments are those of :func:`jax_unlearn.models.make_model`.
    """
    if name not in PLAIN:
        return None
    network, usual = PLAIN[name]
    module: Any = network(
        num_classes=num_classes, width=width or usual, normalize=normalize, dtype=dtype
    )
    height, across, channels = image_shape
    return from_linen(module, (height, across, channels), name=f"plain {name}")
