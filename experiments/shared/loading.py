"""The data set and the network that settings name."""

import contextlib
from collections.abc import Iterator

from jax_unlearn import data
from jax_unlearn.core import InputError, Model

from .config import Experiment
from .naming import as_typed, naming
from .network import build_network


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
    with as_typed(dataset="data.name", data_dir="data.dir"), _naming_the_switch():
        dataset = load(settings.name, settings.dir, download=download)
    with naming("data."):
        dataset = data.subset(dataset, settings.train_size or None, settings.test_size or None)
        if not settings.validation_size:
            return dataset
        return data.hold_out(dataset, settings.validation_size, settings.validation_seed)


def make_network(experiment: Experiment, dataset: data.Dataset) -> Model:
    """Build the network for a data set's images and classes."""
    shape = dataset.train.image.shape[1:]
    return build_network(experiment.network, dataset.num_classes, shape, dataset.name)


@contextlib.contextmanager
def _naming_the_switch() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("download=True", "--download")) from error
