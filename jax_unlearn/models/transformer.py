"""What vision transformers share: attention's projections, the MLP, and initial weights."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jax_unlearn.models import mixed

HEAD = 64
"""Channels of a head in ViT."""


def dense(features: int, *, dtype: str, bias: bool = True, name: str) -> nn.Dense:
    """Linear layer of a token."""
    return mixed.dense(features, use_bias=bias, dtype=dtype, name=name)


def layer_norm(x: jax.Array, *, epsilon: float, name: str) -> jax.Array:
    """Layer normalisation over channels, in float32; keeps ``x``'s type.

    Call it inside a module's compact ``__call__``.
    """
    # The variance as a mean of squares of differences, as PyTorch has it.
    layer = nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)
    return layer(x.astype(jnp.float32)).astype(x.dtype)


def queries_keys_values(
    x: jax.Array, heads: int, dtype: str
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Queries, keys and values [..., T, heads, D] of tokens [..., T, C], of one layer ``qkv``."""
    *batch, tokens, channels = x.shape
    found = dense(3 * channels, dtype=dtype, name="qkv")(x)
    found = found.reshape(*batch, tokens, 3, heads, channels // heads)
    queries, keys, values = jnp.moveaxis(found, -3, 0)
    return queries, keys, values


def attend(
    queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array | None = None
) -> jax.Array:
    """Scaled dot-product attention: [..., T, C] of queries, keys and values [..., T, heads, D].

    Args:
      queries: what asks.
      keys: what is asked for.
      values: what is given.
      bias: float32, added to the scores [..., heads, T, T]; None for none.
    """
    scores = jnp.einsum("...qhd,...khd->...hqk", queries, keys).astype(jnp.float32)
    scores = scores * queries.shape[-1] ** -0.5
    if bias is not None:
        scores = scores + bias
    weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
    given = jnp.einsum("...hqk,...khd->...qhd", weights, values)
    return given.reshape(*given.shape[:-2], -1)


class MLP(nn.Module):
    """Linear layer to four times the channels, GELU, linear layer back.

    Attributes:
      dtype: compute type.
    """

    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [..., C] to [..., C]."""
        channels = x.shape[-1]
        x = dense(4 * channels, dtype=self.dtype, name="fc1")(x)
        return dense(channels, dtype=self.dtype, name="fc2")(jax.nn.gelu(x, approximate=False))
