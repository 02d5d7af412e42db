"""ResNet-50 with the ImageNet stem.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv 1512.03385; the
stride is in the 3x3 convolution, as in all that is published with PyTorch weights.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from jax_unlearn.core import Model
from jax_unlearn.models import linen
from jax_unlearn.models.resnet import blocks

BLOCKS = (3, 4, 6, 3)
"""Number of blocks of each stage."""

EXPANSION = 4
"""Channels that leave a block, in units of those inside it."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut; a 1x1 convolution where the shape changes.

    Attributes:
      features: channels inside; four times as many leave.
      stride: stride of the 3x3 convolution and of the shortcut.
      dtype: compute type.
    """

    features: int
    stride: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, weight: jax.Array | None = None) -> jax.Array:
        """Map [B, H, W, F] to [B, H / stride, W / stride, 4 features]."""
        out = EXPANSION * self.features
        y = linen.conv1x1(self.features, dtype=self.dtype, name="conv1")(x)
        y = nn.relu(linen.batch_norm(y, train=train, weight=weight, name="bn1"))
        y = linen.conv3x3(self.features, stride=self.stride, dtype=self.dtype, name="conv2")(y)
        y = nn.relu(linen.batch_norm(y, train=train, weight=weight, name="bn2"))
        y = linen.conv1x1(out, dtype=self.dtype, name="conv3")(y)
        y = linen.batch_norm(y, train=train, weight=weight, name="bn3")
        if self.stride != 1 or x.shape[-1] != out:
            x = linen.conv1x1(out, stride=self.stride, dtype=self.dtype, name="downsample_conv")(x)
            x = linen.batch_norm(x, train=train, weight=weight, name="downsample_bn")
        return linen.rectified_sum(x, y)


class ResNet50(nn.Module):
    """Stem of a 7x7 convolution and a max-pool, stages of bottlenecks, linear layer.

    The stem divides the resolution by four, every stage after the first halves it.

    Attributes:
      num_classes: number of outputs K.
      width: channels of the stem.
      normalize: mean and standard deviation of the pixels.
      dtype: compute type of convolutions and the linear layer.
    """

    num_classes: int
    width: int
    normalize: linen.Normalization
    dtype: str

    @nn.compact
    def __call__(
        self, images: jax.Array, *, train: bool, weight: jax.Array | None = None
    ) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        x = linen.normalize_images(images, self.normalize, self.dtype)
        x = linen.conv7x7(self.width, stride=2, dtype=self.dtype, name="conv1")(x)
        x = nn.relu(linen.batch_norm(x, train=train, weight=weight, name="bn1"))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for block in blocks(Bottleneck, BLOCKS, self.width, self.dtype):
            x = block(x, train=train, weight=weight)
        return linen.pooled_linear(x, self.num_classes, self.dtype)


def resnet50(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 64,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """ResNet-50 for images of 32x32 and more; it is made for 224x224.

    Args:
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of the stem; 32 times as many reach the linear layer.
      normalize: mean and standard deviation of the pixels.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.

    Raises:
      InputError: if an argument is out of range.
    """
    return linen.build(
        ResNet50,
        "resnet50",
        num_classes,
        image_shape,
        width=width,
        normalize=normalize,
        dtype=dtype,
        smallest=32,
    )
