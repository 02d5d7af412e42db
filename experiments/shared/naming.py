"""Whose argument an error names."""

import contextlib
from collections.abc import Iterator

from jax_unlearn.core import InputError


@contextlib.contextmanager
def naming(prefix: str) -> Iterator[None]:
    """Put a prefix before the argument that an error names, to say whose argument it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error
