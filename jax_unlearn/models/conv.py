"""A small convolutional network for small images, such as 8x8 digits."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from jax_unlearn.core import Model
from jax_unlearn.models import linen


class ConvNet(nn.Module):
    """Three 3x3 convolutions (width, 2 width, 4 width; strides 1, 2, 2), each with BN and ReLU.

    Then a global average pool and a linear layer.

    Attributes:
      num_classes: number of outputs K.
      width: channels of the first convolution.
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
        for i, (factor, stride) in enumerate(((1, 1), (2, 2), (4, 2)), start=1):
            x = linen.conv3x3(
                factor * self.width, stride=stride, dtype=self.dtype, name=f"conv{i}"
            )(x)
            x = nn.relu(linen.batch_norm(x, train=train, weight=weight, name=f"bn{i}"))
        return linen.pooled_linear(x, self.num_classes, self.dtype)


def convnet(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 16,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
) -> Model:
    """Three convolutions with batch normalisation, for images of 4x4 pixels and more.

    Args:
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of the first convolution; the others have twice and four times as many.
      normalize: mean and standard deviation of the pixels.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.

    Raises:
      InputError: if an argument is out of range.
    """
    return linen.build(
        ConvNet,
        "convnet",
        num_classes,
        image_shape,
        width=width,
        normalize=normalize,
        dtype=dtype,
        smallest=4,
    )
