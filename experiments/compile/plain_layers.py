"""What plain networks share: flax's own layers, as flax gives them."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jax_unlearn.models import Normalization


class Plain(nn.Module):
    """What all share: normalised pixels in, layers of one type, pooled logits out."""

    num_classes: int
    width: int
    normalize: Normalization
    dtype: str

    def enter(self, images: jax.Array) -> jax.Array:
        """Normalised pixels."""
        mean, std = (jnp.asarray(x, jnp.float32).reshape(1, 1, 1, -1) for x in self.normalize)
        return ((images - mean) / std).astype(self.dtype)

    def conv(self, features: int, size: int = 3, stride: int = 1, *, bias: bool = False) -> nn.Conv:
        """A convolution that keeps the size at stride 1."""
        pad = size // 2
        return nn.Conv(
            features, (size, size), stride, ((pad, pad),) * 2, use_bias=bias, dtype=self.dtype
        )

    def norm(self, x: jax.Array, train: bool) -> jax.Array:
        """Batch normalisation."""
        return nn.BatchNorm(
            use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype
        )(x)

    def leave(self, x: jax.Array) -> jax.Array:
        """Logits float32."""
        pooled = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.num_classes, dtype=self.dtype)(pooled).astype(jnp.float32)
