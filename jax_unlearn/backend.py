"""For which kind of device a program is traced, and whether example by example."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

_TRACED_FOR = jax.make_user_context(default_value="")
"""Platform of the program that is being traced; part of the key under which jit keeps programs."""

_EXAMPLES_APART = jax.make_user_context(default_value=False)
"""Whether what is traced is of each example by itself; part of that key, too."""


def platform() -> str:
    """Platform that runs what is being traced: ``'cpu'``, ``'gpu'`` or ``'tpu'``.

    It is what was said with :func:`traced_for`: in a run the platform of its mesh. ``''`` where
    nothing was said; a program that suits every platform is then to be taken. What the process
    itself runs on tells nothing: a machine with a CPU alone compiles for accelerators, too.
    """
    return _TRACED_FOR.value


@contextlib.contextmanager
def traced_for(name: str) -> Iterator[None]:
    """Trace for devices of the platform ``name``, which need not be the process's default ones."""
    if name == platform():
        # Nothing changes, and jit finds what was compiled outside.
        yield
        return
    with _TRACED_FOR(name):
        yield


def examples_apart() -> bool:
    """Whether gradients of each example are traced, in which a layer may take another form."""
    return _EXAMPLES_APART.value


@contextlib.contextmanager
def tracing_examples_apart() -> Iterator[None]:
    """Trace what is mapped over examples, each of which has gradients of its own."""
    with _EXAMPLES_APART(True):
        yield


def platform_of(sharding: jax.sharding.Sharding | None) -> str:
    """Platform of a sharding's devices; without one what was said, or else the default devices'.

    For those who call a program. Who traces one asks :func:`platform`: the default devices are the
    process's, and may not be the program's.
    """
    if sharding is None:
        return platform() or jax.default_backend()
    device: Any = next(iter(sharding.device_set))
    return device.platform
