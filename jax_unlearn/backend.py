"""For which kind of device a program is traced."""

import contextlib
from collections.abc import Iterator

import jax

_TRACED_FOR = jax.make_user_context(default_value=None)
"""Platform of the program that is being traced; part of the key under which jit keeps programs."""


def platform() -> str:
    """Platform that runs what is being traced: ``'cpu'``, ``'gpu'`` or ``'tpu'``.

    Inside a run it is that of the run's mesh, elsewhere that of JAX's default devices.
    """
    return _TRACED_FOR.value or jax.default_backend()


@contextlib.contextmanager
def traced_for(name: str) -> Iterator[None]:
    """Trace for devices of the platform ``name``, which need not be the default ones."""
    if name == platform():
        # Nothing changes, and jit finds what was compiled outside.
        yield
        return
    with _TRACED_FOR(name):
        yield
