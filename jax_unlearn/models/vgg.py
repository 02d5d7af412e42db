"""VGG-16 with batch normalisation and one linear layer.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
2014, arXiv 1409.1556, configuration D.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax

from jax_unlearn.core import Model
from jax_unlearn.models import linen
from jax_unlearn.models.initial import torch_weights

STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Channels in units of the width, and number of convolutions, of each stage."""


# One object, so that equal calls of vgg16_bn give the same Model.
_weights = functools.partial(torch_weights, small_linear=True)


class VGG(nn.Module):
    """3x3 convolutions with biases, BN and ReLU; 2x2 max-pool after each stage; linear layer.

    Features larger than 1x1 (images larger than 32x32) are averaged before the linear layer.

    Attributes:
      num_classes: number of outputs K.
      width: channels of the first stage.
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
        for stage, (factor, count) in enumerate(STAGES, start=1):
            for layer in range(1, count + 1):
                place = f"{stage}_{layer}"
                x = linen.conv3x3(
                    factor * self.width, bias=True, dtype=self.dtype, name=f"conv{place}"
                )(x)
                x = nn.relu(linen.batch_norm(x, train=train, weight=weight, name=f"bn{place}"))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        return linen.pooled_linear(x, self.num_classes, self.dtype)


def vgg16_bn(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 64,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """VGG-16 with batch normalisation and a single linear layer, for images of 32x32 and more.

    Args:
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of the first stage; the last two have eight times as many.
      normalize: mean and standard deviation of the pixels.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.

    Raises:
      InputError: if an argument is out of range.
    """
    return linen.build(
        VGG,
        "vgg16_bn",
        num_classes,
        image_shape,
        width=width,
        normalize=normalize,
        dtype=dtype,
        smallest=32,
        weights=_weights,
    )
