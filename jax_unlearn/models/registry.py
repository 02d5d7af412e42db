"""Networks by name; each constructor returns a :class:`jax_unlearn.core.Model`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jax_unlearn.core import InputError, Model
from jax_unlearn.models.bottleneck import resnet50
from jax_unlearn.models.conv import convnet
from jax_unlearn.models.linen import CENTRED, Normalization
from jax_unlearn.models.resnet import (
    resnet8,
    resnet8_halved,
    resnet10,
    resnet18,
    resnet20,
    resnet34,
)
from jax_unlearn.models.swin import swin_tiny
from jax_unlearn.models.vgg import vgg16_bn
from jax_unlearn.models.vit import vit_base, vit_small, vit_tiny
from jax_unlearn.user_code import find_object

MODELS: Mapping[str, Callable[..., Model]] = MappingProxyType(
    {
        "convnet": convnet,
        "resnet8": resnet8,
        "resnet8_halved": resnet8_halved,
        "resnet10": resnet10,
        "resnet18": resnet18,
        "resnet20": resnet20,
        "resnet34": resnet34,
        "resnet50": resnet50,
        "vgg16_bn": vgg16_bn,
        "vit_tiny": vit_tiny,
        "vit_small": vit_small,
        "vit_base": vit_base,
        "swin_tiny": swin_tiny,
    }
)
"""Constructors by name; all have the signature of :func:`convnet`, with widths of their own."""


ENTRY_POINTS = "jax_unlearn.models"
"""Group of entry points by which an installed package offers networks."""


def find_network(text: str, *, argument: str = "model") -> Callable[..., Model]:
    """Find a network's constructor.

    Args:
      text: a key of ``MODELS``, or the name of an installed package's entry point in the group
        ``jax_unlearn.models``; or ``FILE.py:NAME`` or ``pkg.module:NAME`` of a constructor of your
        own, which is called as ``NAME(num_classes, image_shape)`` and, where it has such arguments,
        with ``width``, ``normalize`` and ``dtype``.
      argument: what the text was given for, for error messages.

    Raises:
      InputError: there is no such network, or what the text names cannot be called.
    """
    found = find_object(text, MODELS, ENTRY_POINTS, argument=argument)
    if not callable(found):
        raise InputError(
            f"{argument}={text!r}: it is an object of type {type(found).__name__}: expected a "
            "function of num_classes and image_shape that returns a jax_unlearn.Model"
        )
    return found


def make_model(
    name: str,
    num_classes: int,
    image_shape: Sequence[int],
    *,
    width: int | None = None,
    normalize: Normalization = CENTRED,
    dtype: str = "float32",
    patch: int | None = None,
) -> Model:
    """Build the network of a name.

    Args:
      name: a key of ``MODELS``, or a network of your own, see :func:`find_network`.
      num_classes: number of outputs K.
      image_shape: height, width and channels.
      width: channels of the first layer; None means the network's own default.
      normalize: mean and standard deviation of the pixels; see ``NORMALIZATIONS``.
      dtype: one of :data:`jax_unlearn.models.mixed.DTYPES`; weights and logits stay float32.
      patch: height and width of a vision transformer's patch in pixels; None means the network's
        own.

    Raises:
      InputError: if the name is unknown, an argument is out of range, or a network of your own
        fails, takes no argument for what is given, or does not return a
        :class:`~jax_unlearn.core.Model`.
    """
    constructor = find_network(name)
    sizes = {"width": width, "patch": patch}
    given: dict[str, Any] = {"normalize": normalize, "dtype": dtype}
    given |= {size: value for size, value in sizes.items() if value is not None}
    taken = _arguments(constructor)
    for size, value in sizes.items():
        if value is not None and size not in taken:
            raise InputError(
                f"{size}={value!r}: {name} has no argument {size}: expected none; leave it out"
            )
    if name in MODELS:
        return MODELS[name](num_classes, image_shape, **given)
    if dtype != "float32" and "dtype" not in taken:
        raise InputError(
            f"dtype={dtype!r}: {name} has no argument dtype: expected 'float32'; leave it out"
        )
    own = {key: value for key, value in given.items() if key in taken}
    try:
        found = constructor(num_classes, tuple(image_shape), **own)
    except InputError:
        raise
    except Exception as error:  # it is the user's code
        raise InputError(
            f"model={name!r}: fails ({type(error).__name__}: {' '.join(str(error).split())}): "
            "expected a function of num_classes and image_shape; call it in Python to see the "
            "whole error"
        ) from error
    if not isinstance(found, Model):
        raise InputError(
            f"model={name!r}: gives an object of type {type(found).__name__}: expected a "
            "jax_unlearn.Model"
        )
    return found


def _arguments(constructor: Callable[..., Model]) -> set[str]:
    """Names of the arguments that a constructor takes."""
    try:
        return set(inspect.signature(constructor).parameters)
    except (TypeError, ValueError):
        return set()
