"""The unit of the input: pixels are in [0, 1], and published numbers often of normalised ones."""

import jax
import jax.numpy as jnp
import numpy as np

from jax_unlearn.core import Examples, InputError, check_number

InputScale = float | tuple[float, ...]
"""One number, or one per channel; a data set's standard deviations make the input normalised."""


def check_scale(scale: InputScale) -> None:
    """Raise InputError unless every number is above 0."""
    for number in scale if isinstance(scale, tuple) else (scale,):
        check_number("input_scale", number, above=0)


def check_channels(scale: InputScale, examples: Examples) -> None:
    """Raise InputError unless there is one number, or one per channel of the images."""
    numbers, channels = np.size(scale), examples.image.shape[-1]
    if numbers not in (1, channels):
        raise InputError(
            f"input_scale={scale}: {numbers} numbers for images of {channels} channels; expected "
            "one, or one per channel"
        )


def unit_for(images: jax.Array, scale: InputScale) -> jax.Array:
    """The unit as an array that images [..., C], or what is shaped like them, are divided by."""
    return jnp.asarray(scale, images.dtype).reshape((1,) * (images.ndim - 1) + (-1,))
