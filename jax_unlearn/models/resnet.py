"""Residual networks with the CIFAR stem.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv 1512.03385.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax

from jax_unlearn.core import Model
from jax_unlearn.models import linen


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; a 1x1 convolution where the shape changes.

    Attributes:
      features: output channels.
      stride: stride of the first convolution and of the shortcut.
      dtype: compute type.
    """

    features: int
    stride: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, weight: jax.Array | None = None) -> jax.Array:
        """Map [B, H, W, F] to [B, H / stride, W / stride, features]."""
        y = linen.conv3x3(self.features, stride=self.stride, dtype=self.dtype, name="conv1")(x)
        y = nn.relu(linen.batch_norm(y, train=train, weight=weight, name="bn1"))
        y = linen.conv3x3(self.features, dtype=self.dtype, name="conv2")(y)
        y = linen.batch_norm(y, train=train, weight=weight, name="bn2")
        if self.stride != 1 or x.shape[-1] != self.features:
            x = linen.conv1x1(
                self.features, stride=self.stride, dtype=self.dtype, name="downsample_conv"
            )(x)
            x = linen.batch_norm(x, train=train, weight=weight, name="downsample_bn")
        return linen.rectified_sum(x, y)


def blocks(
    kind: Callable[..., nn.Module], counts: Sequence[int], width: int, dtype: str
) -> Iterator[nn.Module]:
    """The blocks of all stages, each stage twice as wide as the one before and half as large.

    Args:
      kind: constructor of a block.
      counts: blocks of each stage.
      width: channels of the first stage.
      dtype: compute type.
    """
    for stage, count in enumerate(counts):
        for block in range(count):
            yield kind(
                features=width * 2**stage,
                stride=2 if stage > 0 and block == 0 else 1,
                dtype=dtype,
                name=f"layer{stage + 1}_{block}",
            )


class ResNet(nn.Module):
    """Stem of one 3x3 convolution at stride 1 without max-pool, stages of basic blocks, linear.

    Every stage after the first halves the resolution and doubles the channels. A halving stem, of
    one 4x4 convolution at stride 2, does so before the first.

    Attributes:
      num_classes: number of outputs K.
      width: channels of the stem and the first stage.
      normalize: mean and standard deviation of the pixels.
      dtype: compute type of convolutions and the linear layer.
      blocks: number of blocks of each stage.
      halving_stem: whether the stem halves the resolution.
    """

    num_classes: int
    width: int
    normalize: linen.Normalization
    dtype: str
    blocks: tuple[int, ...]
    halving_stem: bool = False

    @nn.compact
    def __call__(
        self, images: jax.Array, *, train: bool, weight: jax.Array | None = None
    ) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = linen.normalize_images(images, self.normalize, self.dtype)
        stem = linen.conv4x4_halving if self.halving_stem else linen.conv3x3
        x = stem(self.width, dtype=self.dtype, name="conv1")(x)
        x = nn.relu(linen.batch_norm(x, train=train, weight=weight, name="bn1"))
        for block in blocks(BasicBlock, self.blocks, self.width, self.dtype):
            x = block(x, train=train, weight=weight)
        return linen.pooled_linear(x, self.num_classes, self.dtype)


def resnet18(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 64,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """ResNet-18 with the CIFAR stem: four stages of 2 blocks, for images of 8x8 and more.

    Args:
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of the first stage; the last has eight times as many.
      normalize: mean and standard deviation of the pixels.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.

    Raises:
      InputError: if an argument is out of range.
    """
    return _resnet("resnet18", (2, 2, 2, 2), num_classes, image_shape, width, normalize, dtype)


def resnet34(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 64,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """ResNet-34 with the CIFAR stem: stages of 3, 4, 6 and 3 blocks; arguments as `resnet18`."""
    return _resnet("resnet34", (3, 4, 6, 3), num_classes, image_shape, width, normalize, dtype)


def resnet8(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 16,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """Three stages of one block, the paper's CIFAR family at n = 1; arguments as `resnet18`.

    Shortcuts that change the shape are 1x1 convolutions (the paper's option B).
    """
    return _resnet("resnet8", (1, 1, 1), num_classes, image_shape, width, normalize, dtype)


def resnet8_halved(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 32,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """ResNet-8 behind a stem that halves the image, for training on a CPU.

    Twice as wide as `resnet8` it takes the same number of operations; arguments as `resnet18`.
    """
    blocks = (1, 1, 1)
    return _resnet(
        "resnet8_halved", blocks, num_classes, image_shape, width, normalize, dtype, halving=True
    )


def resnet10(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 16,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """Four stages of one block and narrow, for training on a CPU; arguments as `resnet18`."""
    return _resnet("resnet10", (1, 1, 1, 1), num_classes, image_shape, width, normalize, dtype)


def resnet20(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 16,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """Three stages of three blocks, the paper's CIFAR family at n = 3; as `resnet8` otherwise."""
    return _resnet("resnet20", (3, 3, 3), num_classes, image_shape, width, normalize, dtype)


def _resnet(
    name: str,
    blocks: tuple[int, ...],
    num_classes: int,
    image_shape: Sequence[int],
    width: int,
    normalize: linen.Normalization,
    dtype: str,
    *,
    halving: bool = False,
) -> Model:
    smallest = 2 ** len(blocks) // 2
    # Unsaid where it is not so: what is known by its settings stays known.
    stem: dict[str, Any] = {"halving_stem": True} if halving else {}
    return linen.build(
        ResNet,
        name,
        num_classes,
        image_shape,
        width=width,
        normalize=normalize,
        dtype=dtype,
        smallest=2 * smallest if halving else smallest,
        blocks=blocks,
        **stem,
    )
