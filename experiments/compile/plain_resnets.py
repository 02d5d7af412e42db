"""Residual networks in flax's own layers."""

from collections.abc import Iterator

import flax.linen as nn
import jax

from jax_unlearn.models.bottleneck import BLOCKS, EXPANSION

from .plain_layers import Plain


class PlainResNet(Plain):
    """Stages of basic blocks behind a 3x3 stem."""

    blocks: tuple[int, ...]

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = nn.relu(self.norm(self.conv(self.width)(self.enter(images)), train))
        for features, stride in stages(self.width, self.blocks):
            x = self._block(x, features, stride, train)
        return self.leave(x)

    def _block(self, x: jax.Array, features: int, stride: int, train: bool) -> jax.Array:
        y = nn.relu(self.norm(self.conv(features, stride=stride)(x), train))
        y = self.norm(self.conv(features)(y), train)
        if stride != 1 or x.shape[-1] != features:
            x = self.norm(self.conv(features, 1, stride)(x), train)
        return nn.relu(x + y)


class PlainResNet50(Plain):
    """Stages of bottlenecks behind ImageNet's stem."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = self.conv(self.width, 7, 2)(self.enter(images))
        x = nn.relu(self.norm(x, train))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for features, stride in stages(self.width, BLOCKS):
            x = self._block(x, features, stride, train)
        return self.leave(x)

    def _block(self, x: jax.Array, features: int, stride: int, train: bool) -> jax.Array:
        out = EXPANSION * features
        y = nn.relu(self.norm(self.conv(features, 1)(x), train))
        y = nn.relu(self.norm(self.conv(features, stride=stride)(y), train))
        y = self.norm(self.conv(out, 1)(y), train)
        if stride != 1 or x.shape[-1] != out:
            x = self.norm(self.conv(out, 1, stride)(x), train)
        return nn.relu(x + y)


def stages(width: int, blocks: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Width and stride of each block: a stage is twice as wide as the one before, and halves."""
    for stage, count in enumerate(blocks):
        for block in range(count):
            yield width * 2**stage, 2 if stage > 0 and block == 0 else 1
