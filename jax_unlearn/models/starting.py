"""Models that start from weights at hand, and models that see their images enlarged."""

import dataclasses
import functools
import hashlib
import inspect
import os
from pathlib import Path
from typing import Any

import chex
import jax

from jax_unlearn.core import InputError, Model, Variables, check_number
from jax_unlearn.models.pretrained import find_weights, from_pretrained
from jax_unlearn.models.torch_weights import import_torch


def fine_tuned(model: Model, source: str | os.PathLike) -> Model:
    """The network, whose fresh weights are pretrained ones with a last linear layer drawn anew.

    Originals, oracles and whatever a method draws afresh then start where fine-tuning starts.

    Args:
      model: a network of this library.
      source: a ``.safetensors`` file in a layout of :func:`~jax_unlearn.models.import_torch`, or a
        folder or hub id as :func:`~jax_unlearn.models.from_pretrained` takes it.

    Raises:
      InputError: the weights cannot be had, or are another network's.
    """
    return _fine_tuned(model, str(source), weights_digest(source))


@functools.lru_cache(maxsize=4)
def _fine_tuned(model: Model, source: str, digest: str) -> Model:
    del digest  # Another file of the name is another network.
    key = jax.random.key(0)
    if Path(source).suffix == ".safetensors":
        variables = import_torch(source, model, new_head=key)
    else:
        variables = from_pretrained(source, model=model, new_head=key).variables

    def init(key: chex.PRNGKey) -> Variables:
        fresh = model.init(key)["params"]["fc"]
        return {**variables, "params": {**variables["params"], "fc": fresh}}

    return dataclasses.replace(model, init=init)


def weights_digest(source: str | os.PathLike) -> str:
    """SHA-256 of the file of weights that a source names, in hexadecimal.

    Raises:
      InputError: there is no such file, folder or repository.
    """
    path = Path(source)
    if path.suffix != ".safetensors":
        path = find_weights(source)
    if not path.is_file():
        raise InputError(f"source={str(source)!r}: no such file; check the path")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=256)
def resized(model: Model, side: int) -> Model:
    """The network on images that are resized to ``side`` x ``side`` pixels first, bilinearly.

    Data stay as small as they are stored. The resizing is part of the network: input gradients,
    which MU-Mis and some audits take, are those of the image as stored.

    Args:
      model: the network for images of that size.
      side: height and width in pixels, at least 1.
    """
    check_number("side", side, low=1, whole=True)

    @_signed_as(model)
    def apply(variables: Variables, images: jax.Array, **options: Any) -> Any:
        shape = (images.shape[0], side, side, images.shape[-1])
        return model.apply(variables, jax.image.resize(images, shape, "bilinear"), **options)

    return Model(model.init, apply, model.name)


def _signed_as(model: Model) -> Any:
    """A Model says by the signature of apply what it takes."""

    def decorate(apply: Any) -> Any:
        apply.__signature__ = inspect.signature(model.apply)
        return apply

    return decorate
