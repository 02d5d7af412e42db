"""From settings to what is trained: data, network, methods and devices, all checked at once."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jax_unlearn import data
from jax_unlearn.bank import Bank, describe_data, open_bank
from jax_unlearn.bank.data import check_data
from jax_unlearn.bank.plan import Named, Plan
from jax_unlearn.bank.together import from_leader
from jax_unlearn.core import InputError, Model
from jax_unlearn.engine import distributed
from jax_unlearn.engine.agreement import check_same, same_everywhere
from jax_unlearn.models import CENTRED, NORMALIZATIONS, make_model
from jax_unlearn.sharding import parse_mesh

from .checks import check_fit
from .command import use_cpu_devices
from .config import (
    Experiment,
    build_method,
    failed_methods,
    method_arguments,
    naming,
    to_json,
    validate,
)
from .execution import Execution
from .sources import digests, source_of


@dataclasses.dataclass(frozen=True)
class Setup:
    """An experiment that can be trained.

    Attributes:
      experiment: the settings.
      execution: how the machine is used.
      dataset: the data.
      model: the network.
      arguments: hyperparameters by request and method, where they differ from the defaults.
      failed: by request and method why its hyperparameters stand for none that work.
      settings: what determines the results, as JSON values.
    """

    experiment: Experiment
    execution: Execution
    dataset: data.Dataset
    model: Model
    arguments: Mapping[str, Mapping[str, Mapping[str, Any]]]
    failed: Mapping[str, Mapping[str, str]]
    settings: Mapping[str, Any]

    def methods(self, request: str) -> list[Named]:
        """The methods for a request, with their hyperparameters."""
        return [
            Named(
                name, build_method(name, given), source_of(name), self.failed[request].get(name, "")
            )
            for name, given in self.arguments[request].items()
        ]


def set_up(
    experiment: Experiment, execution: Execution, *, out: str = "", download: bool = False
) -> Setup:
    """Check everything and load the data; nothing is written but the caches of data.

    Several processes that work as one all call it, and all fail where one does.

    Args:
      experiment: the settings.
      execution: how the machine is used.
      out: where the command writes; must be the same for all processes.
      download: whether a missing archive may be downloaded.

    Raises:
      InputError: with one line that names the setting.
    """
    validate(experiment)
    execution.validate()
    use_cpu_devices(experiment.cpu_devices, keep_memory=experiment.keeps_memory)
    distributed.initialize(
        coordinator=execution.coordinator,
        num_processes=execution.num_processes,
        process_id=execution.process_id,
    )
    leads = distributed.is_leader()
    with same_everywhere():
        arguments = {text: method_arguments(experiment, text) for text in experiment.requests}
        failed = {text: failed_methods(experiment, text) for text in experiment.requests}
        sources = digests(experiment)
    check_same(_common(experiment, execution, arguments, sources, out))
    streamed = execution.placement == "stream"
    with same_everywhere():
        parse_mesh(execution.mesh)
        if leads:
            # Process 0 first: what it downloads and prepares, the others find.
            dataset = load_data(experiment, download=download, streamed=streamed)
    with same_everywhere():
        if not leads:
            dataset = load_data(experiment, download=download, streamed=streamed)
        model = make_network(experiment, dataset)
        hashes = check_fit(experiment, model, dataset, arguments)
    check_same({"data_fingerprint": dataset.fingerprint, "request_hashes": hashes})
    settings = {
        "experiment": to_json(experiment),
        # In the form of a search's result, so that this file can be given as hyperparameters.
        "requests": {
            text: {
                name: {"arguments": given}
                | ({"failed": failed[text][name]} if name in failed[text] else {})
                for name, given in methods.items()
            }
            for text, methods in arguments.items()
        },
        "data_fingerprint": dataset.fingerprint,
        "request_hashes": hashes,
        "sources": sources,
    }
    return Setup(experiment, execution, dataset, model, arguments, failed, settings)


def _common(
    experiment: Experiment,
    execution: Execution,
    arguments: Mapping[str, Any],
    sources: Mapping[str, str],
    out: str,
) -> dict[str, Any]:
    """What all processes must have been started with."""
    given = to_json(experiment)
    # Each process may have devices and files of its own: what the files hold is compared.
    del given["cpu_devices"], given["data"]["dir"], given["hyperparameters"]
    names = ("mesh", "placement", "keep_weights")
    spread = {"out": out} | {name: getattr(execution, name) for name in names}
    return given | spread | {"arguments": arguments, "sources": sources}


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
    try:
        dataset = load(settings.name, settings.dir, download=download)
    except InputError as error:
        # It names an argument of the library, where a command has a flag.
        raise InputError(str(error).replace("download=True", "--download")) from error
    with naming("data."):
        return data.subset(dataset, settings.train_size or None, settings.test_size or None)


def make_network(experiment: Experiment, dataset: data.Dataset) -> Model:
    """Build the network for a data set's images and classes."""
    return make_model(
        experiment.network.name,
        dataset.num_classes,
        dataset.train.image.shape[1:],
        width=experiment.network.width or None,
        normalize=NORMALIZATIONS.get(dataset.name, CENTRED),
        dtype=experiment.network.dtype,
    )


def open_bank_of(path: str | pathlib.Path, dataset: data.Dataset) -> Bank:
    """Open a bank for a data set, made where there is none; process 0 alone touches the disk.

    Raises:
      InputError: see :func:`jax_unlearn.bank.open_bank`.
    """
    described = describe_data(dataset)
    from_leader(lambda: open_bank(path, data=described, create=True) and None)
    return Bank(pathlib.Path(path), check_data(described))


def make_plan(
    setup: Setup,
    bank: Bank,
    phase: Callable[[str], Any],
    tell: Callable[[str], None],
    *,
    watch: bool,
) -> Plan:
    """What all models of an experiment share, in a bank."""
    experiment, execution = setup.experiment, setup.execution
    network = dataclasses.asdict(experiment.network)
    source = source_of(experiment.network.name)
    alone = f"model={jax.device_count()}" if jax.process_count() == 1 else ""
    return Plan(
        bank=bank,
        dataset=setup.dataset,
        model=setup.model,
        network=network | ({"source": source} if source else {}),
        recipe=experiment.training.recipe(),
        padding=experiment.data.padding,
        flip=experiment.data.flip,
        # Without a word on it each device of a process trains a model of its own.
        mesh=parse_mesh(execution.mesh or alone),
        loop=experiment.loop,
        placement="device" if execution.placement == "device" else "host",
        checkpoint_seconds=execution.checkpoint_seconds,
        watch=watch,
        keep_weights=execution.keep_weights,
        phase=phase,
        tell=tell,
    )
