"""Networks by name; each constructor returns a :class:`jax_unlearn.core.Model`."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from jax_unlearn.core import Model, check_choice
from jax_unlearn.models.conv import convnet
from jax_unlearn.models.linen import CENTRED, Normalization
from jax_unlearn.models.resnet import resnet8, resnet10, resnet18, resnet20, resnet34
from jax_unlearn.models.vgg import vgg16_bn

MODELS: Mapping[str, Callable[..., Model]] = MappingProxyType(
    {
        "convnet": convnet,
        "resnet8": resnet8,
        "resnet10": resnet10,
        "resnet18": resnet18,
        "resnet20": resnet20,
        "resnet34": resnet34,
        "vgg16_bn": vgg16_bn,
    }
)
"""Constructors by name; all have the signature of :func:`convnet`, with widths of their own."""


def make_model(
    name: str,
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int | None = None,
    normalize: Normalization = CENTRED,
    dtype: str = "float32",
) -> Model:
    """Build the network that ``MODELS`` lists under a name.

    Args:
      name: a key of ``MODELS``.
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of the first layer; None means the network's own default.
      normalize: mean and standard deviation of the pixels; see ``NORMALIZATIONS``.
      dtype: compute type, ``'float32'`` or ``'bfloat16'``; weights and logits stay float32.

    Raises:
      InputError: if the name is unknown or an argument is out of range.
    """
    check_choice("model", name, MODELS)
    own = {} if width is None else {"width": width}
    return MODELS[name](num_classes, image_shape, normalize=normalize, dtype=dtype, **own)
