"""Flax linen networks behind :class:`jax_unlearn.core.Model`, and the layers they share."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.backend import platform
from jax_unlearn.core import InputError, Model, Variables, check_choice, check_number
from jax_unlearn.models import mixed
from jax_unlearn.models.adapting import check_image_shape, mode_keywords, name_of
from jax_unlearn.models.initial import torch_weights

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of pixels in [0, 1]: one number a channel, or one for them all."""

CENTRED: Normalization = ((0.5,), (0.5,))
"""Maps [0, 1] to [-1, 1]; for data whose own statistics are not listed."""

_CIFAR100: Normalization = ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))

NORMALIZATIONS: Mapping[str, Normalization] = MappingProxyType(
    {
        "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        "cifar20": _CIFAR100,
        "cifar100": _CIFAR100,
        "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "tiny_imagenet200": ((0.4802, 0.4481, 0.3975), (0.2764, 0.2689, 0.2816)),
    }
)
"""The training sets' own statistics by data set; where a name is missing use ``CENTRED``."""


def normalize_images(images: jax.Array, normalization: Normalization, dtype: str) -> jax.Array:
    """Subtract the mean and divide by the deviation in float32, then cast.

    Args:
      images: float32 [B, H, W, C] in [0, 1].
      normalization: mean and standard deviation, of length C or 1 each.
      dtype: what the network computes in, one of :data:`jax_unlearn.models.mixed.DTYPES`.
    """
    mean, std = (np.asarray(x, np.float32).reshape(1, 1, 1, -1) for x in normalization)
    return ((images - mean) / std).astype(mixed.compute_type(dtype))


def conv3x3(
    features: int, *, stride: int = 1, bias: bool = False, dtype: str = "float32", name: str
) -> nn.Conv:
    """3x3 convolution padded by one pixel on every side, at stride 2 too, as in PyTorch."""
    # 'SAME' pads the far side only at stride 2.
    return _conv(features, 3, stride=stride, padding=1, bias=bias, dtype=dtype, name=name)


def conv7x7(features: int, *, stride: int, dtype: str = "float32", name: str) -> nn.Conv:
    """7x7 convolution without bias, padded by three pixels on every side: ImageNet's stem."""
    return _conv(features, 7, stride=stride, padding=3, dtype=dtype, name=name)


def conv4x4_halving(features: int, *, dtype: str = "float32", name: str) -> nn.Conv:
    """4x4 convolution at stride 2 without bias, padded by one pixel on every side.

    It halves even heights and widths, and every pixel enters as many of its outputs.
    """
    return _conv(features, 4, stride=2, padding=1, dtype=dtype, name=name)


def conv1x1(features: int, *, stride: int = 1, dtype: str = "float32", name: str) -> nn.Conv:
    """1x1 convolution without bias."""
    return _conv(features, 1, stride=stride, dtype=dtype, name=name)


def patches(images: jax.Array, patch: int, features: int, dtype: str) -> jax.Array:
    """Tokens [B, H / patch, W / patch, features] of images [B, H, W, C]: a layer ``patch_embed``.

    Call it inside a module's compact ``__call__``.
    """
    return _conv(features, patch, stride=patch, bias=True, dtype=dtype, name="patch_embed")(images)


def _conv(
    features: int,
    side: int,
    *,
    stride: int,
    padding: int = 0,
    bias: bool = False,
    dtype: str,
    name: str,
) -> nn.Conv:
    """Square convolution, padded by as many pixels on every side."""
    return mixed.conv(
        features,
        (side, side),
        strides=stride,
        padding=((padding, padding), (padding, padding)),
        use_bias=bias,
        dtype=dtype,
        name=name,
    )


def batch_norm(
    x: jax.Array, *, train: bool, weight: jax.Array | None = None, name: str
) -> jax.Array:
    """Batch normalisation with PyTorch's eps 1e-5 and momentum, in float32; keeps ``x``'s type.

    Running values move by a tenth of the way to the batch's (PyTorch's ``momentum=0.1``). The
    running variance follows the biased batch variance, where PyTorch's follows the unbiased one.
    Rows of ``weight`` 0, float32 [B], are padding and do not enter the batch's statistics. Call it
    inside a module's compact ``__call__``.
    """
    layer = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name=name)
    # The cast is explicit: linen's own mix of a bfloat16 input with float32 statistics promotes
    # types silently.
    mask = None if weight is None else (weight > 0).reshape(-1, *[1] * (x.ndim - 1))
    return layer(x.astype(jnp.float32), mask=mask).astype(x.dtype)


def rectified_sum(x: jax.Array, y: jax.Array) -> jax.Array:
    """ReLU of x + y, where what a block makes of its input joins the input."""
    return _kept_relu(x + y) if platform() == "gpu" else nn.relu(x + y)


@jax.custom_jvp
def _kept_relu(x: jax.Array) -> jax.Array:
    """ReLU whose derivative is told from its result.

    The next layer has the result in memory anyhow. For a derivative told from the sum a GPU reads
    both addends again: 3.6 % of all bytes of a ResNet-18's step. A TPU would read more this way.
    """
    return jax.lax.optimization_barrier(jnp.maximum(x, 0))


@_kept_relu.defjvp
def _kept_relu_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    out = _kept_relu(*primals)
    return out, jnp.where(out > 0, tangents[0], 0)


def pooled_linear(features: jax.Array, num_classes: int, dtype: str) -> jax.Array:
    """Global average pool and linear layer ``fc``: [B, H, W, F] to float32 logits [B, K].

    Call it inside a module's compact ``__call__``. The average is taken in float32.
    """
    return last_linear(jnp.mean(features.astype(jnp.float32), axis=(1, 2)), num_classes, dtype)


def last_linear(features: jax.Array, num_classes: int, dtype: str) -> jax.Array:
    """Linear layer ``fc``: [B, F] to float32 logits [B, K]."""
    return mixed.dense(num_classes, dtype=dtype, name="fc")(features).astype(jnp.float32)


@functools.lru_cache(maxsize=256)
def from_linen(
    module: nn.Module,
    image_shape: tuple[int, int, int],
    *,
    name: str = "",
    weights: Callable[[chex.PRNGKey, Variables], Variables] | None = None,
    draws: bool = True,
    config: str = "",
) -> Model:
    """Wrap a linen module as a Model; equal arguments give the very same Model.

    A Model is a static argument of jitted functions, so one object means one compilation.

    Dropout, and whatever else asks for random numbers by ``make_rng``, draws from the key of each
    step. Rows that pad a batch stay out of the statistics of ``nn.BatchNorm``.

    Args:
      module: called as ``module(images)``, gives logits [B, K]; told its mode by the keyword
        ``train``, ``training``, ``is_training`` or ``deterministic`` where it takes one. Its
        collections other than ``'params'`` (``'batch_stats'``) are updated in train mode. If it
        takes the keyword ``weight`` too, it is given the rows' weights in train mode: 0 is
        padding. It must be hashable.
      image_shape: height, width and channels that the weights are made for.
      name: shown in tables and error messages; '' takes that of the module's class.
      weights: ``weights(key, shapes) -> variables``, draws the initial weights instead of the
        module's own initialisers.
      draws: whether it may draw random numbers in train mode; False leaves them out of every
        program.
      config: see :class:`~jax_unlearn.core.Model`.
    """
    told = mode_keywords(type(module).__call__)
    start: Callable[..., Any] = module.init
    takes_weight = "weight" in inspect.signature(type(module).__call__).parameters

    @jax.jit
    def init(key: chex.PRNGKey) -> Variables:
        images = jnp.zeros((1, *image_shape), jnp.float32)
        own = functools.partial(start, **told(False))
        if weights is None:
            return own(key, images)
        return weights(key, jax.eval_shape(own, key, images))

    # What it returns depends on `mutable`, which its types do not say.
    run: Callable[..., Any] = module.apply

    def drawing(
        variables: Variables,
        images: jax.Array,
        *,
        train: bool,
        weight: jax.Array | None = None,
        key: chex.PRNGKey | None = None,
    ) -> tuple[jax.Array, Variables]:
        if not train:
            return run(variables, images, **told(False)), variables
        mutable = [collection for collection in variables if collection != "params"]
        given: dict[str, Any] = told(True)
        if weight is not None and takes_weight:
            given["weight"] = weight
        if key is not None:
            # Linen draws every stream that is not given from this one.
            given["rngs"] = {"params": key}
        with nn.intercept_methods(_padding(None if takes_weight else weight)):
            logits, updated = run(variables, images, mutable=mutable, **given)
        return logits, {**variables, **updated}

    def steady(
        variables: Variables, images: jax.Array, *, train: bool, weight: jax.Array | None = None
    ) -> tuple[jax.Array, Variables]:
        return drawing(variables, images, train=train, weight=weight)

    return Model(init, drawing if draws else steady, name_of(module, name), config)


def _padding(weight: jax.Array | None) -> Callable[..., Any]:
    """Tells the BatchNorm layers of a module which rows are padding."""

    def intercept(layer: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        norm = isinstance(context.module, nn.BatchNorm) and context.method_name == "__call__"
        if norm and weight is not None and kwargs.get("mask") is None and args:
            rows, *more = args[0].shape
            if rows == len(weight):
                kwargs = {**kwargs, "mask": (weight > 0).reshape(-1, *[1] * len(more))}
        return layer(*args, **kwargs)

    return intercept


def build(
    network: type[nn.Module],
    name: str,
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int,
    normalize: Normalization,
    dtype: str,
    smallest: int,
    weights: Callable[[chex.PRNGKey, Variables], Variables] = torch_weights,
    **structure: Any,
) -> Model:
    """Check what every network's constructor takes and return the Model.

    Args:
      network: a linen module class with the fields num_classes, width, normalize and dtype.
      name: the network's name.
      num_classes: number of outputs K, at least 2.
      image_shape: height, width and channels.
      width: channels of the first layer, at least 1.
      normalize: mean and standard deviation of the pixels.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.
      smallest: least height and width that the network can take.
      weights: draws the initial weights.
      **structure: further fields of the module.

    Raises:
      InputError: if any of them is out of range.
    """
    check_number("num_classes", num_classes, low=2, whole=True)
    check_number("width", width, low=1, whole=True)
    check_choice("dtype", dtype, mixed.DTYPES)
    shape = _checked_shape(name, image_shape, smallest)
    fields = {
        "num_classes": int(num_classes),
        "width": int(width),
        "normalize": _checked_normalization(normalize, shape[2]),
        "dtype": dtype,
        **structure,
    }
    config = json.dumps({"network": name, "image_shape": shape, **fields})
    return from_linen(
        network(**fields), shape, name=name, weights=weights, draws=False, config=config
    )


def _checked_shape(name: str, image_shape: Any, smallest: int) -> tuple[int, int, int]:
    shape = check_image_shape(image_shape)
    if min(shape[:2]) < smallest:
        raise InputError(
            f"image_shape={shape}: {name} needs images of at least {smallest}x{smallest} pixels;"
            " choose a network for smaller images (convnet) or enlarge them"
        )
    return shape


def _checked_normalization(normalize: Any, channels: int) -> Normalization:
    try:
        mean, std = (tuple(float(x) for x in part) for part in normalize)
    except (TypeError, ValueError):
        mean = std = ()
    lengths = {len(mean), len(std)}
    if not lengths <= {1, channels} or not np.isfinite(mean + std).all() or min(std) <= 0:
        raise InputError(
            f"normalize={normalize!r}: expected (mean, std), each of 1 or {channels} finite"
            " numbers, std above 0"
        )
    return mean, std
