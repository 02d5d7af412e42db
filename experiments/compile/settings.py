"""The settings of a run, with sizes in place of data: problems and methods, request by request."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_unlearn import data
from jax_unlearn.core import Examples, InputError, Model, Problem, Unlearner, check_number
from jax_unlearn.data.augment import crop_and_flip
from jax_unlearn.models import CENTRED, NORMALIZATIONS
from jax_unlearn.models.mixed import compute_type

from ..shared.checks import check_fit
from ..shared.composed import method_at, methods_in
from ..shared.config import Experiment
from ..shared.hyperparameters import build_method, method_arguments
from ..shared.loading import make_network
from ..shared.refusals import MisfitError
from ..shared.validation import validate
from .plain_networks import plain_model
from .stand_in import stand_in


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run would compute.

    Attributes:
      experiment: its settings.
      dataset: data of the right sizes.
      model: the network.
      plain: the same network written plainly, or None.
      arguments: hyperparameters by request and row.
      unfit: by request and row why its method cannot work there.
    """

    experiment: Experiment
    dataset: data.Dataset
    model: Model
    plain: Model | None
    arguments: Mapping[str, Mapping[str, Mapping[str, Any]]]
    unfit: Mapping[str, Mapping[str, str]]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width and channels."""
        return tuple(self.dataset.train.image.shape[1:])

    @property
    def recipe(self) -> Unlearner:
        """What trains originals and oracles."""
        return self.experiment.training.recipe()

    def methods(self, request: str) -> dict[str, Unlearner]:
        """The methods that work on a request, by row."""
        return {
            row: build_method(method_at(row, request), given)
            for row, given in self.arguments[request].items()
            if row not in self.unfit[request]
        }

    def training(self, *, plain: bool = False) -> Problem:
        """What the training of an original sees; its weights are missing."""
        return self._problem(forget=None, retain=self.dataset.train, plain=plain)

    def retraining(self, request: str) -> Problem:
        """What an oracle's training sees of a request."""
        _, _, retain = self._parts(request)
        return self._problem(forget=None, retain=retain)

    def _parts(self, request: str) -> tuple[data.Dataset, Examples, Examples]:
        """The data as a request changes them, and its forget and retain set."""
        spec = data.parse_request(request)
        own = data.changed(spec, self.dataset)
        chosen = data.make_request(spec, own, lambda s: data.stand_in(s, own), exact=spec.exact)
        _, retain = data.split(own, chosen)
        return own, data.take(own.train, np.isin(own.train.id, chosen.step_ids)), retain

    def unlearning(self, request: str, method: Unlearner) -> Problem:
        """What a method sees of a request; the original's weights are missing."""
        own, forget, retain = self._parts(request)
        return self._problem(
            forget=forget,
            retain=retain if method.needs_retain else None,
            validation=own.validation,
        )

    def _problem(self, *, plain: bool = False, **parts: Any) -> Problem:
        model = self.plain if plain else self.model
        assert model is not None
        settings = self.experiment.data
        return Problem(
            model=model,
            variables=None,
            num_classes=self.dataset.num_classes,
            augment=crop_and_flip(settings.padding, settings.flip),
            **parts,
        )


def settle(experiment: Experiment, *, batch: int = 0) -> Settings:
    """Check settings as a run checks them, without its data.

    Args:
      experiment: the settings.
      batch: rows of every step, of training and of all methods; 0 leaves each its own.

    Raises:
      InputError: as a run, for what settings and sizes tell.
    """
    check_number("batch", batch, low=0, whole=True)
    experiment = with_batch(experiment, batch) if batch else experiment
    validate(experiment)
    # What weights a network begins with changes no program, and they may be far away.
    network = dataclasses.replace(experiment.network, weights="")
    experiment = dataclasses.replace(experiment, network=network)
    drawn = data.with_seeds(experiment.requests, experiment.request_seeds)
    experiment = dataclasses.replace(experiment, requests=data.with_steps(drawn))
    dataset = stand_in(experiment)
    model = make_network(experiment, dataset)
    arguments = {text: method_arguments(experiment, text) for text in experiment.requests}
    try:
        found = check_fit(experiment, model, dataset, arguments)
    except MisfitError as error:
        sizes = [most for name, most in error.most.items() if name.endswith(".batch_size")]
        if batch and sizes:
            raise InputError(
                f"batch={batch}: not every program draws from so many examples; use at most "
                f"{min(sizes)}"
            ) from error
        raise
    network = experiment.network
    plain = plain_model(
        network.name,
        dataset.num_classes,
        dataset.train.image.shape[1:],
        width=network.width or None,
        normalize=NORMALIZATIONS.get(dataset.name, CENTRED),
        dtype=compute_type(network.dtype),
    )
    given = found.completed(arguments)
    return Settings(experiment, dataset, model, plain, given, found.unfit)


def with_batch(experiment: Experiment, batch: int) -> Experiment:
    """The settings with batches of one size."""
    methods = dict.fromkeys(part for name in experiment.methods for part in methods_in(name))
    sizes = [f"{method}.batch_size={batch}" for method in methods]
    training = dataclasses.replace(experiment.training, batch_size=batch)
    return dataclasses.replace(experiment, training=training, set=(*experiment.set, *sizes))
