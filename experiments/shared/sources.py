"""Others' code among an experiment's names, and the digest that says which version ran."""

from collections.abc import Iterator
from typing import Any

from jax_unlearn import registry
from jax_unlearn.data import own
from jax_unlearn.data.prepared import BUILT_IN
from jax_unlearn.models import registry as networks
from jax_unlearn.user_code import (
    described_offer,
    is_reference,
    offered_by_packages,
    source_digest,
)

from .composed import methods_in
from .config import Experiment


def method_source(name: str) -> str:
    """Digest of the source of a method that is not the library's; '' for one that is.

    Raises:
      InputError: there is no such file or module.
    """
    return _source(name, registry.ENTRY_POINTS, registry.METHODS)


def network_source(name: str) -> str:
    """As :func:`method_source`, of a network."""
    return _source(name, networks.ENTRY_POINTS, networks.MODELS)


def digests(experiment: Experiment) -> dict[str, str]:
    """Digests by name of all code that an experiment names and that is not the library's.

    Raises:
      InputError: as :func:`method_source`.
    """
    found = {name: _source(name, group, known) for name, group, known in _names(experiment)}
    return {name: digest for name, digest in found.items() if digest}


def packages(experiment: Experiment) -> dict[str, str]:
    """By name what an installed package offers under it: module and object, package and version."""
    return {
        name: "{} of {}".format(*described_offer(point))
        for name, group, known in _names(experiment)
        if (point := _offer(name, group, known)) is not None
    }


def _names(experiment: Experiment) -> Iterator[tuple[str, str, Any]]:
    """Every name, with the group of entry points that it may be of, and what is the library's."""
    yield experiment.data.name, own.ENTRY_POINTS, BUILT_IN
    yield experiment.network.name, networks.ENTRY_POINTS, networks.MODELS
    for name in experiment.methods:
        for part in methods_in(name):
            yield part, registry.ENTRY_POINTS, registry.METHODS


def _offer(name: str, group: str, known: Any) -> Any:
    if is_reference(name) or name in known:
        return None
    return offered_by_packages(group).get(name)


def _source(name: str, group: str, known: Any) -> str:
    if is_reference(name):
        return source_digest(name)
    point = _offer(name, group, known)
    return "" if point is None else source_digest(described_offer(point)[0])
