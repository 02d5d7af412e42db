"""A finished run: which models are its own, and what a figure can ask of them."""

import contextlib
import dataclasses
import functools
import json
import pathlib

import numpy as np

from jax_unlearn import data
from jax_unlearn.audit.measures.accuracy import accuracies
from jax_unlearn.audit.records.runs import is_run, refuse_old_run, run_models
from jax_unlearn.bank.forgetting import Forgetting
from jax_unlearn.bank.plan import Named, Plan, make_key, silent
from jax_unlearn.bank.record import Record
from jax_unlearn.core import InputError, Predictions, Variables

from ..shared.execution import ORDINARY
from ..shared.hyperparameters import method_arguments, name_method
from ..shared.planning import make_plan
from ..shared.reading import starting_settings
from ..shared.setting_up import set_up
from .chosen import Chosen, read_requests
from .drawing import Missing

KEEP = (
    "needs weights; run again with --keep-weights (the same command without --no-keep-weights), "
    "another --out and no --bank that has these models"
)


class Finished:
    """The folder of a run that has filled its bank, read without training anything.

    Attributes:
      folder: the run's.
      bank: that holds its models.
      requests: its models.

    Raises:
      InputError: there is no such run, or one of its records is damaged.
    """

    def __init__(self, folder: pathlib.Path, data_dir: str | None):
        config = folder / "config.json"
        refuse_old_run(folder, "run")
        if not is_run(folder) or not config.is_file():
            raise InputError(
                f"run={str(folder)!r}: no finished run with its models there; expected the "
                "whole folder of `python -m experiments.run`, models.json and bank; start or "
                "finish that command first"
            )
        self.folder = folder
        self.bank, listed = run_models(folder)
        settings = starting_settings(["--config", str(config)])
        place = settings.data.dir if data_dir is None else data_dir
        moved = dataclasses.replace(settings.data, dir=place)
        self._experiment = dataclasses.replace(settings, data=moved)
        self.requests = read_requests(self.bank, listed)

    def methods(self, chosen: Chosen) -> list[Named]:
        """The methods of a request, with the hyperparameters that the run gave them."""
        arguments = method_arguments(self._experiment, chosen.text)
        return [name_method(name, chosen.text, arguments[name]) for name in chosen.every]

    def predictions(self, record: Record, chosen: Chosen) -> Predictions:
        """What a model predicts."""
        return self.bank.predictions(record, chosen.hash)

    def accuracies(self, record: Record, chosen: Chosen) -> dict[str, float]:
        """RA, FA and TA of a model, percent."""
        return accuracies(self.predictions(record, chosen))

    def band(self, chosen: Chosen, measure: str) -> tuple[float, float] | None:
        """The null band of a measure, where the run's audit has one."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            audit = json.loads((self.folder / chosen.slug / "audit.json").read_text())
            return tuple(float(audit["bands"][measure][end]) for end in ("low", "high"))  # type: ignore[return-value]
        return None

    @functools.cached_property
    def plan(self) -> Plan:
        """What all models share, their data and network with it.

        Raises:
          Missing: the data is not there, or is not the run's.
        """
        try:
            setup = set_up(self._experiment, ORDINARY)
        except InputError as error:
            raise Missing(f"needs the run's data; {error}") from error
        if setup.dataset.fingerprint != self.bank.data.fingerprint:
            raise Missing("needs the run's data, and other data is there; name it by --data-dir")
        return make_plan(setup, self.bank, silent, lambda line: None, watch=False)

    def forgetting(self, chosen: Chosen) -> Forgetting:
        """The request resolved as the run resolved it: by the ids that the bank keeps."""
        outputs = self.predictions(chosen.originals[0], chosen)
        request = data.Request(chosen.text, {}, np.sort(outputs.forget.id), chosen.hash)
        forget, retain = data.split(self.plan.dataset, request)
        mask = np.asarray(outputs.test_forgotten)
        gone = self._removed_before(chosen)
        step = data.take(forget, ~np.isin(forget.id, gone))
        return Forgetting(chosen.text, chosen.slug, request, forget, retain, mask, step)

    def _removed_before(self, chosen: Chosen) -> np.ndarray:
        """Ids that earlier steps of a sequence have removed."""
        before = [c for c in self.requests if c.text == data.step_before(chosen.text)]
        return np.concatenate(
            [
                np.zeros(0, np.int64),
                *(self.predictions(c.originals[0], c).forget.id for c in before),
            ]
        )

    def weights(self, record: Record) -> Variables:
        """The weights of a model.

        Raises:
          Missing: they were not kept.
        """
        if not self.bank.has_weights(record):
            raise Missing(KEEP)
        return self.bank.weights(record, self._like)

    @functools.cached_property
    def _like(self) -> Variables:
        return self.plan.model.init(make_key(0, "initial"))
