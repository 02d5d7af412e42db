"""The same networks written plainly, with flax's own Conv and BatchNorm: what ours are held to.

No convolution of ours, no mask of padding, no casts but those that flax makes of its own accord.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jax_unlearn.core import Model
from jax_unlearn.models import CENTRED, Normalization, from_linen
from jax_unlearn.models.vgg import STAGES


class _Plain(nn.Module):
    """What all share: normalised pixels in, layers of one type, pooled logits out."""

    num_classes: int
    width: int
    normalize: Normalization
    dtype: str

    def _enter(self, images: jax.Array) -> jax.Array:
        mean, std = (jnp.asarray(x, jnp.float32).reshape(1, 1, 1, -1) for x in self.normalize)
        return ((images - mean) / std).astype(self.dtype)

    def _conv(
        self, features: int, size: int = 3, stride: int = 1, *, bias: bool = False
    ) -> nn.Conv:
        pad = size // 2
        return nn.Conv(
            features, (size, size), stride, ((pad, pad),) * 2, use_bias=bias, dtype=self.dtype
        )

    def _norm(self, x: jax.Array, train: bool) -> jax.Array:
        return nn.BatchNorm(
            use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype
        )(x)

    def _leave(self, x: jax.Array) -> jax.Array:
        pooled = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.num_classes, dtype=self.dtype)(pooled).astype(jnp.float32)


class PlainConvNet(_Plain):
    """Three convolutions."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = self._enter(images)
        for factor, stride in ((1, 1), (2, 2), (4, 2)):
            x = self._conv(factor * self.width, stride=stride)(x)
            x = nn.relu(self._norm(x, train))
        return self._leave(x)


class PlainResNet(_Plain):
    """Stages of basic blocks behind a 3x3 stem."""

    blocks: tuple[int, ...]

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = nn.relu(self._norm(self._conv(self.width)(self._enter(images)), train))
        for stage, count in enumerate(self.blocks):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                x = self._block(x, self.width * 2**stage, stride, train)
        return self._leave(x)

    def _block(self, x: jax.Array, features: int, stride: int, train: bool) -> jax.Array:
        y = nn.relu(self._norm(self._conv(features, stride=stride)(x), train))
        y = self._norm(self._conv(features)(y), train)
        if stride != 1 or x.shape[-1] != features:
            x = self._norm(self._conv(features, 1, stride)(x), train)
        return nn.relu(x + y)


class PlainVGG(_Plain):
    """VGG-16 with batch normalisation."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = self._enter(images)
        for factor, count in STAGES:
            for _ in range(count):
                x = self._conv(factor * self.width, bias=True)(x)
                x = nn.relu(self._norm(x, train))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        return self._leave(x)


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
