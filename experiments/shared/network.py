"""The network of an experiment, and what a bank knows it by."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax

from jax_unlearn.checks import check_memory
from jax_unlearn.core import InputError, Model, check_choice, check_number
from jax_unlearn.models import CENTRED, NORMALIZATIONS, Normalization, make_model
from jax_unlearn.models.mixed import DTYPES
from jax_unlearn.models.registry import MODELS, find_network
from jax_unlearn.user_code import briefly
from jax_unlearn.validation import check_model

from .naming import as_typed
from .original import Network

FLAGS = {part: f"network.{part}" for part in ("width", "dtype", "patch", "normalize")} | {
    "side": "network.image_size",
    "source": "network.weights",
}
"""What the library's arguments are called on the command line."""


def check_network(network: Network) -> None:
    """Check what can be checked before any data is read.

    Raises:
      InputError: with one line that names the setting.
    """
    find_network(network.name, argument="network.name")
    check_choice("network.dtype", network.dtype, DTYPES)
    for name in ("width", "patch", "image_size"):
        check_number(f"network.{name}", getattr(network, name), low=0, whole=True)
    if network.normalize:
        check_choice("network.normalize", network.normalize, ("centred", *NORMALIZATIONS))


def build_network(
    network: Network, num_classes: int, image_shape: Sequence[int], data_name: str
) -> Model:
    """Build the network for a data set's images and classes.

    Args:
      network: the settings.
      num_classes: number of outputs K.
      image_shape: height, width and channels of the data's images.
      data_name: the data set, whose statistics normalise pixels where nothing else is asked for.
    """
    name, side = network.name, network.image_size
    height, width, channels = image_shape
    with as_typed(f"network.name={name!r}", network="network.name", model="network.name", **FLAGS):
        model = make_model(
            name,
            num_classes,
            (side or height, side or width, channels),
            width=network.width or None,
            normalize=_normalization(network.normalize or data_name),
            dtype=network.dtype,
            patch=network.patch or None,
        )
        if network.weights:
            from jax_unlearn.models.starting import fine_tuned

            model = fine_tuned(model, network.weights)
        if side:
            from jax_unlearn.models.starting import resized

            model = resized(model, side)
    if name not in MODELS:
        with as_typed(f"network.name={name!r}"):
            _try_out(model, num_classes, image_shape)
    return model


def check_weights(network: Network, model: Model) -> None:
    """Raise InputError for a width whose weights the machine has no memory for."""
    if not network.width:
        return
    variables = jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))
    check_memory(
        f"network.width={network.width}: the weights", bytes_of(variables), "use a smaller width"
    )


def bytes_of(tree: Any) -> int:
    """Bytes of all arrays, or shapes of arrays, of a pytree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _try_out(model: Model, num_classes: int, image_shape: Sequence[int]) -> None:
    """Trace a user's own network once, before anything is trained or written.

    Raises:
      InputError: it fails, or gives something else than a Model's functions do.
    """
    try:
        variables = jax.eval_shape(lambda seed: model.init(jax.random.key(seed)), 0)
    except InputError:
        raise
    except Exception as error:  # a user's code can raise anything
        said = f"{type(error).__name__}: {briefly(error)}"
        raise InputError(
            f"its init fails ({said}): expected init(key) -> variables; mend it"
        ) from error
    check_model(model, variables, tuple(image_shape), num_classes)


def describe_network(network: Network) -> dict[str, Any]:
    """What a bank knows the network by: what is asked for, and which weights it starts from."""
    told = dataclasses.asdict(network)
    for field in dataclasses.fields(network):
        # Settings that are not used leave models that were trained before there were any as they
        # are.
        if field.name in ("patch", "image_size", "weights", "normalize") and not told[field.name]:
            del told[field.name]
    if network.weights:
        from jax_unlearn.models.starting import weights_digest

        told["weights_digest"] = weights_digest(network.weights)
    return told


def _normalization(name: str) -> Normalization:
    return NORMALIZATIONS.get(name, CENTRED)
