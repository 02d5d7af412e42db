"""Swin transformers: attention in windows that shift from block to block.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", 2021, arXiv
2103.14030.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import InputError, Model, check_number
from jax_unlearn.models import linen, transformer
from jax_unlearn.models.adapting import check_image_shape
from jax_unlearn.models.initial import transformer_weights

PATCH, WINDOW, HEAD, EPSILON = 4, 7, 32, 1e-5
"""Pixels of a patch's side; tokens of a window's; channels of a head; of the normalisations."""

APART = -100.0
"""Added to the scores of tokens that a shift has brought into one window."""


class WindowAttention(nn.Module):
    """Self-attention within each window, with a learned bias for every offset of two tokens.

    Attributes:
      window: height and width of a window in tokens.
      heads: number of heads.
      dtype: compute type; scores are float32.
    """

    window: int
    heads: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, apart: np.ndarray | None) -> jax.Array:
        """Map windows [B, N, T, C] to the same; ``apart`` [N, T, T] is added to the scores."""
        table = self.param(
            "relative_position_bias_table",
            nn.initializers.normal(0.02),
            ((2 * self.window - 1) ** 2, self.heads),
        )
        bias = jnp.moveaxis(table[offsets(self.window)], -1, 0)[None, None]
        if apart is not None:
            bias = bias + jnp.asarray(apart)[None, :, None]
        parts = transformer.queries_keys_values(x, self.heads, self.dtype)
        x = transformer.attend(*parts, bias=bias)
        return transformer.dense(x.shape[-1], dtype=self.dtype, name="proj")(x)


class Block(nn.Module):
    """Attention in windows, then an MLP, each of normalised tokens and added to them.

    Attributes:
      window: height and width of a window in tokens.
      shift: tokens by which windows are shifted down and to the right.
      heads: number of heads.
      dtype: compute type.
    """

    window: int
    shift: int
    heads: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map tokens [B, H, W, C] to the same."""
        _, height, width, _ = x.shape
        y = transformer.layer_norm(x, epsilon=EPSILON, name="norm1")
        y = jnp.roll(y, (-self.shift, -self.shift), axis=(1, 2)) if self.shift else y
        apart = regions_apart(height, width, self.window, self.shift) if self.shift else None
        y = to_windows(y, self.window)
        y = WindowAttention(self.window, self.heads, self.dtype, name="attn")(y, apart)
        y = from_windows(y, height, width, self.window)
        y = jnp.roll(y, (self.shift, self.shift), axis=(1, 2)) if self.shift else y
        x = x + y
        y = transformer.layer_norm(x, epsilon=EPSILON, name="norm2")
        return x + transformer.MLP(self.dtype, name="mlp")(y)


class Swin(nn.Module):
    """Patches, four stages of blocks, average over tokens, linear layer.

    Before each stage but the first, four neighbours become one token of twice the channels.

    Attributes:
      num_classes: number of outputs K.
      width: channels of the first stage.
      normalize: mean and standard deviation of the pixels.
      dtype: compute type; normalisations, scores and logits are float32.
      depths: number of blocks of each stage.
      window: height and width of a window in tokens.
      heads: number of heads of the first stage, of which each later one has twice as many.
    """

    num_classes: int
    width: int
    normalize: linen.Normalization
    dtype: str
    depths: tuple[int, ...]
    window: int
    heads: int

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Logits float32 [B, K] of images float32 [B, H, W, C] in [0, 1]."""
        del train
        x = linen.normalize_images(images, self.normalize, self.dtype)
        x = linen.patches(x, PATCH, self.width, self.dtype)
        x = transformer.layer_norm(x, epsilon=EPSILON, name="patch_norm")
        for stage, depth in enumerate(self.depths):
            if stage:
                x = self._merged(x, stage)
            # A window as large as the map has nowhere to shift to.
            window = min(self.window, *x.shape[1:3])
            shift = window // 2 if window < min(x.shape[1:3]) else 0
            for number in range(depth):
                x = Block(
                    window=window,
                    shift=shift if number % 2 else 0,
                    heads=self.heads * 2**stage,
                    dtype=self.dtype,
                    name=f"stages_{stage}_{number}",
                )(x)
        x = transformer.layer_norm(x, epsilon=EPSILON, name="norm")
        return linen.pooled_linear(x, self.num_classes, self.dtype)

    def _merged(self, x: jax.Array, stage: int) -> jax.Array:
        """Map [B, H, W, C] to [B, H / 2, W / 2, 2 C]."""
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        x = jnp.concatenate(corners, axis=-1)
        x = transformer.layer_norm(x, epsilon=EPSILON, name=f"merge_{stage}_norm")
        features = self.width * 2**stage
        name = f"merge_{stage}_linear"
        return transformer.dense(features, dtype=self.dtype, bias=False, name=name)(x)


def swin_tiny(
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int = 96,
    normalize: linen.Normalization = linen.CENTRED,
    dtype: str = "float32",
    window: int | None = None,
    depths: Sequence[int] = (2, 2, 6, 2),
    heads: int | None = None,
) -> Model:
    """Swin-T, for images whose sides are multiples of 32 pixels; it is made for 224x224.

    Args:
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of the first stage; the last has eight times as many.
      normalize: mean and standard deviation of the pixels.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.
      window: height and width of a window in tokens, of 4 pixels each at first; in a stage that
        has fewer tokens, a window holds them all. None takes 7, as published, or the next smaller
        one of which every stage has whole ones.
      depths: number of blocks of each stage.
      heads: number of heads of the first stage; None takes one for 32 channels.

    Raises:
      InputError: if an argument is out of range.
    """
    check_number("width", width, low=1, whole=True)
    heads = max(1, width // HEAD) if heads is None else heads
    check_number("heads", heads, low=1, whole=True)
    for depth in depths:
        check_number("depths", depth, low=1, whole=True)
    if width % heads:
        raise InputError(
            f"width={width}: expected a multiple of heads={heads}; give another number of heads"
        )
    sides = check_image_shape(image_shape)[:2]
    smallest = PATCH * 2 ** (len(depths) - 1)
    if any(side % smallest for side in sides):
        raise InputError(
            f"image_shape={sides[0]}x{sides[1]}: swin_tiny halves the tokens of 4x4 pixels before "
            f"each stage but the first: expected multiples of {smallest} pixels; resize the images"
        )
    if window is None:
        window = next(size for size in range(WINDOW, 0, -1) if _fits(size, sides, len(depths)))
    check_number("window", window, low=1, whole=True)
    if not _fits(window, sides, len(depths)):
        raise InputError(
            f"window={window}: expected whole windows in every stage of {sides[0]}x{sides[1]} "
            "pixels; take another one, or None for the largest that fits"
        )
    return linen.build(
        Swin,
        "swin_tiny",
        num_classes,
        image_shape,
        width=width,
        normalize=normalize,
        dtype=dtype,
        smallest=smallest,
        weights=transformer_weights,
        depths=tuple(int(depth) for depth in depths),
        window=int(window),
        heads=int(heads),
    )


def _fits(window: int, sides: Sequence[int], stages: int) -> bool:
    """Whether every stage's map is made of whole windows, which are no larger than it is."""
    maps = [[side // (PATCH * 2**stage) for side in sides] for stage in range(stages)]
    return all(tokens % min(window, *both) == 0 for both in maps for tokens in both)


def offsets(window: int) -> np.ndarray:
    """Row of the table of biases for each two tokens of a window: int [T, T]."""
    places = np.stack(np.meshgrid(*[np.arange(window)] * 2, indexing="ij")).reshape(2, -1)
    down, right = places[:, :, None] - places[:, None, :] + window - 1
    return down * (2 * window - 1) + right


def regions_apart(height: int, width: int, window: int, shift: int) -> np.ndarray:
    """What keeps tokens apart that were no neighbours before the shift: float32 [N, T, T]."""
    number = np.zeros((1, height, width, 1), int)
    parts = (slice(-window), slice(-window, -shift), slice(-shift, None))
    for count, (rows, columns) in enumerate((r, c) for r in parts for c in parts):
        number[:, rows, columns] = count
    (regions,) = to_windows(number, window)[..., 0]
    return np.where(regions[:, :, None] == regions[:, None, :], 0, APART).astype(np.float32)


def to_windows(x: Any, window: int) -> Any:
    """Tokens [B, H, W, C], of JAX or NumPy, as windows [B, N, T, C]."""
    count, height, width, channels = x.shape
    x = x.reshape(count, height // window, window, width // window, window, channels)
    return x.swapaxes(2, 3).reshape(count, -1, window**2, channels)


def from_windows(x: jax.Array, height: int, width: int, window: int) -> jax.Array:
    """Windows [B, N, T, C] as tokens [B, H, W, C]."""
    count, channels = len(x), x.shape[-1]
    x = x.reshape(count, height // window, width // window, window, window, channels)
    return x.swapaxes(2, 3).reshape(count, height, width, channels)
