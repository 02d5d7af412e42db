"""A user's own code among an experiment's names, and the digest that says which version ran."""

from jax_unlearn.user_code import is_reference, source_digest

from .composed import methods_in
from .config import Experiment


def source_of(name: str) -> str:
    """Digest of what ``FILE.py:NAME`` or ``pkg.module:NAME`` names; '' for any other name.

    Raises:
      InputError: there is no such file or module.
    """
    return source_digest(name) if is_reference(name) else ""


def digests(experiment: Experiment) -> dict[str, str]:
    """Digests by name of all user code that an experiment names.

    Raises:
      InputError: as :func:`source_of`.
    """
    methods = [part for name in experiment.methods for part in methods_in(name)]
    names = (experiment.data.name, experiment.network.name, *methods)
    return {name: source_of(name) for name in names if is_reference(name)}
