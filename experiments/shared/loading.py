"""The data set and the network that settings name."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator

from jax_unlearn import data
from jax_unlearn.core import InputError, Model

from .config import Data, Experiment
from .naming import as_typed, naming
from .network import build_network

OPTIONS = dataclasses.fields(data.ImageOptions)

FLAGS = {"dataset": "data.name", "data_dir": "data.dir", "cache_dir": "data.dir"} | {
    field.name: f"data.{field.name}" for field in OPTIONS
}
"""Arguments of :func:`jax_unlearn.data.load` by what they are called on the command line."""


def load_data(
    experiment: Experiment, *, download: bool = False, streamed: bool = False
) -> data.Dataset:
    """Load the data set and draw the training and test images that the settings ask for.

    Args:
      experiment: the settings.
      download: whether a missing archive may be downloaded.
      streamed: whether images are read only when they are used.
    """
    settings = experiment.data
    load = data.open_stream if streamed else data.load
    with _as_flags(), as_typed(**FLAGS):
        options = image_options(settings)
        dataset = load(settings.name, settings.dir, download=download, options=options)
    with naming("data."):
        dataset = data.subset(dataset, settings.train_size or None, settings.test_size or None)
        if not settings.validation_size:
            return dataset
        return data.hold_out(dataset, settings.validation_size, settings.validation_seed)


def image_options(settings: Data) -> data.ImageOptions:
    """How settings say that images are read."""
    return data.ImageOptions(**{field.name: getattr(settings, field.name) for field in OPTIONS})


def make_network(experiment: Experiment, dataset: data.Dataset) -> Model:
    """Build the network for a data set's images and classes."""
    shape = dataset.train.image.shape[1:]
    return build_network(experiment.network, dataset.num_classes, shape, dataset.name)


@contextlib.contextmanager
def _as_flags() -> Iterator[None]:
    """Write what an error says to pass as it is typed."""
    try:
        yield
    except InputError as error:
        text = str(error).replace("download=True", "--download")
        raise InputError(re.sub(r"\bpass data\.(\w+)=", _flag, text)) from error


def _flag(found: re.Match[str]) -> str:
    return f"pass --data.{found[1].replace('_', '-')} "
