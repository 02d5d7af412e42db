"""From settings to what is trained: data, network, methods and devices, all checked at once."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jax_unlearn import data
from jax_unlearn.bank.plan import Named
from jax_unlearn.core import Model
from jax_unlearn.engine import distributed
from jax_unlearn.engine.agreement import check_same, same_everywhere
from jax_unlearn.engine.cpu import use_cpu_devices

from .checks import check_fit
from .config import Experiment
from .config_json import to_json
from .execution import Execution, mesh_of
from .hyperparameters import failed_methods, method_arguments, name_method
from .loading import load_data, make_network
from .method_checks import check_split
from .naming import as_typed
from .network import check_weights
from .sources import digests, packages
from .validation import validate
from .writable import check_writable


@dataclasses.dataclass(frozen=True)
class Setup:
    """An experiment that can be trained.

    Attributes:
      experiment: the settings.
      execution: how the machine is used.
      dataset: the data.
      model: the network.
      arguments: hyperparameters by request and row, where they differ from the method's defaults.
      unfit: by request and row why its method cannot work there; the others are run.
      failed: by request and method why its hyperparameters stand for none that work.
      settings: what determines the results, as JSON values.
    """

    experiment: Experiment
    execution: Execution
    dataset: data.Dataset
    model: Model
    arguments: Mapping[str, Mapping[str, Mapping[str, Any]]]
    unfit: Mapping[str, Mapping[str, str]]
    failed: Mapping[str, Mapping[str, str]]
    settings: Mapping[str, Any]

    def methods(self, request: str) -> list[Named]:
        """The methods that can work on a request, with their hyperparameters."""
        return [
            name_method(name, request, given, self.failed[request].get(name, ""))
            for name, given in self.arguments[request].items()
        ]


def set_up(
    experiment: Experiment, execution: Execution, *, out: str = "", download: bool = False
) -> Setup:
    """Check everything and load the data; nothing is written but the caches of data.

    A folder for a profile is made, too, to see that it can be. Several processes that work as one
    all call it, and all fail where one does.

    Args:
      experiment: the settings.
      execution: how the machine is used.
      out: where the command writes; must be the same for all processes.
      download: whether a missing archive may be downloaded.

    Raises:
      InputError: with one line that names the setting.
    """
    validate(experiment)
    # What a sequence fulfils on its way is audited, and may have settings, like any request.
    drawn = data.with_seeds(experiment.requests, experiment.request_seeds)
    experiment = dataclasses.replace(experiment, requests=data.with_steps(drawn))
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
        sources, offered = digests(experiment), packages(experiment)
    check_same(_common(experiment, execution, arguments, sources, out))
    streamed = execution.placement == "stream"
    with same_everywhere():
        with as_typed(f"mesh={execution.mesh!r}"):
            mesh = mesh_of(execution)
        if execution.placement == "sharded":
            check_split(experiment, arguments, mesh.shape["data"])
        if leads:
            # Process 0 first: what it downloads and prepares, the others find.
            dataset = load_data(experiment, download=download, streamed=streamed)
    with same_everywhere():
        if not leads:
            dataset = load_data(experiment, download=download, streamed=streamed)
        model = make_network(experiment, dataset)
        check_weights(experiment.network, model)
        found = check_fit(experiment, model, dataset, arguments)
    hashes, unfit, arguments = found.hashes, found.unfit, found.completed(arguments)
    check_same({"data_fingerprint": dataset.fingerprint, "request_hashes": hashes})
    if execution.profile is not None:
        with same_everywhere():
            check_writable(pathlib.Path(execution.profile), flag="profile")
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
        "packages": offered,
    }
    fit = {
        text: {name: given for name, given in rows.items() if name not in unfit[text]}
        for text, rows in arguments.items()
    }
    return Setup(experiment, execution, dataset, model, fit, unfit, failed, settings)


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
