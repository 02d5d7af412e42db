"""The bank of an experiment, and what all models that it trains share."""

import pathlib
from collections.abc import Callable
from typing import Any

from jax_unlearn import data
from jax_unlearn.bank import Bank, describe_data, open_bank
from jax_unlearn.bank.data import check_data
from jax_unlearn.bank.plan import Plan
from jax_unlearn.bank.together import from_leader

from .execution import mesh_of
from .naming import as_typed
from .network import describe_network
from .setting_up import Setup
from .sources import network_source


def open_bank_of(path: str | pathlib.Path, dataset: data.Dataset, *, flag: str = "bank") -> Bank:
    """Open a bank for a data set, made where there is none; process 0 alone touches the disk.

    Args:
      path: its folder.
      dataset: the data.
      flag: which flag names the folder.

    Raises:
      InputError: see :func:`jax_unlearn.bank.open_bank`.
    """
    described = describe_data(dataset)
    with as_typed(bank=flag):
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
    network = describe_network(experiment.network)
    source = network_source(experiment.network.name)
    return Plan(
        bank=bank,
        dataset=setup.dataset,
        model=setup.model,
        network=network | ({"source": source} if source else {}),
        recipe=experiment.training.recipe(),
        padding=experiment.data.padding,
        flip=experiment.data.flip,
        mesh=mesh_of(execution),
        loop=experiment.loop,
        placement="host" if execution.placement == "stream" else execution.placement,
        checkpoint_seconds=execution.checkpoint_seconds,
        watch=watch,
        keep_weights=execution.keep_weights,
        phase=phase,
        tell=tell,
    )
