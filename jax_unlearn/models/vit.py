"""Vision transformers.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
2020, arXiv 2010.11929; tiny and small are those of Touvron et al., "Training data-efficient image
transformers & distillation through attention", 2020, arXiv 2012.12877.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jax_unlearn.core import InputError, Model, check_number
from jax_unlearn.models import linen, transformer
from jax_unlearn.models.adapting import check_image_shape
from jax_unlearn.models.initial import transformer_weights


class Attention(nn.Module):
    """Self-attention over all tokens.

    Attributes:
      heads: number of heads.
      dtype: compute type; scores are float32.
    """

    heads: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map tokens [B, T, C] to [B, T, C]."""
        parts = transformer.queries_keys_values(x, self.heads, self.dtype)
        x = transformer.attend(*parts)
        return transformer.dense(x.shape[-1], dtype=self.dtype, name="proj")(x)


class Block(nn.Module):
    """Attention, then an MLP, each of normalised tokens and added to them.

    Attributes:
      heads: number of heads.
      epsilon: of the normalisations.
      dtype: compute type.
    """

    heads: int
    epsilon: float
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map tokens [B, T, C] to [B, T, C]."""
        y = transformer.layer_norm(x, epsilon=self.epsilon, name="norm1")
        x = x + Attention(self.heads, self.dtype, name="attn")(y)
        y = transformer.layer_norm(x, epsilon=self.epsilon, name="norm2")
        return x + transformer.MLP(self.dtype, name="mlp")(y)


class ViT(nn.Module):
    """Patches and a class token, blocks, normalisation, linear layer on the class token.

    Attributes:
      num_classes: number of outputs K.
      width: channels of a token.
      normalize: mean and standard deviation of the pixels.
      dtype: compute type; normalisations, scores and logits are float32.
      patch: height and width of a patch in pixels.
      depth: number of blocks.
      heads: number of heads.
      epsilon: of the normalisations.
    """

    num_classes: int
    width: int
    normalize: linen.Normalization
    dtype: str
    patch: int
    depth: int
    heads: int
    epsilon: float

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        del train
        x = linen.normalize_images(images, self.normalize, self.dtype)
        x = linen.patches(x, self.patch, self.width, self.dtype)
        x = x.reshape(len(x), -1, self.width)
        normal = nn.initializers.normal(0.02)
        first = self.param("cls_token", normal, (1, 1, self.width)).astype(x.dtype)
        x = jnp.concatenate([jnp.broadcast_to(first, (len(x), 1, self.width)), x], axis=1)
        x = x + self.param("pos_embed", normal, (1, *x.shape[1:])).astype(x.dtype)
        for number in range(self.depth):
            x = Block(self.heads, self.epsilon, self.dtype, name=f"blocks_{number}")(x)
        x = transformer.layer_norm(x, epsilon=self.epsilon, name="norm")
        return linen.last_linear(x[:, 0], self.num_classes, self.dtype)


def vit_tiny(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 192,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
    patch: int = 16,
    depth: int = 12,
    heads: int | None = None,
    epsilon: float = 1e-6,
) -> Model:
    """ViT-Ti, for images whose height and width are multiples of the patch.

    Args:
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of a token.
      normalize: mean and standard deviation of the pixels.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.
      patch: height and width of a patch in pixels.
      depth: number of blocks.
      heads: number of heads, of which the width is a multiple; None takes one for 64 channels.
      epsilon: of the normalisations; Hugging Face's transformers has 1e-12, others 1e-6.

    Raises:
      InputError: if an argument is out of range.
    """
    size = (width, patch, depth, heads)
    return _vit("vit_tiny", num_classes, image_shape, size, normalize, dtype, epsilon)


def vit_small(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 384,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
    patch: int = 16,
    depth: int = 12,
    heads: int | None = None,
    epsilon: float = 1e-6,
) -> Model:
    """ViT-S; arguments as `vit_tiny`."""
    size = (width, patch, depth, heads)
    return _vit("vit_small", num_classes, image_shape, size, normalize, dtype, epsilon)


def vit_base(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 768,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
    patch: int = 16,
    depth: int = 12,
    heads: int | None = None,
    epsilon: float = 1e-6,
) -> Model:
    """ViT-B; arguments as `vit_tiny`."""
    size = (width, patch, depth, heads)
    return _vit("vit_base", num_classes, image_shape, size, normalize, dtype, epsilon)


def _vit(
    name: str,
    num_classes: int,
    image_shape: Sequence[int],
    size: tuple[int, int, int, int | None],
    normalize: linen.Normalization,
    dtype: str,
    epsilon: float,
) -> Model:
    """Check a ViT's width, patch, depth and heads, and build it."""
    width, patch, depth, heads = size
    for argument, value in (("width", width), ("patch", patch), ("depth", depth)):
        check_number(argument, value, low=1, whole=True)
    check_number("epsilon", epsilon, above=0)
    heads = max(1, width // transformer.HEAD) if heads is None else heads
    check_number("heads", heads, low=1, whole=True)
    if width % heads:
        raise InputError(
            f"width={width}: expected a multiple of heads={heads}; give another number of heads"
        )
    height, breadth, _ = check_image_shape(image_shape)
    if height % patch or breadth % patch:
        raise InputError(
            f"patch={patch}: expected a divisor of the images' {height}x{breadth} pixels; take "
            "another patch, or resize them"
        )
    return linen.build(
        ViT,
        name,
        num_classes,
        image_shape,
        width=width,
        normalize=normalize,
        dtype=dtype,
        smallest=patch,
        weights=transformer_weights,
        patch=int(patch),
        depth=int(depth),
        heads=int(heads),
        epsilon=float(epsilon),
    )
